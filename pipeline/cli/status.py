"""``groundswell status``: servers, roles, lag, rates and the ledger on one page."""

from __future__ import annotations

import argparse
import sys


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declares the command."""
    command = subparsers.add_parser("status", help="servers, roles, lag by partition, rates, the ledger")
    command.add_argument("--format", choices=("table", "json", "csv"), default="table")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Always prints the page; status 1 when a server is away or a role waits."""
    import msgspec

    from pipeline.app import logs
    from pipeline.app.configuration import brokers_of, elasticsearch_url, home_for, settings_for
    from pipeline.app.status import page
    from pipeline.cli.output import write_rows
    from sinks import elastic

    settings = settings_for(args)
    logs.set_up("error")
    home = home_for(args)
    url = elasticsearch_url(settings, home)
    client = elastic.client_for(settings.elasticsearch, url)
    rows = page(settings, home, brokers_of(settings, home), client, url)
    write_rows(
        [msgspec.structs.asdict(row) for row in rows],
        ["part", "name", "state", "detail"],
        args.format,
        sys.stdout,
    )
    return 1 if any(row.state in ("away", "waits", "silent") for row in rows) else 0
