"""``groundswell collect NAME``: one configured connector, by hand."""

from __future__ import annotations

import argparse
import signal
import sys
import threading

from pipeline.core.errors import ConfigError
from pipeline.core.schema import suggestion


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declares the command."""
    command = subparsers.add_parser("collect", help="run one configured connector")
    command.add_argument("name", metavar="NAME", help="its name in the settings, [connectors.NAME]")
    command.add_argument("--once", action="store_true", help="end when nothing new is there")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Reads from the saved cursor into the posts topic until the source ends or Ctrl-C."""
    from pipeline.app import logs
    from pipeline.app.collect import Pump
    from pipeline.app.configuration import home_for, kafka_bootstrap, settings_for
    from pipeline.app.cursors import CursorStore
    from pipeline.app.producer import Producer
    from pipeline.app.registry import build_connector
    from pipeline.app.topics import ensure_topics

    settings = settings_for(args)
    logs.set_up(settings.log.level, settings.log.format)
    if args.name not in settings.connectors:
        raise ConfigError(_unknown(args.name, sorted(settings.connectors)))
    connector = build_connector(args.name, settings.connectors[args.name])
    home = home_for(args)
    bootstrap = kafka_bootstrap(settings, home)
    topics = ensure_topics(bootstrap, settings.kafka)
    cursors = CursorStore(home)
    producer = Producer(bootstrap, client_id="groundswell-collect")
    stop = threading.Event()

    def end(*_: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt  # a read of a terminal or a pipe may last for ever
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
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
        connector.close()
        producer.close()
    print(f"{args.name}: {tally.posts} posts sent, {tally.rejected} refused", file=sys.stderr)
    return 0


def _unknown(name: str, known: list[str]) -> str:
    if not known:
        return f"no connector is configured: add [connectors.{name}] with its `kind` to the settings"
    return f"no connector `{name}` is configured{suggestion(name, known)}"
