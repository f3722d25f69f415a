"""The index anew from the log: every event of the events topic written through the same sink.

Safe beside a running daemon: versions decide, whoever writes first. Cases come back from their journal;
the events then open those that never were, and change no other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from msgspec import Struct

from pipeline.app.brokers import Brokers
from pipeline.app.log_reader import read_topic
from pipeline.core.errors import FatalError, RejectedError, RetryableError
from pipeline.core.event import Event, decode_event
from pipeline.core.protocols import Sink
from pipeline.core.retention import Expiry

T = TypeVar("T")


class Rebuilt(Struct):
    """What a rebuild wrote and what the index refused."""

    written: int = 0
    refused: int = 0


# Seconds between tries: a busy server may say 429, and nobody waits for one on behalf of a command.
_WAITS = (0.1, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0)


def _insist(act: Callable[[], T]) -> T:
    for wait in _WAITS:
        try:
            return act()
        except RetryableError as error:
            time.sleep(max(wait, error.retry_after or 0.0))
    return act()


def rebuild(  # noqa: PLR0913 - the parts of a rebuild, each handed in once
    brokers: Brokers,
    topic: str,
    sink: Sink,
    report: Callable[[Rebuilt], None],
    then: Callable[[Sequence[Event]], None],
    *,
    expiry: Expiry,
    start: Mapping[int, int] | None = None,
) -> Rebuilt:
    """Writes all events of the log but those past their time; ``report`` hears after every portion, ``then``
    gets what was taken. ``start`` gives the offset to begin with by partition, where it is not the first.

    Raises FatalError when the log holds what no Groundswell wrote, RetryableError when a server is away.
    """
    done = Rebuilt()
    _insist(sink.catch_up)
    purged = _purged(brokers, topic, start)
    for portion in read_topic(brokers, topic, start=start):
        events: list[Event] = []
        for record in portion:
            if record.value is None or record.key in purged:
                continue
            try:
                event = decode_event(record.value)
            except RejectedError as error:
                raise FatalError(f"{topic}-{record.partition}-{record.offset}: {error}") from error
            # A deletion goes on: where its post still is, the sink writes it, and nowhere else.
            if event.post.deleted or not expiry.event(event):
                events.append(event)
        outcomes = _insist(partial(sink.write, events))
        _insist(
            partial(then, [event for event, reason in zip(events, outcomes, strict=True) if reason is None])
        )
        refused = sum(reason is not None for reason in outcomes)
        done.written += len(events) - refused
        done.refused += refused
        report(done)
    return done


def _purged(brokers: Brokers, topic: str, start: Mapping[int, int] | None) -> set[bytes]:
    """The keys that the log is done with; until it is compacted, what it said of them stands there still."""
    found: set[bytes] = set()
    for portion in read_topic(brokers, topic, start=start):
        for record in portion:
            (found.add if record.value is None else found.discard)(record.key)
    return found
