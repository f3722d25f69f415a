"""A record of a topic that could not be processed, on its way to the rejected topic."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from threading import Lock
from typing import Any

from pipeline.app.producer import Record
from pipeline.app.topics import Topics
from pipeline.core.errors import RejectedError
from pipeline.core.post import MAX_ID_BYTES
from pipeline.core.rejection import Rejection, Stage, encode_rejection, reject


class Refusals:
    """How many records were refused, by stage and reason. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: Counter[tuple[str, str]] = Counter()

    def note(self, stage: str, reason: str) -> None:
        """One more."""
        with self._lock:
            self._counts[stage, reason] += 1

    def take(self) -> dict[tuple[str, str], int]:
        """Those since the last call."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        return dict(counts)


TALLY = Refusals()
"""Of all stages of this process."""


def refuse(  # noqa: PLR0913 - each is a column of the rejection
    record: Any,
    error: RejectedError,
    stage: Stage,
    topics: Topics,
    now: datetime,
    *,
    identity: bytes = b"",
    operation: int = 0,
) -> Record:
    """What to send for a consumed ``record`` (an aiokafka ConsumerRecord) that ``error`` refused.

    ``identity`` tells the input apart where its bytes do not: see :func:`pipeline.core.rejection.reject`.
    """
    rejection = reject(
        record.value or b"",
        error,
        stage=stage,
        origin=f"{record.topic}-{record.partition}-{record.offset}",
        now=now,
        # Our own keys are ids and no longer; a stranger's could make the rejection outgrow a record.
        key=(record.key or b"")[:MAX_ID_BYTES].decode("utf-8", "replace"),
        identity=identity,
        operation=operation,
    )
    return as_record(rejection, topics)


def as_record(rejection: Rejection, topics: Topics) -> Record:
    """The record of a rejection; its key is the rejection's id, so that a repeat replaces the first."""
    TALLY.note(rejection.stage, rejection.reason)
    return Record(topics.rejected.name, rejection.id.encode(), encode_rejection(rejection))
