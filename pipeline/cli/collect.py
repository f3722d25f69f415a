"""``groundswell collect NAME``: one configured connector, by hand."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from typing import TYPE_CHECKING

from pipeline.cli.log_option import add_log_format, set_up_logs
from pipeline.core.errors import ConfigError
from pipeline.core.schema import suggestion

if TYPE_CHECKING:
    from pipeline.app.cursors import CursorStore
    from pipeline.core.protocols import Connector, Read
    from pipeline.core.settings import Settings

# Of the payload of a refused post.
_SHOWN = 300


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declares the command."""
    command = subparsers.add_parser("collect", help="run one configured connector")
    command.add_argument("name", metavar="NAME", help="its name in the settings, [connectors.NAME]")
    command.add_argument("--once", action="store_true", help="end when nothing new is there")
    command.add_argument(
        "--dry-run", action="store_true", help="print the posts; send nothing and keep no cursor"
    )
    add_log_format(command)
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Reads from the saved cursor into the posts topic until the source ends or Ctrl-C.

    With ``--dry-run`` onto standard output instead.
    """
    from pipeline.app.configuration import home_for, settings_for
    from pipeline.app.cursors import CursorStore
    from pipeline.app.registry import build_connector

    settings = settings_for(args)
    set_up_logs(args, settings.log.level, settings.log.format, settings.log.lines_a_minute)
    if args.name not in settings.connectors:
        raise ConfigError(_unknown(args.name, sorted(settings.connectors)))
    # A dry run must not make a connector remember what was never sent.
    home = None if args.dry_run else home_for(args)
    connector = build_connector(args.name, settings.connectors[args.name], home)
    cursors = CursorStore(home_for(args))
    stop = _ended_by_signals()
    try:
        if args.dry_run:
            return _try_out(args, connector, cursors, stop)
        return _collect(args, settings, connector, cursors, stop)
    finally:
        connector.close()


def _ended_by_signals() -> threading.Event:
    """Set by SIGTERM and Ctrl-C; a second one ends the process at once."""
    stop = threading.Event()

    def end(*_: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt  # a read of a terminal or a pipe may last for ever
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    return stop


def _collect(
    args: argparse.Namespace,
    settings: Settings,
    connector: Connector,
    cursors: CursorStore,
    stop: threading.Event,
) -> int:
    from pipeline.app.collect import Pump
    from pipeline.app.configuration import brokers_of, home_for
    from pipeline.app.producer import Producer
    from pipeline.app.topics import ensure_topics

    brokers = brokers_of(settings, home_for(args))
    topics = ensure_topics(brokers, settings.kafka)
    producer = Producer(brokers, client_id="groundswell-collect")
    pump = Pump(
        connector,
        producer,
        topics,
        stop,
        keep=lambda cursor: cursors.save(args.name, cursor),
        report=lambda _: None,
    )
    try:
        tally = pump.run(cursors.load(args.name), once=args.once)
    finally:
        producer.close()
    print(f"{args.name}: {tally.posts} posts sent, {tally.rejected} refused", file=sys.stderr)
    return 0


def _try_out(
    args: argparse.Namespace, connector: Connector, cursors: CursorStore, stop: threading.Event
) -> int:
    from pipeline.app.dry_run import ONCE_SECONDS, limit_in_words, try_out
    from pipeline.cli.output import plain
    from pipeline.core.post import encode_post

    def show(read: Read) -> None:
        for post in read.posts:
            sys.stdout.buffer.write(encode_post(post) + b"\n")
        sys.stdout.buffer.flush()
        for one in read.rejected:
            print(plain(f"refused, {one.origin}: {one.error}: {one.payload[:_SHOWN]}"), file=sys.stderr)

    trial = try_out(connector, cursors.load(args.name), stop, show, ONCE_SECONDS if args.once else None)
    for limit in trial.limits:
        print(plain(limit_in_words(limit)), file=sys.stderr)
    print(
        f"{args.name}: {trial.posts} posts would be sent, {trial.rejected} refused; nothing was sent",
        file=sys.stderr,
    )
    return 0


def _unknown(name: str, known: list[str]) -> str:
    if not known:
        return f"no connector is configured: add [connectors.{name}] with its `kind` to the settings"
    return f"no connector `{name}` is configured{suggestion(name, known)}"
