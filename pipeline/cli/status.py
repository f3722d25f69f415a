"""``groundswell status``: servers, roles, connectors, lag, rates and the ledger on one page."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.app.standing import LimitLeft, Standing
    from pipeline.app.status import Row

_TROUBLE = ("away", "waits", "silent", "died", "parked", "starting", "rests", "sends", "refused")
"""States that somebody should know of."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declares the command."""
    command = subparsers.add_parser(
        "status", help="servers, roles, connectors, lag by partition, rates, the ledger"
    )
    command.add_argument("--format", choices=("table", "json", "csv"), default="table")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Always prints the page; status 1 when a server is away, or a role or a connector is not at work."""
    import msgspec

    from pipeline.app import logs
    from pipeline.app.configuration import brokers_of, elasticsearch_url, home_for, settings_for
    from pipeline.app.status import page
    from pipeline.cli.output import write_rows
    from sinks import elastic

    settings = settings_for(args)
    logs.set_up("error")
    home = home_for(args)
    url = elasticsearch_url(settings, home)
    client = elastic.client_for(settings.elasticsearch, url)
    rows, connectors = page(settings, home, brokers_of(settings, home), client, url)
    shown = [msgspec.structs.asdict(row) for row in rows]
    columns = ["part", "name", "state", "detail"]
    if args.format == "table":
        write_rows(shown, columns, "table", sys.stdout)
        _connectors(connectors)
        _sentences(rows, connectors)
    else:
        shown += [_row(one) for one in connectors]
        write_rows(shown, [] if args.format == "json" else columns, args.format, sys.stdout)
    states = [row.state for row in rows] + [one.state for one in connectors]
    return 1 if any(state in _TROUBLE for state in states) else 0


def _connectors(connectors: Sequence[Standing]) -> None:
    from pipeline.cli.output import write_rows

    lines = [
        {
            "connector": one.name,
            "kind": one.kind,
            "state": one.state,
            "posts": one.posts,
            "last post": "" if one.last_post is None else f"{_since(one.last_post)} ago",
            "lag": "" if one.lag_seconds is None else _span(one.lag_seconds),
        }
        for one in connectors
    ]
    if lines:
        print()
        write_rows(lines, list(lines[0]), "table", sys.stdout)


def _sentences(rows: Sequence[Row], connectors: Sequence[Standing]) -> None:
    """What fits into no table: limits, and whole what a terminal has cut of the advice."""
    from pipeline.cli.wrapping import wrapped

    cut = rows if sys.stdout.isatty() else ()
    told = [f"{one.name} may ask: {'; '.join(map(_limit, one.limits))}" for one in connectors if one.limits]
    told += [f"{row.name} {row.state}: {row.detail}" for row in cut if row.state in _TROUBLE]
    for one in connectors:
        if one.state in _TROUBLE:
            told.append(f"{one.name} {one.state}: {one.reason}{_remedy(one)}")
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 10_000
    for sentence in told:
        print()
        for line in wrapped(sentence, width, "", "  "):
            print(line)


def _remedy(one: Standing) -> str:
    again = "" if one.again is None else f"tried again in {_until(one.again)}"
    if one.state == "parked":
        return (
            "; mend it: a change of the settings file or of a file that they name has it tried at once;"
            f" else {again}"
        )
    return again and f"; {again}"


def _row(one: Standing) -> dict[str, object]:
    """A connector among the rows of the page, with its numbers as they are."""
    from msgspec.structs import asdict

    told = [one.kind, f"posts: {one.posts}", one.reason, *map(_limit, one.limits)]
    numbers = {key: value for key, value in asdict(one).items() if key not in ("name", "state")}
    for key in ("again", "last_post"):
        numbers[key] = None if numbers[key] is None else datetime.fromtimestamp(numbers[key], UTC)
    numbers["limits"] = [asdict(limit) for limit in one.limits]
    detail = "; ".join(filter(None, told))
    return {"part": "connector", "name": one.name, "state": one.state, "detail": detail, **numbers}


def _limit(limit: LimitLeft) -> str:
    """As in "requests 449 of 450, anew in 12 s"."""
    left = "not told" if limit.left is None else str(limit.left)
    total = "" if limit.total is None else f" of {limit.total}"
    anew = "" if limit.resets_at is None else f", anew in {_until(limit.resets_at)}"
    return f"{limit.name} {left}{total}{anew}"


def _since(moment: float) -> str:
    return _span(max(time.time() - moment, 0.0))


def _until(moment: float) -> str:
    return _span(max(moment - time.time(), 0.0))


def _span(seconds: float) -> str:
    from pipeline.cli.wrapping import duration

    return duration(round(seconds))
