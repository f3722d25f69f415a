"""``groundswell audit``: is every post accounted for?"""

from __future__ import annotations

import argparse
import sys

SHOWN = 100


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declares the command."""
    command = subparsers.add_parser(
        "audit", help="hold the topics against the index; name what breaks the sum"
    )
    command.add_argument("--format", choices=("table", "json", "csv"), default="table")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints the ledger; findings go to standard error, and then the exit status is 1."""
    from pipeline.app.auditor import Auditor
    from pipeline.app.configuration import brokers_of, elasticsearch_url, home_for, settings_for
    from pipeline.cli.output import write_rows
    from sinks import elastic

    settings = settings_for(args)
    home = home_for(args)
    url = elasticsearch_url(settings, home)
    client = elastic.client_for(settings.elasticsearch, url)
    ledger, findings = Auditor(settings, brokers_of(settings, home), client).audit()
    rows = [{"outcome": name, "records": getattr(ledger, name)} for name in ledger.__struct_fields__]
    write_rows(rows, ["outcome", "records"], args.format, sys.stdout)
    for finding in findings[:SHOWN]:
        print(f"{finding.id}: {finding.fault}", file=sys.stderr)
    if len(findings) > SHOWN:
        print(f"… and {len(findings) - SHOWN} more", file=sys.stderr)
    return 1 if findings else 0
