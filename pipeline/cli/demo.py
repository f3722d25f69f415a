"""``groundswell demo``: see it work, from nothing, with one command."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.app.demo import Shown

_HEIGHT = 16


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declares the command."""
    command = subparsers.add_parser(
        "demo", help="start servers, run sample posts through everything, show the result"
    )
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Works in an installation of its own below the home, and ends everything that it started."""
    from pipeline.app import logs
    from pipeline.app.configuration import home_for
    from pipeline.app.demo import play, stage

    logs.set_up("warning")
    for number in (signal.SIGTERM, signal.SIGHUP):
        # However it is told to end, it ends what it has started.
        signal.signal(number, signal.default_int_handler)
    home = home_for(args) / "demo"
    began = time.monotonic()

    def announce(line: str) -> None:
        print(f"[{time.monotonic() - began:5.1f} s] {line}", flush=True)

    announce(f"the demo lives in {home}")
    shown = play(stage(home), home, announce)
    announce("done; servers and daemon have ended")
    _show(shown, home)
    return 0


def _show(shown: Shown, home: Path) -> None:
    from pipeline.cli.output import plain

    print()
    _plot(shown)
    print()
    print(
        f"{shown.documents} posts in the index, {shown.stubs} stubs of deleted ones, "
        f"{shown.lines} lines through everything in {shown.seconds:.1f} s"
    )
    print("languages: " + ", ".join(f"{code} {count}" for code, count in shown.languages))
    print("\nthe most negative that customers wrote:")
    for author, text in shown.loudest:
        print(f"  {plain(author)}: {_shortened(plain(text))}")
    command = _command()
    print(f"\nThis installation stays. Three commands to try next, after `export GROUNDSWELL_HOME={home}`:")
    print(f"  {command} up                                      start its servers again")
    print(f"  {command} query 'outage AND sentiment.label:negative'   ask the index")
    print(f"  {command} query '*' --count-by sentiment.label          count by any field")


def _shortened(text: str) -> str:
    width = max(shutil.get_terminal_size().columns - 20, 40)
    return text if len(text) <= width else text[: width - 1] + "…"


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
