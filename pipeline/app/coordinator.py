"""Asking the coordinator of a consumer group, which a fresh broker does not have at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from kafka.errors import KafkaError

_SECONDS = 10.0
_REST_SECONDS = 0.2

T = TypeVar("T")


def answered(ask: Callable[[], T]) -> T:
    """What a call to Kafka returns that asks for a group; raises its KafkaError where that does not pass."""
    deadline = time.monotonic() + _SECONDS
    while True:
        try:
            return ask()
        except KafkaError as error:
            # A fresh broker makes the topic of the groups only when it is first asked for one.
            if not error.retriable or time.monotonic() > deadline:
                raise
            time.sleep(_REST_SECONDS)
