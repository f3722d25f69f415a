"""``groundswell rebuild``: the index anew from the log."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, NamedTuple

from pipeline.core.errors import ConfigError

if TYPE_CHECKING:
    from pipeline.app.producer import Producer
    from pipeline.app.rebuild import Rebuilt
    from pipeline.app.topics import Topics
    from pipeline.core.settings import Settings
    from sinks.elastic import ElasticSink


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declares the command."""
    command = subparsers.add_parser("rebuild", help="drop the index and write it anew from the events topic")
    command.add_argument("--yes", action="store_true", help="do not ask before dropping the index")
    command.add_argument(
        "--keep", action="store_true", help="drop nothing; only write what is missing or older"
    )
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Drops the indices unless ``--keep``, brings the cases back, then writes every event of the log."""
    from pipeline.app import logs
    from pipeline.app.configuration import elasticsearch_url, home_for, kafka_bootstrap, settings_for
    from pipeline.app.producer import Producer
    from pipeline.app.topics import ensure_topics
    from sinks import elastic

    settings = settings_for(args)
    logs.set_up("warning")
    home = home_for(args)
    prefix = settings.elasticsearch.prefix
    if not args.keep and not args.yes and not _agreed(prefix):
        raise ConfigError("nothing was dropped; answer yes, or use --yes or --keep")
    bootstrap = kafka_bootstrap(settings, home)
    topics = ensure_topics(bootstrap, settings.kafka)
    sink = elastic.build(settings.elasticsearch, elasticsearch_url(settings, home))
    producer = Producer(bootstrap, client_id="groundswell-rebuild")
    try:
        cases, done = _rebuild(Place(bootstrap, topics, producer), sink, settings, keep=args.keep)
    finally:
        producer.close()
    if sys.stderr.isatty():
        print(file=sys.stderr)
    print(
        f"rebuilt the index from {done.written} events and {cases} cases of the log; {done.refused} events"
        " were refused",
        file=sys.stderr,
    )
    return 1 if done.refused else 0


class Place(NamedTuple):
    """The log of an installation."""

    bootstrap: str
    topics: Topics
    producer: Producer


def _rebuild(place: Place, sink: ElasticSink, settings: Settings, *, keep: bool) -> tuple[int, Rebuilt]:
    """How many cases came back, and what became of the events."""
    from pipeline.app import case_journal
    from pipeline.app.case_keeper import CaseKeeper
    from pipeline.app.rebuild import rebuild
    from sinks import elastic
    from sinks.cases import Cases

    bootstrap, topics, producer = place
    prefix = settings.elasticsearch.prefix
    cases = Cases(sink.client, settings.elasticsearch)
    journal = case_journal.journal_to(producer, topics)

    def restore() -> int:
        return case_journal.restore(bootstrap, topics, cases)

    def report(done: Rebuilt) -> None:
        if sys.stderr.isatty():
            print(f"\r{done.written:,} events written", end="", file=sys.stderr, flush=True)

    if keep:
        case_journal.complete(bootstrap, topics, cases, journal)
    else:
        case_journal.drop(bootstrap, topics, cases, journal)
        elastic.drop(sink.client, prefix)
    brought = restore()
    keeper = CaseKeeper(cases, journal, restore)
    done = rebuild(bootstrap, topics.events.name, sink, report, keeper.follow)
    # So that the next question already sees all of it.
    sink.client.indices.refresh(index=f"{prefix}-posts-*")
    cases.store.refresh()
    return brought, done


def _agreed(prefix: str) -> bool:
    if not sys.stdin.isatty():
        return False
    return (
        input(f"Drop all indices {prefix}-posts-* and {prefix}-cases and write them anew? Type yes: ").strip()
        == "yes"
    )
