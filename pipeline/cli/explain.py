"""``groundswell explain POST_ID``: why a post was scored, matched, linked and routed as it was."""

from __future__ import annotations

import argparse
import json
import sys


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declares the command."""
    command = subparsers.add_parser(
        "explain",
        help="why a post was scored, matched, linked and routed so",
        description="Everything that the index knows of one post and how it came about: the words behind the"
        " sentiment and the complaint, the names, the customer, the way through the rules, the case, and what"
        " today's steps would say.",
    )
    command.add_argument("id", metavar="POST_ID", help="such as x:2107005952455645816; `query` lists them")
    command.add_argument("--format", choices=("text", "json"), default="text")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints the explanation. Raises FatalError for an id that the index does not have, ConfigError and
    RetryableError where it cannot be asked."""
    import msgspec

    from pipeline.app import logs
    from pipeline.app.configuration import elasticsearch_url, home_for, settings_for
    from pipeline.app.explain import explain
    from pipeline.cli.explained import page
    from sinks.elastic import client_for

    settings = settings_for(args)
    logs.set_up("error")
    client = client_for(settings.elasticsearch, elasticsearch_url(settings, home_for(args)))
    try:
        told = explain(client, settings, args.id.strip())
    finally:
        client.close()
    if args.format == "json":
        # JSON leaves marks of direction as they are; a terminal gets only ASCII.
        print(json.dumps(msgspec.to_builtins(told), indent=2, ensure_ascii=sys.stdout.isatty()))
    else:
        sys.stdout.write(page(told))
    return 0
