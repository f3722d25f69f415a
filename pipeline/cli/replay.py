"""``groundswell replay``: JSON Lines of posts into the posts topic."""

from __future__ import annotations

import argparse
import sys
import threading
import time

from pipeline.core.errors import ConfigError, FatalError


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
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Sends each file in turn; a bad line is set aside in the rejected topic and does not stop the rest."""
    from pipeline.app import logs
    from pipeline.app.configuration import home_for, kafka_bootstrap, settings_for
    from pipeline.app.replay import replay_file
    from pipeline.app.topics import ensure_topics

    settings = settings_for(args)
    logs.set_up("warning")
    if args.rate is not None and args.rate <= 0:
        raise ConfigError("--rate must be above 0")
    home = home_for(args)
    bootstrap = kafka_bootstrap(settings, home)
    topics = ensure_topics(bootstrap, settings.kafka)
    stop = threading.Event()
    posts = rejected = 0
    began = time.monotonic()
    for name in args.files:
        tally = replay_file(name, bootstrap, topics, home, stop, rate=args.rate, resume=args.resume)
        posts += tally.posts
        rejected += tally.rejected
    seconds = max(time.monotonic() - began, 1e-9)
    print(
        f"sent {posts} posts in {seconds:.1f} s ({posts / seconds:,.0f} a second)"
        + (f"; {rejected} lines were refused, see `groundswell rejected list`" if rejected else ""),
        file=sys.stderr,
    )
    if not posts and not rejected and not args.resume:
        raise FatalError("there was no post in the input")
    return 0
