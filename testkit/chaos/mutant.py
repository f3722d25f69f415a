"""Groundswell with a fault planted, for the chaos suite to find:

    python -m testkit.chaos.mutant early-commit run --role index

The faults exist here alone; what is shipped knows no switch for them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from pipeline.cli.main import main


def early_commit() -> None:
    """Offsets are committed once a batch was fetched, not once its results are confirmed."""
    from pipeline.core.ledger import Lane

    begin = Lane.begin

    def confirmed(lane: Any, *args: Any, **more: Any) -> Any:
        entry = begin(lane, *args, **more)
        lane.confirm(entry)
        return entry

    Lane.begin = confirmed  # type: ignore[assignment, method-assign]


def no_stub() -> None:
    """A deletion takes the document away and leaves nothing that an older state would be held against."""
    from pipeline.core.event import Event
    from sinks.elastic import ElasticSink

    write = ElasticSink.write

    def removing(sink: Any, events: Sequence[Event]) -> list[str | None]:
        outcomes = write(sink, events)
        gone = {event.post.id: event for event in events if event.post.deleted}
        homes = sink._locator.locate({id: [event] for id, event in gone.items()})
        acts = [
            {
                "delete": {
                    "_index": homes[id],
                    "_id": id,
                    "version": event.version,
                    "version_type": "external_gte",
                }
            }
            for id, event in gone.items()
        ]
        if acts:
            sink.client.bulk(operations=acts)
        return outcomes

    ElasticSink.write = removing  # type: ignore[assignment, method-assign]


def no_version() -> None:
    """Documents are written without the version of their event: who comes last stands."""
    from sinks._bulk import Write

    lines = Write.lines

    def bare(write: Any) -> bytes:
        head, _, document = lines(write).partition(b"\n")
        before, mark, _ = head.partition(b',"version":')
        assert mark, "the head of a bulk request names no version: plant this fault anew"
        return before + b"}}\n" + document

    Write.lines = bare  # type: ignore[assignment, method-assign]


MUTANTS: dict[str, Callable[[], None]] = {
    "early-commit": early_commit,
    "no-stub": no_stub,
    "no-version": no_version,
}

if __name__ == "__main__":
    MUTANTS[sys.argv[1]]()
    sys.exit(main(sys.argv[2:]))
