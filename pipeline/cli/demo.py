"""``groundswell demo``: see it work, from nothing, with one command."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.core.errors import ConfigError

if TYPE_CHECKING:
    from pipeline.app.demo import Shown

_HEIGHT = 16
_LIVE_SECONDS = 60
_LONGEST_SECONDS = 3600


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declares the command."""
    command = subparsers.add_parser(
        "demo", help="start servers, run sample posts through everything, show the result"
    )
    command.add_argument("--live", action="store_true", help="listen to Bluesky instead of sample posts")
    command.add_argument("--seconds", type=_seconds, metavar="N", help="with --live: for so long (60)")
    command.add_argument("--keep", action="store_true", help="with --live: do not delete what was heard")
    command.set_defaults(run=run)


def _seconds(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _LONGEST_SECONDS:
        raise argparse.ArgumentTypeError(f"expected seconds from 1 to {_LONGEST_SECONDS}, got {text!r}")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Works in an installation of its own below the home, and ends everything that it started."""
    from pipeline.app import logs

    if not args.live and (args.seconds or args.keep):
        raise ConfigError("--seconds and --keep go with --live: the other demo sends its posts and stays")
    logs.set_up("warning")
    for number in (signal.SIGTERM, signal.SIGHUP):
        # However it is told to end, it ends what it has started.
        signal.signal(number, signal.default_int_handler)
    (_live if args.live else _play)(args)
    return 0


def _announcer() -> Callable[[str], None]:
    began = time.monotonic()

    def announce(line: str) -> None:
        print(f"[{time.monotonic() - began:5.1f} s] {line}", flush=True)

    return announce


def _play(args: argparse.Namespace) -> None:
    from pipeline.app.configuration import home_for
    from pipeline.app.demo import play, stage

    home, announce = home_for(args) / "demo", _announcer()
    announce(f"the demo lives in {home}")
    shown = play(stage(home), home, announce)
    announce("done; servers and daemon have ended")
    _show(shown, home)


def _live(args: argparse.Namespace) -> None:
    """Looks for the network before anything is started for nothing."""
    from pipeline.app.configuration import home_for
    from pipeline.app.live_demo import listen, own_home, reach
    from pipeline.cli.live_page import show, speed

    home, announce = home_for(args) / "live-demo", _announcer()
    with own_home(home, args.keep) as settings:
        reach(settings, home)
        announce(f"Bluesky answers; the demo lives in {home}")
        heard = listen(settings, home, args.seconds or _LIVE_SECONDS, announce)
        announce(speed(heard))
    announce("done; servers and daemon have ended")
    show(heard)
    if args.keep:
        print(f"\nIt stays in {home}: these are people's posts, and what they delete from now on is not")
        print("deleted there. Remove that folder when you have seen enough.")
    else:
        print("\nWhat was heard has been deleted again, for these are people's posts.")
        print("`demo --live --keep` keeps it.")


def _show(shown: Shown, home: Path) -> None:
    from pipeline.cli.explained import page
    from pipeline.cli.output import write_rows

    print()
    _plot(shown)
    print()
    print(
        f"{shown.documents} posts in the index, {shown.stubs} stubs of deleted ones, "
        f"{shown.lines} lines through everything in {shown.seconds:.1f} s"
    )
    print("languages: " + ", ".join(f"{code} {count}" for code, count in shown.languages))
    width = shutil.get_terminal_size().columns
    for title, rows, columns in (
        (
            "For analysts: share of voice",
            _shares(shown),
            ["brand", "kind", "posts", "share", "complaints", "sentiment"],
        ),
        (
            "One memory of each customer over all channels",
            _known(shown),
            ["customer", "name", "posts", "known by"],
        ),
        ("For support: the queues", _queues(shown), ["queue", "waiting", "untaken", "late"]),
        (
            "What is to be answered first",
            _cases(shown),
            ["case", "queue", "p", "who", "why", "text"],
        ),
    ):
        print(f"\n{title}")
        write_rows(rows, columns, "table", sys.stdout, width=width)
    if shown.traced is not None:
        print("\nOne of them from post to case, as `explain` tells it\n")
        sys.stdout.write(page(shown.traced))
    _try_next(shown, home)


def _shares(shown: Shown) -> list[dict[str, object]]:
    return [
        {
            "brand": share.name,
            "kind": share.kind,
            "posts": share.posts,
            "share": f"{share.share:.0f} %",
            "complaints": share.complaints,
            "sentiment": "" if share.sentiment is None else f"{share.sentiment:+.2f}",
        }
        for share in shown.shares
    ]


def _known(shown: Shown) -> list[dict[str, object]]:
    return [
        {
            "customer": one.id,
            "name": one.name,
            "posts": ", ".join(f"{source} {count}" for source, count in one.channels),
            "known by": ", ".join(one.evidence),
        }
        for one in shown.known
    ]


def _queues(shown: Shown) -> list[dict[str, object]]:
    return [
        {"queue": one.queue, "waiting": one.open, "untaken": one.unassigned, "late": one.late}
        for one in shown.queues
    ]


def _cases(shown: Shown) -> list[dict[str, object]]:
    return [
        {
            "case": str(row["case"])[:8],
            "queue": row["queue"],
            "p": row["priority"],
            "who": row["customer"] or row["author"],
            "why": row["rule"],
            "text": row["text"],
        }
        for row in shown.cases
    ]


def _try_next(shown: Shown, home: Path) -> None:
    command = _command()
    case = str(shown.cases[0]["case"])[:8] if shown.cases else "CASE"
    customer = shown.known[0].id if shown.known else "ID"
    print(f"\nThis installation stays. Try next, after `export GROUNDSWELL_HOME={home}`:")
    for words, told in (
        ("up", "start its servers again"),
        ("query 'outage AND sentiment.label:negative'", "ask the index"),
        ("queue outages", "what waits there"),
        (f"queue take {case} --as ann", "work on it"),
        (f"customer show {customer}", "everything known of a customer"),
    ):
        print(f"  {command} {words:<46} {told}")


def _command() -> str:
    """How to call us again: the plain name where it is found, else the path that was used."""
    if shutil.which("groundswell"):
        return "groundswell"
    if Path(sys.argv[0]).name == "groundswell":
        return os.path.relpath(sys.argv[0])
    return "python -m pipeline.cli.main"


def _plot(shown: Shown) -> None:
    import plotext

    from pipeline.app.demo import LABELS

    figure = plotext.figure
    width = min(shutil.get_terminal_size().columns, 110)
    figure.plot_size(width, _HEIGHT)
    # The tallest first, each lower one over it. Three shades, so that it says the same without colours.
    for upto, shade, colour in ((3, "░", "green"), (2, "▒", "gray"), (1, "█", "red")):
        heights = [sum(day.get(label, 0) for label in LABELS[:upto]) for day in shown.days.values()]
        figure.draw(
            figure.bar(list(shown.days), heights, marker=plotext.marker(shade, colour), lines=False, width=1)
        )
    figure.title("posts a day by sentiment: █ negative  ▒ neutral  ░ positive")
    figure.show(colorless=not sys.stdout.isatty())
