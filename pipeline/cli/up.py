"""``groundswell up``: real Kafka and real Elasticsearch on this machine, without Docker."""

from __future__ import annotations

import argparse
import sys


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declares the command."""
    command = subparsers.add_parser(
        "up",
        help="start Kafka and Elasticsearch on this machine",
        description="Starts what does not run yet; the servers stay in the background until `down`.",
    )
    command.add_argument(
        "--kafka-port", type=int, metavar="N", help="default: that of last time, else 9092 if free"
    )
    command.add_argument("--elasticsearch-port", type=int, metavar="N", help="likewise, 9200")
    command.add_argument(
        "--elasticsearch-line",
        choices=("8", "9"),
        help="default: the one that wrote the data, else 9 given Java 21",
    )
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints the two addresses, where the logs are and how to stop; what happens meanwhile goes to stderr."""
    from pipeline.app.configuration import home_for
    from pipeline.embedded import servers

    home = home_for(args)
    addresses = servers.up(
        home,
        kafka_port=args.kafka_port,
        elasticsearch_port=args.elasticsearch_port,
        elasticsearch_line=args.elasticsearch_line,
        announce=lambda message: print(message, file=sys.stderr, flush=True),
    )
    print(f"Kafka          {addresses.kafka}")
    print(f"Elasticsearch  {addresses.elasticsearch}")
    print(f"Logs           {home / 'logs'}")
    print("Stop with      groundswell down")
    return 0
