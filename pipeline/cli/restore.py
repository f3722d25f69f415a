"""``groundswell restore``: a backup of the log, or a snapshot of the index, brought back."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli.dropping import agreed
from pipeline.core.errors import ConfigError, FatalError

if TYPE_CHECKING:
    from pipeline.app.backup.form import Manifest
    from pipeline.app.rebuild import Rebuilt
    from pipeline.app.reconstruction import Log, Reconstructed
    from pipeline.core.settings import Settings
    from sinks.elastic import ElasticSink


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declares the command."""
    command = subparsers.add_parser("restore", help="bring back a backup of the log, or a snapshot")
    either = command.add_mutually_exclusive_group(required=True)
    either.add_argument("folder", nargs="?", metavar="FOLDER", help="a backup of the log")
    either.add_argument("--snapshot", metavar="NAME", help="a snapshot of the index; `latest` is the newest")
    command.add_argument(
        "--add", action="store_true", help="into topics that hold something: what they know stays as it is"
    )
    command.add_argument(
        "--dry-run", action="store_true", help="check the sums of all files, and bring nothing back"
    )
    command.add_argument("--yes", action="store_true", help="do not ask before dropping the index")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Brings back, and makes the index from it; says how much on standard error."""
    from pipeline.app import logs
    from pipeline.app.configuration import brokers_of, elasticsearch_url, home_for, settings_for
    from pipeline.app.producer import Producer
    from pipeline.app.reconstruction import Log
    from pipeline.app.site import now
    from pipeline.app.topics import ensure_topics
    from sinks import elastic

    settings = settings_for(args)
    logs.set_up("warning")
    home = home_for(args)
    manifest = _checked(Path(args.folder), settings) if args.folder else None
    if manifest and args.dry_run:
        return 0
    url = elasticsearch_url(settings, home)
    sink = elastic.build(settings.elasticsearch, url, expiry=lambda: settings.expiry(now()))
    brokers = brokers_of(settings, home)
    producer = Producer(brokers, client_id="groundswell-restore")
    try:
        log = Log(brokers, ensure_topics(brokers, settings.kafka), producer)
        done = _log(args, log, manifest, sink, settings) if manifest else _snapshot(args, log, sink, settings)
    finally:
        producer.close()
        sink.close()
    if done is None:
        return 0
    print(
        f"wrote {done.events} events, {done.cases} cases, {done.customers} customers and {done.authors}"
        f" authors into the index; {done.refused} events were refused",
        file=sys.stderr,
    )
    return 1 if done.refused else 0


def _checked(folder: Path, settings: Settings) -> Manifest:
    from pipeline.app.backup.bringing import check_fit
    from pipeline.app.backup.form import read_manifest, verify

    manifest = read_manifest(folder)
    check_fit(manifest, settings)
    verify(folder, manifest)
    count = sum(part.records for part in manifest.parts)
    print(f"{folder} of {manifest.created:%Y-%m-%d %H:%M} is whole: {count} records", file=sys.stderr)
    return manifest


def _log(
    args: argparse.Namespace, log: Log, manifest: Manifest, sink: ElasticSink, settings: Settings
) -> Reconstructed:
    from pipeline.app.backup.bringing import bring_back, holding
    from pipeline.app.reconstruction import reconstruct
    from pipeline.app.site import now

    held = holding(log.brokers, log.topics, manifest)
    if held and not args.add:
        raise FatalError(
            f"{', '.join(held)} hold records already: restore into a fresh kafka.prefix, or use --add,"
            " which leaves all that they know as it is"
        )
    events = next((part.records for part in manifest.parts if part.topic == "events"), 0)
    _ask(args, sink, settings, f"a backup of {events} events")
    sent = bring_back(log, Path(args.folder), manifest, settings.expiry(now()))
    for topic, count in sent.items():
        print(f"{count} records into {topic}", file=sys.stderr)
    return reconstruct(log, sink, settings, _quiet, keep=False)


def _snapshot(
    args: argparse.Namespace, log: Log, sink: ElasticSink, settings: Settings
) -> Reconstructed | None:
    from pipeline.app.backup.catching_up import bring_back
    from sinks.snapshots import Repository

    name = settings.elasticsearch.snapshot_repository
    if not name:
        raise ConfigError("no repository of snapshots is set: set elasticsearch.snapshot_repository")
    repository = Repository(sink.client, name, settings.elasticsearch.prefix)
    if args.snapshot == "latest":
        whole = [one for one in repository.all() if one.state == "SUCCESS"]
        if not whole:
            raise ConfigError(f"{name} has no snapshot of ours: make one by `groundswell backup`")
        chosen = whole[-1]
    else:
        chosen = repository.one(args.snapshot)
    print(f"{chosen.name}: {', '.join(chosen.indices)}", file=sys.stderr)
    if args.dry_run:
        return None
    _ask(args, sink, settings, f"{chosen.name} and the log")
    return bring_back(log, repository, chosen, sink, settings)


def _ask(args: argparse.Namespace, sink: ElasticSink, settings: Settings, source: str) -> None:
    if not args.yes and not agreed(sink.client, settings.elasticsearch.prefix, source):
        raise ConfigError("nothing was dropped; answer yes, or use --yes")


def _quiet(_: Rebuilt) -> None:
    pass
