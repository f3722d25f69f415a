"""What ops look at first: servers, roles, lag, rates and the sum of the posts, from offsets and stores.

Never raises for a server that is away: that is what the page is for.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from elasticsearch import Elasticsearch
from msgspec import Struct

from pipeline.app.brokers import Brokers
from pipeline.app.directory.gate import oldest
from pipeline.app.health import ROLES, Presence, Report, asked, present
from pipeline.app.offsets import Span, spans
from pipeline.app.site import group, now
from pipeline.app.standing import Standing
from pipeline.app.supervision import Supervised, supervised
from pipeline.app.tidying.record import Records
from pipeline.app.topics import Topics, admin_client, topics_of
from pipeline.core.errors import GroundswellError, RetryableError
from pipeline.core.index_name import alias
from pipeline.core.settings import Settings
from pipeline.embedded.servers import status as embedded_status
from pipeline.identity.directory import FOLDER, DirectoryReader
from sinks.elastic import answering


class Row(Struct, frozen=True):
    """One line of the page: what part, which of them, in which state, and the particulars."""

    part: str
    name: str
    state: str
    detail: str = ""


class Counts(Struct, frozen=True):
    """The documents of the index: all, and the stubs of deleted posts among them."""

    documents: int
    stubs: int


def page(
    settings: Settings, home: Path, brokers: Brokers, client: Elasticsearch, url: str
) -> tuple[list[Row], list[Standing]]:
    """All rows, top down along the way of a post, and the connectors that run here. Takes about a second, for
    the rates."""
    rows = _embedded(home)
    topics = topics_of(settings.kafka)
    progress = _progress(settings, brokers, topics)
    rows.append(_kafka_row(brokers, progress))
    counts, elastic_row = _index(client, url, settings.elasticsearch.prefix)
    rows.append(elastic_row)
    roles, connectors = _roles(home, settings.http.host)
    rows += roles
    rows += _customers(home, settings)
    rows += _tidied(client, settings)
    if isinstance(progress, dict):
        time.sleep(1.0)
        later = _progress(settings, brokers, topics)
        rows += _lags(topics, progress)
        if isinstance(later, dict):
            rows += _rates(topics, progress, later)
            rows += _ledger(topics, later, counts)
    return rows, connectors


Progress = dict[str, dict[int, Span]]


def _progress(settings: Settings, brokers: Brokers, topics: Topics) -> Progress | str:
    """Topic to partitions, each with what its reader has confirmed; a sentence where Kafka is away."""
    readers = {
        topics.posts.name: group(settings, "enrich"),
        topics.events.name: group(settings, "index"),
        topics.customers.name: group(settings, "directory"),
        topics.rejected.name: None,
    }
    try:
        admin = admin_client(brokers)
        try:
            return {name: spans(admin, name, reader) for name, reader in readers.items()}
        finally:
            admin.close()
    except RetryableError as error:
        return str(error)


def _embedded(home: Path) -> list[Row]:
    rows = []
    for server in embedded_status(home):
        detail = (
            f"port {server.port}, {server.version}, log {server.log}" if server.state == "running" else ""
        )
        rows.append(Row("embedded", server.name, server.state, detail))
    return rows


def _kafka_row(brokers: Brokers, progress: Progress | str) -> Row:
    if isinstance(progress, str):
        return Row("server", "kafka", "away", progress)
    return Row("server", "kafka", "answers", brokers.address)


def _index(client: Elasticsearch, url: str, prefix: str) -> tuple[Counts | None, Row]:
    pattern = f"{alias(prefix)}-*"
    stub = {"term": {"deleted": True}}
    try:
        with answering(client):
            health = client.cluster.health()
            everything = client.count(index=pattern, ignore_unavailable=True)["count"]
            stubs = client.count(index=pattern, query=stub, ignore_unavailable=True)["count"]
    except GroundswellError as error:
        return None, Row("server", "elasticsearch", "away", str(error))
    detail = f"{url}, cluster {health['status']}"
    return Counts(everything, stubs), Row("server", "elasticsearch", "answers", detail)


def _roles(home: Path, host: str) -> tuple[list[Row], list[Standing]]:
    """The roles, and the connectors of those that have some."""
    running = present(home)
    rows: list[Row] = []
    connectors: list[Standing] = []
    for note in running:
        told, standings = _role(note, host)
        rows += told
        connectors += standings
    missing = [role for role in ROLES if role not in {note.role for note in running}]
    notes = {note.role: note for note in supervised(home)}
    rows += [_missing(role, notes.get(role)) for role in missing]
    return sorted(rows, key=lambda row: ROLES.index(row.name)), connectors


def _role(note: Presence, host: str) -> tuple[list[Row], Sequence[Standing]]:
    where = f"pid {note.pid}, http://{host}:{note.port}"
    report = asked(note, host)
    if report is None:
        return [Row("role", note.role, "silent", f"{where}: it does not answer")], ()
    if not report.waits_for:
        return [Row("role", note.role, "ready", where), *_edition(report)], report.connectors
    reasons = "; ".join(dict.fromkeys(report.waits_for.values()))
    return [Row("role", note.role, "waits", f"{reasons} ({where})"), *_edition(report)], report.connectors


def _edition(report: Report) -> list[Row]:
    """Of which files the steps of a role are, where it has some."""
    if (edition := report.edition) is None:
        return []
    since = f"{edition.since:%Y-%m-%d %H:%M:%S}Z"
    if edition.problem:
        return [Row("files", report.role, "refused", f"{edition.problem}; those of {since} go on")]
    versions = ", ".join(f"{name} {version}" for name, version in edition.versions.items())
    return [Row("files", report.role, "in use", f"since {since}: {versions}")]


def _missing(role: str, note: Supervised | None) -> Row:
    """A role that has no process, or one that has not said yet that it is there."""
    if note is None:
        return Row("role", role, "not running here")
    left = max((note.again or 0.0) - time.time(), 0.0)
    again = f"{left:.0f} s" if left < 120 else f"{left / 60:.0f} min"
    told = f"{note.reason}; died {note.deaths} times in a row" if note.deaths else ""
    if note.state == "parked":
        remedy = f"mend it and `kill -HUP {note.pid}`, else tried again in {again}"
        return Row("role", role, "parked", f"{told}; {remedy}")
    if note.state == "rests":
        return Row("role", role, "died", f"{told}; starts again in {again}")
    return Row("role", role, "starting", told)


def _customers(home: Path, settings: Settings) -> list[Row]:
    """How many customers the directory of this home holds, and how old that is; none where it never was."""
    reader = DirectoryReader(home / FOLDER)
    try:
        fresh_at, count = reader.fresh_at(), reader.customers()
    except GroundswellError as error:
        return [Row("directory", "customers", "unreadable", str(error))]
    finally:
        reader.close()
    if fresh_at is None:
        return [Row("directory", "customers", "not built", "by the role directory")] if count else []
    age = max((now() - fresh_at).total_seconds(), 0.0)
    state = "fresh" if age <= oldest(settings.directory.settle_seconds).total_seconds() else "stale"
    return [Row("directory", "customers", state, f"{count} customers, up to date {age:.0f} s ago")]


def _tidied(client: Elasticsearch, settings: Settings) -> list[Row]:
    """When retention last had its day; none where that cannot be asked."""
    try:
        last = Records(client, settings.elasticsearch).read()
    except GroundswellError:
        return []
    if last is None:
        return [Row("retention", "last run", "none yet", f"due from {settings.retention.hour}:00 UTC on")]
    if last.finished_at is None:
        return [Row("retention", "last run", "begun", f"{last.began_at:%Y-%m-%d %H:%M} UTC")]
    did = "; ".join(last.did) or "nothing to do"
    return [Row("retention", "last run", "done", f"{last.finished_at:%Y-%m-%d %H:%M} UTC: {did}")]


def _lags(topics: Topics, progress: Progress) -> list[Row]:
    rows = []
    readers = (
        ("enrich", topics.posts.name),
        ("index", topics.events.name),
        ("directory", topics.customers.name),
    )
    for role, topic in readers:
        for number, span in sorted(progress[topic].items()):
            state = "caught up" if not span.lag else f"lag {span.lag}"
            rows.append(
                Row("lag", f"{topic}-{number}", state, f"{role} confirmed {span.committed} of {span.after}")
            )
    return rows


def _rates(topics: Topics, before: Progress, after: Progress) -> list[Row]:
    def grown(topic: str, what: str) -> int:
        return sum(
            getattr(span, what) - getattr(before[topic].get(number, span), what)
            for number, span in after[topic].items()
        )

    posts, events = topics.posts.name, topics.events.name
    return [
        Row("rate", "taken in", f"{grown(posts, 'after')}/s", "posts topic, over the last second"),
        Row("rate", "enriched", f"{grown(posts, 'committed')}/s", "confirmed by enrich"),
        Row("rate", "indexed", f"{grown(events, 'committed')}/s", "confirmed by index"),
    ]


def _ledger(topics: Topics, progress: Progress, counts: Counts | None) -> list[Row]:
    """The sum of what the log holds; repeats after a crash count twice here, `audit` takes them apart."""
    posts, events = progress[topics.posts.name].values(), progress[topics.events.name].values()
    waiting, unindexed = sum(s.lag for s in posts), sum(s.lag for s in events)
    rows = [
        Row(
            "ledger",
            "posts taken in",
            str(sum(s.after - s.first for s in posts)),
            "records in the posts topic",
        ),
        Row("ledger", "waiting for enrich", str(waiting)),
        Row("ledger", "waiting for index", str(unindexed)),
        Row(
            "ledger",
            "refusals",
            str(sum(s.after - s.first for s in progress[topics.rejected.name].values())),
            "records in the rejected topic; `groundswell rejected list` has each once",
        ),
    ]
    if counts is not None:
        live = counts.documents - counts.stubs
        rows.append(Row("ledger", "documents", str(live), f"and {counts.stubs} stubs of deleted posts"))
    return rows
