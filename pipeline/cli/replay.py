"""``groundswell replay``: JSON Lines of posts into the posts topic."""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from pipeline.cli.log_option import add_log_format, set_up_logs
from pipeline.core.errors import ConfigError, FatalError, GroundswellError

if TYPE_CHECKING:
    from pipeline.app.collect import Tally

INTERRUPTED = 130
"""Exit status when a person or a supervisor ended it before the input did."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declares the command."""
    command = subparsers.add_parser("replay", help="send posts from files into the pipeline")
    command.add_argument(
        "files", nargs="+", metavar="FILE", help="JSON Lines, also gzip or zstd; - for standard input"
    )
    command.add_argument("--rate", type=float, help="posts a second (default: as fast as it goes)")
    command.add_argument(
        "--resume", action="store_true", help="go on where an interrupted replay of the file stopped"
    )
    add_log_format(command)
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Sends each file in turn; a bad line is set aside in the rejected topic and does not stop the rest."""
    from pipeline.app.collect import Tally
    from pipeline.app.configuration import brokers_of, home_for, settings_for
    from pipeline.app.replay import replay_file
    from pipeline.app.topics import ensure_topics

    settings = settings_for(args)
    set_up_logs(args)
    if args.rate is not None and args.rate <= 0:
        raise ConfigError("--rate must be above 0")
    home = home_for(args)
    brokers = brokers_of(settings, home)
    topics = ensure_topics(brokers, settings.kafka)
    stop = threading.Event()
    tallies: dict[int, Tally] = {}
    began = time.monotonic()
    try:
        for number, name in enumerate(args.files):
            tallies[number] = Tally()
            report = partial(tallies.__setitem__, number)
            replay_file(name, brokers, topics, home, stop, rate=args.rate, resume=args.resume, report=report)
    except KeyboardInterrupt:
        stop.set()
    except GroundswellError:
        if any(tally.posts for tally in tallies.values()):
            _sum_up(tallies.values(), time.monotonic() - began)
        raise
    _sum_up(tallies.values(), time.monotonic() - began)
    if stop.is_set():
        print("groundswell: interrupted; the same call with --resume goes on from there", file=sys.stderr)
        return INTERRUPTED
    if not args.resume and not any(tally.posts or tally.rejected for tally in tallies.values()):
        raise FatalError("there was no post in the input")
    return 0


def _sum_up(tallies: Iterable[Tally], seconds: float) -> None:
    tallies = list(tallies)
    posts, rejected = sum(tally.posts for tally in tallies), sum(tally.rejected for tally in tallies)
    seconds = max(seconds, 1e-9)
    lines = "1 line was" if rejected == 1 else f"{rejected} lines were"
    refused = f"; {lines} refused, see `groundswell rejected list`" if rejected else ""
    print(
        f"sent {posts} posts in {seconds:.1f} s ({posts / seconds:,.0f} a second){refused}",
        file=sys.stderr,
    )
