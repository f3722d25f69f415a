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
    """Drops the indices of posts unless ``--keep``, then writes every event of the log."""
    from pipeline.app import logs
    from pipeline.app.author_memory import AuthorMemory
    from pipeline.app.configuration import elasticsearch_url, home_for, kafka_bootstrap, settings_for
    from pipeline.app.rebuild import Rebuilt, rebuild
    from pipeline.app.site import now
    from pipeline.app.topics import topics_of
    from sinks import elastic

    settings = settings_for(args)
    logs.set_up("warning")
    home = home_for(args)
    prefix = settings.elasticsearch.prefix
    if not args.keep and not args.yes and not _agreed(prefix):
        raise ConfigError("nothing was dropped; answer yes, or use --yes or --keep")
    sink = elastic.build(settings.elasticsearch, elasticsearch_url(settings, home))
    if not args.keep:
        elastic.drop(sink.client, prefix)

    def report(done: Rebuilt) -> None:
        if sys.stderr.isatty():
            print(f"\r{done.written:,} events written", end="", file=sys.stderr, flush=True)

    done = rebuild(kafka_bootstrap(settings, home), topics_of(settings.kafka).events.name, sink, report)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    # So that the next question already sees all of it.
    sink.client.indices.refresh(index=f"{prefix}-posts-*")
    authors = AuthorMemory(sink.client, settings.elasticsearch, now).reckon_all()
    print(
        f"rebuilt the index from {done.written} events of the log; {done.refused} were refused;"
        f" {authors} authors are reckoned anew",
        file=sys.stderr,
    )
    return 1 if done.refused else 0


def _agreed(prefix: str) -> bool:
    if not sys.stdin.isatty():
        return False
    return input(f"Drop all indices {prefix}-posts-* and write them anew? Type yes: ").strip() == "yes"
