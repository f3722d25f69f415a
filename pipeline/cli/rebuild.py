"""``groundswell rebuild``: the index anew from the log."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from typing import TYPE_CHECKING

from pipeline.cli.dropping import agreed
from pipeline.cli.log_option import add_log_format, set_up_logs
from pipeline.core.errors import ConfigError

if TYPE_CHECKING:
    from pipeline.app.rebuild import Rebuilt


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declares the command."""
    command = subparsers.add_parser("rebuild", help="drop the indices and write them anew from the log")
    command.add_argument("--yes", action="store_true", help="do not ask before dropping the index")
    command.add_argument(
        "--keep", action="store_true", help="drop nothing; only write what is missing or older"
    )
    add_log_format(command)
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Drops the indices unless ``--keep``, then writes everything that the log holds."""
    from pipeline.app.configuration import brokers_of, elasticsearch_url, home_for, settings_for
    from pipeline.app.producer import Producer
    from pipeline.app.reconstruction import Log, reconstruct
    from pipeline.app.site import now
    from pipeline.app.topics import ensure_topics
    from sinks import elastic

    settings = settings_for(args)
    set_up_logs(args)
    home = home_for(args)
    url = elasticsearch_url(settings, home)
    with closing(elastic.build(settings.elasticsearch, url, expiry=lambda: settings.expiry(now()))) as sink:
        if not (args.keep or args.yes or agreed(sink.client, settings.elasticsearch.prefix, "the log")):
            raise ConfigError("nothing was dropped; answer yes, or use --yes or --keep")
        brokers = brokers_of(settings, home)
        topics = ensure_topics(brokers, settings.kafka)
        with closing(Producer(brokers, client_id="groundswell-rebuild")) as producer:
            log = Log(brokers, topics, producer)
            done = reconstruct(log, sink, settings, _report, keep=args.keep)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    print(
        f"rebuilt the index from {done.events} events and {done.cases} cases; {done.refused} events"
        f" were refused; {done.customers} customers, {done.authors} authors",
        file=sys.stderr,
    )
    return 1 if done.refused else 0


def _report(done: Rebuilt) -> None:
    if sys.stderr.isatty():
        print(f"\r{done.written:,} events written", end="", file=sys.stderr, flush=True)
