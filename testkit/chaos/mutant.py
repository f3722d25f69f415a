"""Groundswell with a fault planted, for the chaos suite to find:

    python -m testkit.chaos.mutant early-commit run --role index

The faults exist here alone; what is shipped knows no switch for them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from pipeline.cli.main import main

JUMP_SECONDS = 10.0


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
        homes = sink._locator.locate({id: [event] for id, event in gone.items()}, sink._prepare())
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


def clock_back() -> None:
    """No fault of ours: the machine's clock jumps back by an hour, for all processes a while after the first
    of them began, and for good."""
    import logging
    import os
    from contextlib import suppress
    from datetime import UTC, datetime, timedelta
    from pathlib import Path

    from pipeline.app import site

    mark = Path(os.environ["GROUNDSWELL_HOME"]) / "logs" / "began"
    with suppress(FileExistsError):
        mark.touch(exist_ok=False)
    jump = mark.stat().st_ctime + JUMP_SECONDS
    told = False

    def now() -> datetime:
        nonlocal told
        moment = datetime.now(UTC)
        if moment.timestamp() < jump:
            return moment
        if not told:
            told = True
            logging.getLogger("groundswell.chaos").warning("the clock is an hour behind now")
        return moment - timedelta(hours=1)

    site.now = now


MUTANTS: dict[str, Callable[[], None]] = {
    "early-commit": early_commit,
    "no-stub": no_stub,
    "no-version": no_version,
}

HARDSHIPS: dict[str, Callable[[], None]] = {"clock-back": clock_back}
"""What is no fault of ours and has to be stood."""

if __name__ == "__main__":
    (MUTANTS | HARDSHIPS)[sys.argv[1]]()
    sys.exit(main(sys.argv[2:]))
