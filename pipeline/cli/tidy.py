"""``groundswell tidy``: retention at once, or what it would do."""

from __future__ import annotations

import argparse
import sys


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declares the command."""
    command = subparsers.add_parser(
        "tidy", help="drop what is past its time, close old months; the daemon does it once a day"
    )
    command.add_argument("--dry-run", action="store_true", help="do nothing; say what would be done")
    command.add_argument("--format", choices=("table", "json", "csv"), default="table")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints what is done, or would be."""
    from datetime import UTC, datetime

    import msgspec

    from pipeline.app import logs
    from pipeline.app.configuration import brokers_of, elasticsearch_url, home_for, settings_for
    from pipeline.app.producer import Producer
    from pipeline.app.reconstruction import Log
    from pipeline.app.tidying.tidier import Tidier
    from pipeline.app.topics import ensure_topics
    from pipeline.cli.output import write_rows
    from sinks import elastic

    settings = settings_for(args)
    logs.set_up("warning")
    home = home_for(args)
    brokers = brokers_of(settings, home)
    topics = ensure_topics(brokers, settings.kafka)
    client = elastic.client_for(settings.elasticsearch, elasticsearch_url(settings, home))
    producer = Producer(brokers, client_id="groundswell-tidy")
    now = datetime.now(UTC)
    try:
        tidier = Tidier(client, settings, Log(brokers, topics, producer))
        tidier.demand_right_clock(now)
        items = tidier.plan(now)
        done = () if args.dry_run else tidier.run(now).did
    finally:
        producer.close()
        client.close()
    rows = [msgspec.structs.asdict(item) for item in items]
    write_rows(rows, ["what", "name", "posts", "why"], args.format, sys.stdout)
    for sentence in done:
        print(sentence, file=sys.stderr)
    if args.dry_run:
        print("nothing was done", file=sys.stderr)
    return 0
