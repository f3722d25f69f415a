"""``groundswell check``: every config file read, the rule tests run, and rules tried on posts from before."""

from __future__ import annotations

import argparse
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.core.errors import ConfigError

if TYPE_CHECKING:
    from pipeline.app.backtest import Tally
    from pipeline.app.checking import Looked
    from pipeline.core.settings import Settings

MOVED = 10
"""Posts that change queue shown below a table, unless --moved says otherwise."""

_BATCH = 1000
_LOADS = ("queue", "before", "now", "change", "per_day", "busiest", "busiest_day")
_POSTS = ("id", "before", "now", "rule", "text")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declares the command."""
    command = subparsers.add_parser(
        "check",
        help="validate every config file and run the rule tests",
        description="Reads the settings and every file that they name, and runs the tests beside the rules."
        " With --servers, proves that Kafka and Elasticsearch let us in and allow what we need."
        " Exit status 2 where anything is wrong. With --backtest, shows what the rules make of old posts.",
    )
    option = command.add_argument
    option("--servers", action="store_true", help="ask Kafka and Elasticsearch, too; changes nothing there")
    option("--backtest", metavar="FILE", help="events or posts, JSON Lines, also gzip or zstd, - for stdin")
    option("--rules", type=Path, metavar="FILE", help="try these rules in place of those of the settings")
    option("--moved", type=int, metavar="N", help=f"list so many posts that change queue (default: {MOVED})")
    option("--format", choices=("table", "json", "csv"), default="table")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Checks, and then compares if asked to. Raises ConfigError with all problems."""
    from pipeline.app.checking import look_at, look_at_rules
    from pipeline.app.configuration import home_for, settings_file, settings_for

    if args.backtest is None and args.moved is not None:
        raise ConfigError("--moved lists the posts of a backtest: name a file with --backtest")
    if args.moved is not None and args.moved < 0:
        raise ConfigError(f"--moved {args.moved}: expected 0 or more")
    settings = settings_for(args)
    looked = look_at(settings, home_for(args))
    if args.rules:
        looked += look_at_rules(args.rules)
    if args.servers:
        from pipeline.app.server_checks import look_at_servers
        from pipeline.app.site import now

        looked += look_at_servers(settings, home_for(args), now)
    problems = list(dict.fromkeys(problem for one in looked for problem in one.problems))
    if args.backtest is None:
        file = settings_file(args.config, os.environ, home_for(args))
        _show(str(file or "none, all defaults"), looked, args)
    if problems:
        count = f"{len(problems)} problems" if len(problems) > 1 else "1 problem"
        raise ConfigError("\n\n".join([f"check found {count}", *problems]))
    if args.backtest is not None:
        _backtest(settings, args)
    return 0


def _show(file: str, looked: list[Looked], args: argparse.Namespace) -> None:
    from pipeline.cli.output import write_rows

    rows = [{"part": "settings", "name": file, "state": "fine", "detail": "", "problems": ()}]
    for one in looked:
        state = "wrong" if one.problems else "fine"
        rows.append(
            {
                "part": one.part,
                "name": one.name,
                "state": state,
                "detail": one.detail,
                "problems": one.problems,
            }
        )
    columns = ["part", "state", "detail", "name"]
    write_rows(rows, [*columns, "problems"] if args.format != "table" else columns, args.format, sys.stdout)
    sys.stdout.flush()


def _backtest(settings: Settings, args: argparse.Namespace) -> None:
    """Compares and shows. Raises ConfigError without rules, or for a file that cannot be read."""
    from connectors._lines import LineReader
    from enrichers.route import read_router
    from pipeline.app.backtest import Backtest
    from pipeline.app.checking import rules_file
    from pipeline.app.configuration import home_for
    from pipeline.app.registry import build_chain

    path = rules_file(settings)
    current = read_router(path) if path else None
    router = read_router(args.rules) if args.rules else current
    if router is None:
        raise ConfigError(
            "there are no rules to try: set `file` in [enrichers.route], or name some with --rules"
        )
    # Posts say nothing of how they were routed; the settings' rules stand for it where others are tried.
    chain = build_chain(settings, home_for(args))
    backtest = Backtest(chain, router, current if args.rules else None, datetime.now(UTC))
    reader = LineReader(args.backtest)
    try:
        while lines := reader.lines(_BATCH):
            backtest.add([line.raw for line in lines])
    finally:
        reader.close()
    _show_tally(backtest.tally(), args)


def _show_tally(tally: Tally, args: argparse.Namespace) -> None:
    """Both lists as tables; as JSON and CSV one of them, that of posts with --moved."""
    import msgspec

    from pipeline.cli.output import write_rows

    loads = [
        {**msgspec.structs.asdict(load), "change": None if load.before is None else load.now - load.before}
        for load in tally.loads
    ]
    moved = [
        msgspec.structs.asdict(post) for post in tally.moved[: MOVED if args.moved is None else args.moved]
    ]
    if args.format != "table":
        rows, columns = (loads, _LOADS) if args.moved is None else (moved, _POSTS)
        write_rows(rows, columns, args.format, sys.stdout)
        return
    print(
        f"{tally.posts} posts of {tally.days} days" + (f", {tally.refused} refused" if tally.refused else "")
    )
    print()
    write_rows(loads, _LOADS, "table", sys.stdout)
    if tally.moved:
        print(f"\n{len(tally.moved)} posts change queue" + (f", of which {len(moved)}:" if moved else ""))
        if moved:
            write_rows(moved, _POSTS, "table", sys.stdout)
