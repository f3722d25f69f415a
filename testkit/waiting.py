"""Waiting for what must come, with an end."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(what: Callable[[], bool], limit: float = 120, why: str = "") -> None:
    """Returns once ``what()`` holds; AssertionError with ``why`` after ``limit`` seconds."""
    deadline = time.monotonic() + limit
    while not what():
        assert time.monotonic() < deadline, f"not within {limit:.0f} s: {why}"
        time.sleep(0.1)
