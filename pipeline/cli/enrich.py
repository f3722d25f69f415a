"""``groundswell enrich [FILE]``: JSON Lines of posts in, of events out, in order and without a server.

What goes to standard output are events only, and what goes to standard error are rejections only, one
JSON object a line each, so that both can be piped on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from connectors._lines import Line
    from pipeline.core.event import Event
    from pipeline.core.process import Chain
    from pipeline.core.rejection import Rejection

SOME_REJECTED = 3
"""Exit status when all was read, and some lines were no valid posts."""

# Enough for the cost of a batch to vanish, and little to hold in memory.
_BATCH = 2000
# A line refused for its length is not repeated whole.
_SHOWN_BYTES = 4096


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declares the command."""
    command = subparsers.add_parser(
        "enrich",
        help="posts in, events out, without any server",
        description="Reads JSON Lines of posts and writes JSON Lines of events in the same order. A line"
        " that is no valid post becomes a rejection on standard error, and the exit status is 3 at the end.",
    )
    command.add_argument(
        "file",
        nargs="?",
        default="-",
        metavar="FILE",
        help="JSON Lines, also gzip or zstd (default: standard input)",
    )
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Streams the input through the chain of the settings. 0, or 3 where a line was rejected.

    Raises ConfigError for settings and files that cannot be used, FatalError on a damaged archive.
    """
    from connectors._lines import LineReader
    from pipeline.app import garbage
    from pipeline.app.configuration import home_for, settings_for
    from pipeline.app.registry import build_chain

    settings = settings_for(args)
    chain = build_chain(settings, home_for(args))
    garbage.settle()
    prefix = settings.elasticsearch.prefix
    reader = LineReader(args.file)
    rejected = 0
    try:
        # A batch is what is there, so a single line typed or piped in is answered at once.
        while lines := reader.lines(_BATCH):
            events, rejections = enriched(lines, chain, prefix, reader.name, datetime.now(UTC))
            rejected += len(rejections)
            _write(events, rejections)
    finally:
        reader.close()
    return SOME_REJECTED if rejected else 0


def enriched(
    lines: Sequence[Line], chain: Chain, prefix: str, name: str, now: datetime
) -> tuple[list[Event], list[Rejection]]:
    """The events of the good lines, and the rejections of the bad; both in the order of the lines.

    Blank lines are neither. ``name`` of the input and the line's number are the origin of a rejection,
    ``now`` is also the time of observation of posts that do not say when they were collected.
    """
    from pipeline.core.errors import RejectedError
    from pipeline.core.post import MAX_POST_BYTES, decode_post
    from pipeline.core.rejection import reject

    posts, sources = [], []
    faults: list[tuple[Line, RejectedError]] = []
    for line in lines:
        try:
            posts.append(decode_post(line.raw))
            sources.append(line)
        except RejectedError as error:
            if line.raw and not line.raw.isspace():
                faults.append((line, error))
    events: list[Event] = []
    outcomes = chain.process(posts, [now] * len(posts), prefix=prefix, now=now)
    for line, outcome in zip(sources, outcomes, strict=True):
        if isinstance(outcome, RejectedError):
            faults.append((line, outcome))
        else:
            events.append(outcome)
    faults.sort(key=lambda pair: pair[0].number)
    rejections = []
    for line, fault in faults:
        raw = line.raw if len(line.raw) <= MAX_POST_BYTES else line.raw[:_SHOWN_BYTES]
        rejections.append(reject(raw, fault, stage="enrich", origin=f"{name}:{line.number}", now=now))
    return events, rejections


def _write(events: list[Event], rejections: list[Rejection]) -> None:
    """Writes both, and lets them go on at once. BrokenPipeError when nobody reads the events any longer."""
    from pipeline.core.event import encode_lines
    from pipeline.core.rejection import encode_rejection

    if rejections:
        sys.stderr.buffer.write(b"".join(encode_rejection(rejection) + b"\n" for rejection in rejections))
        sys.stderr.buffer.flush()
    if events:
        sys.stdout.buffer.write(encode_lines(events))
        sys.stdout.buffer.flush()
