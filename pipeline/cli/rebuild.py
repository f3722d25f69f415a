"""``groundswell rebuild``: the index anew from the log."""

from __future__ import annotations

import argparse
import sys

from pipeline.core.errors import ConfigError


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
    from pipeline.app import case_journal, logs
    from pipeline.app.author_memory import AuthorMemory
    from pipeline.app.case_keeper import CaseKeeper
    from pipeline.app.configuration import elasticsearch_url, home_for, kafka_bootstrap, settings_for
    from pipeline.app.producer import Producer
    from pipeline.app.rebuild import Rebuilt, rebuild
    from pipeline.app.site import now
    from pipeline.app.topics import ensure_topics
    from sinks import elastic
    from sinks.cases import Cases

    settings = settings_for(args)
    logs.set_up("warning")
    home = home_for(args)
    prefix = settings.elasticsearch.prefix
    if not args.keep and not args.yes and not _agreed(prefix):
        raise ConfigError("nothing was dropped; answer yes, or use --yes or --keep")
    bootstrap = kafka_bootstrap(settings, home)
    topics = ensure_topics(bootstrap, settings.kafka)
    sink = elastic.build(settings.elasticsearch, elasticsearch_url(settings, home))
    cases = Cases(sink.client, settings.elasticsearch)
    producer = Producer(bootstrap, client_id="groundswell-rebuild")
    journal = case_journal.journal_to(producer, topics)

    def restore() -> int:
        return case_journal.restore(bootstrap, topics, cases)

    def report(done: Rebuilt) -> None:
        if sys.stderr.isatty():
            print(f"\r{done.written:,} events written", end="", file=sys.stderr, flush=True)

    try:
        if args.keep:
            case_journal.complete(bootstrap, topics, cases, journal)
        else:
            case_journal.drop(bootstrap, topics, cases, journal)
            elastic.drop(sink.client, prefix)
        brought = restore()
        keeper = CaseKeeper(cases, journal, restore)
        done = rebuild(bootstrap, topics.events.name, sink, report, keeper.follow)
    finally:
        producer.close()
    if sys.stderr.isatty():
        print(file=sys.stderr)
    # So that the next question already sees all of it.
    sink.client.indices.refresh(index=f"{prefix}-posts-*")
    cases.store.refresh()
    authors = AuthorMemory(sink.client, settings.elasticsearch, now).reckon_all()
    print(
        f"rebuilt the index from {done.written} events and {brought} cases of the log; {done.refused} events"
        f" were refused; {authors} authors are reckoned anew",
        file=sys.stderr,
    )
    return 1 if done.refused else 0


def _agreed(prefix: str) -> bool:
    if not sys.stdin.isatty():
        return False
    return (
        input(f"Drop all indices {prefix}-posts-* and {prefix}-cases and write them anew? Type yes: ").strip()
        == "yes"
    )
