"""``groundswell backup``: the log into a folder, or the index into a repository of snapshots."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.core.errors import ConfigError

if TYPE_CHECKING:
    from pipeline.core.settings import Settings

Rows = list[dict[str, object]]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declares the command."""
    command = subparsers.add_parser("backup", help="the log into files, or the index into a snapshot")
    command.add_argument(
        "folder",
        nargs="?",
        metavar="FOLDER",
        help="write the log into a new folder in this one (default: make a snapshot of the index)",
    )
    command.add_argument("--list", action="store_true", help="make none; list those that are there")
    command.add_argument("--format", choices=("table", "json", "csv"), default="table")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints what was made, or what is there."""
    from pipeline.app import logs
    from pipeline.app.configuration import settings_for
    from pipeline.cli.output import write_rows

    settings = settings_for(args)
    logs.set_up("warning")
    if args.folder is None:
        rows = _snapshots(args, settings)
        columns = ["snapshot", "state", "began_at", "indices"]
    else:
        rows = _listed(Path(args.folder)) if args.list else _made(args, settings)
        columns = ["backup", "topic", "records", "bytes"]
    write_rows(rows, columns, args.format, sys.stdout)
    return 0


def _made(args: argparse.Namespace, settings: Settings) -> Rows:
    from datetime import UTC, datetime

    from pipeline.app.backup.making import back_up
    from pipeline.app.configuration import brokers_of, home_for

    brokers = brokers_of(settings, home_for(args))
    return _parts(back_up(brokers, settings, Path(args.folder), datetime.now(UTC)))


def _listed(folder: Path) -> Rows:
    from pipeline.app.backup.form import MANIFEST

    return [row for found in sorted(folder.glob(f"*/{MANIFEST}")) for row in _parts(found.parent)]


def _parts(folder: Path) -> Rows:
    from pipeline.app.backup.form import read_manifest

    return [
        {"backup": str(folder), "topic": part.topic, "records": part.records, "bytes": part.bytes}
        for part in read_manifest(folder).parts
    ]


def _snapshots(args: argparse.Namespace, settings: Settings) -> Rows:
    """All snapshots where they are to be listed, else the one that is made."""
    from datetime import UTC, datetime

    from pipeline.app.backup.catching_up import make
    from pipeline.app.configuration import brokers_of, elasticsearch_url, home_for
    from pipeline.app.producer import Producer
    from pipeline.app.reconstruction import Log
    from pipeline.app.topics import topics_of
    from sinks import elastic
    from sinks.snapshots import Repository

    if not settings.elasticsearch.snapshot_repository:
        raise ConfigError(
            "no repository of snapshots is set: name a FOLDER for a backup of the log, or set"
            " elasticsearch.snapshot_repository"
        )
    home = home_for(args)
    brokers = brokers_of(settings, home)
    client = elastic.client_for(settings.elasticsearch, elasticsearch_url(settings, home))
    repository = Repository(client, settings.elasticsearch.snapshot_repository, settings.elasticsearch.prefix)
    producer = Producer(brokers, client_id="groundswell-backup")
    try:
        if args.list:
            found = repository.all()
        else:
            written = Log(brokers, topics_of(settings.kafka), producer)
            found = [repository.one(make(written, repository, settings, datetime.now(UTC)))]
    finally:
        producer.close()
        client.close()
    return [
        {
            "snapshot": one.name,
            "state": one.state,
            "began_at": one.began_at,
            "indices": len(one.indices),
        }
        for one in found
    ]
