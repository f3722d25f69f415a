"""The index anew from the log: every event of the events topic written through the same sink.

Safe beside a running daemon: versions decide, whoever writes first. Cases come back from their journal;
the events then open those that never were, and change no other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from pipeline.app.log_reader import read_topic
from pipeline.core.errors import FatalError, RejectedError
from pipeline.core.event import Event, decode_event
from pipeline.core.protocols import Sink


class Rebuilt(Struct):
    """What a rebuild wrote and what the index refused."""

    written: int = 0
    refused: int = 0


def rebuild(
    bootstrap: str,
    topic: str,
    sink: Sink,
    report: Callable[[Rebuilt], None],
    then: Callable[[Sequence[Event]], None],
) -> Rebuilt:
    """Writes all events of the log; ``report`` hears after every portion, ``then`` gets what was taken.

    Raises FatalError when the log holds what no Groundswell wrote, RetryableError when a server is away.
    """
    done = Rebuilt()
    for portion in read_topic(bootstrap, topic):
        events: list[Event] = []
        for record in portion:
            if record.value is None:
                continue
            try:
                events.append(decode_event(record.value))
            except RejectedError as error:
                raise FatalError(f"{topic}-{record.partition}-{record.offset}: {error}") from error
        outcomes = sink.write(events)
        then([event for event, reason in zip(events, outcomes, strict=True) if reason is None])
        refused = sum(reason is not None for reason in outcomes)
        done.written += len(events) - refused
        done.refused += refused
        report(done)
    return done
