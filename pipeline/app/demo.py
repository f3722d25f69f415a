"""The demo: the real pipeline on this machine over posts about invented brands, from nothing to a full queue.

Its state is an installation of its own, so that nothing of it mixes with anybody's posts.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from elasticsearch import Elasticsearch
from msgspec import Struct

from pipeline.app.audit import Ledger
from pipeline.app.auditor import Auditor
from pipeline.app.brokers import Brokers
from pipeline.app.cases.desk import Desk
from pipeline.app.cases.listing import CaseList, Row, Total
from pipeline.app.configuration import brokers_of, elasticsearch_url
from pipeline.app.customers import stage as customer_stage
from pipeline.app.customers.file import CustomerFile
from pipeline.app.customers.importing import Import, held
from pipeline.app.customers.region import region_of
from pipeline.app.customers.source import Source
from pipeline.app.daemon import Daemon, settle, surroundings
from pipeline.app.explain import Explained, explain
from pipeline.app.joining import names_of
from pipeline.app.producer import Producer
from pipeline.app.replay import replay_file
from pipeline.app.search import Search
from pipeline.app.share_of_voice import Share, brands_of, share_of_voice, voices_of
from pipeline.app.site import now
from pipeline.app.topics import Topics, ensure_topics
from pipeline.core.configuration import read_settings
from pipeline.core.errors import FatalError
from pipeline.core.index_name import alias
from pipeline.core.settings import Settings
from pipeline.embedded.account import account_for, make_home
from pipeline.embedded.servers import running, status
from sinks import elastic
from sinks.store import Store

Announce = Callable[[str], None]

# Days of the demo's story in the order of the plot, label to count.
Days = dict[str, dict[str, int]]
LABELS = ("negative", "neutral", "positive")

SETTINGS_FILE = "groundswell.toml"
_SETTINGS = """\
# The demo's own installation; it is written anew by every `groundswell demo`.
[http]
port = 0

[enrichers.direction]
file = "brands.toml"

[enrichers.entities]
file = "brands.toml"

[enrichers.contacts]
region = "US"
number = "LW-[0-9]{6}"

[enrichers.route]
file = "routing.toml"
"""
_COPIED = {"brands.toml": "brands.toml", "routing.toml": "routing.toml"}

# Rows of the queue to show.
_CASES = 6


class Shown(Struct, frozen=True):
    """What there is to show at the end."""

    lines: int
    seconds: float
    days: Days
    languages: list[tuple[str, int]]
    documents: int
    stubs: int
    shares: list[Share]
    queues: list[Total]
    cases: list[Row]
    known: list[Known]
    traced: Explained | None


class Known(Struct, frozen=True):
    """A customer whom the posts of several channels were linked to."""

    id: str
    name: str
    channels: list[tuple[str, int]]
    evidence: list[str]


def stage(home: Path, more: str = "", copied: Mapping[str, str] = _COPIED) -> Settings:
    """Sets up the demo's own installation, whatever the caller's shell and folder say of another.

    Clears what an earlier demo left, unless its servers run. ``more`` is appended to the settings file,
    ``copied`` are files of `configs` by the names that they get. Returns its settings.
    """
    if not any(server.state == "running" for server in status(home)):
        for name in ("data", "cursors", "conf", "faust"):
            shutil.rmtree(home / name, ignore_errors=True)
    # The home around the demo's is ours as well, and the servers' own user must get through it.
    make_home(home.parent, account_for(home.parent))
    home.mkdir(mode=0o700, exist_ok=True)
    file = home / SETTINGS_FILE
    file.write_text(_SETTINGS + more)
    for shipped, name in copied.items():
        (home / name).write_bytes((files("configs") / shipped).read_bytes())
    return read_settings(file, {})


@contextmanager
def pipeline(
    home: Path, settings: Settings, announce: Announce
) -> Iterator[tuple[Brokers, Elasticsearch, Daemon]]:
    """Servers and daemon for as long as the block lasts; leaves no process behind, whatever ends it."""
    with running(home, announce=announce):
        brokers = brokers_of(settings, home)
        client = elastic.client_for(settings.elasticsearch, elasticsearch_url(settings, home))
        log = home / "logs" / "run.log"
        environ = surroundings(
            os.environ,
            GROUNDSWELL_HOME=str(home),
            GROUNDSWELL_CONFIG=str(home / SETTINGS_FILE),
        )
        daemon = Daemon(log, roles=("enrich", "index", "directory"), environ=environ)
        announce(f"starting the daemon: enrich, index and directory (log: {log})")
        daemon.start()
        try:
            yield brokers, client, daemon
        finally:
            daemon.stop()
            client.close()


def play(settings: Settings, home: Path, announce: Announce) -> Shown:
    """Sends the demo's posts through everything and asks the index what came of them."""
    with pipeline(home, settings, announce) as (brokers, client, daemon):
        topics = ensure_topics(brokers, settings.kafka)
        announce(f"imported {_import_customers(settings, brokers, topics)} customers")
        began = time.monotonic()
        with as_file(files("configs") / "demo" / "posts.jsonl") as path:
            tally = replay_file(str(path), brokers, topics, home, threading.Event(), rate=None, resume=False)
        announce(f"sent {tally.posts} posts, edits and deletions to Kafka")
        settle(settings, brokers, daemon, limit=120)
        seconds = time.monotonic() - began
        prove(settings, brokers, client, announce)
        return _ask(client, settings, home, tally.posts, seconds)


def prove(settings: Settings, brokers: Brokers, client: Elasticsearch, announce: Announce) -> Ledger:
    """Tells the sum of the posts, once all are worked off; FatalError where the audit finds a fault."""
    announce("all of them are enriched and in Elasticsearch; holding the log against the index")
    ledger, findings = Auditor(settings, brokers, client).audit()
    if findings:
        raise FatalError(f"the audit found {len(findings)} faults, the first: {findings[0]}")
    announce(
        f"every record is accounted for: {ledger.records} taken in = {ledger.applied} shown + "
        f"{ledger.superseded} superseded by edits + {ledger.deleted} deleted + "
        f"{ledger.duplicates} repeats" + (f" + {ledger.rejected} rejected" if ledger.rejected else "")
    )
    return ledger


def _import_customers(settings: Settings, brokers: Brokers, topics: Topics) -> int:
    """Takes in the demo's books as `customer import` does; how many customers they hold."""
    producer = Producer(brokers, client_id="groundswell-demo")
    with as_file(files("configs") / "demo" / "customers.csv") as path, closing(Source(str(path))) as source:
        file = CustomerFile(source, region_of(settings))
        with closing(Import(file, held(brokers, topics.customers.name), replace=False)) as work:
            for finding in work.findings():
                raise FatalError(f"customers.csv, line {finding.line}: {finding.problem}")
            work.send(producer, topics.customers.name)
            producer.close()
            return work.summary.rows


_DAYS = {
    "date_histogram": {"field": "created_at", "calendar_interval": "day", "format": "MM-dd"},
    "aggs": {"label": {"terms": {"field": "sentiment.label"}}},
}
_KNOWN = {
    "terms": {"field": "customer.id", "size": 3, "order": [{"channels": "desc"}, {"_count": "desc"}]},
    "aggs": {
        "channels": {"cardinality": {"field": "source"}},
        "sources": {"terms": {"field": "source"}},
        "evidence": {"terms": {"field": "customer.evidence"}},
    },
}


def _ask(client: Elasticsearch, settings: Settings, home: Path, lines: int, seconds: float) -> Shown:
    index = alias(settings.elasticsearch.prefix)
    answer = client.search(
        index=index,
        size=0,
        query={"bool": {"must_not": [{"term": {"deleted": True}}]}},
        aggs={"days": _DAYS, "languages": {"terms": {"field": "language.code", "size": 10}}, "known": _KNOWN},
    )
    groups = answer["aggregations"]
    days = {
        day["key_as_string"]: {label["key"]: label["doc_count"] for label in day["label"]["buckets"]}
        for day in groups["days"]["buckets"]
    }
    stubs = client.count(index=index, query={"term": {"deleted": True}})["count"]
    queues, waiting = queues_and_cases(settings, home)
    return Shown(
        lines=lines,
        seconds=seconds,
        days=days,
        languages=_counts(groups["languages"]),
        documents=client.count(index=index)["count"] - stubs,
        stubs=stubs,
        shares=share_of_voice(client, index, Search(), voices_of(brands_of(settings))),
        queues=queues,
        cases=waiting,
        known=_known(client, settings, groups["known"]["buckets"]),
        traced=_traced(client, settings, waiting),
    )


def queues_and_cases(settings: Settings, home: Path) -> tuple[list[Total], list[Row]]:
    """How the queues stand, and the first cases of all of them."""
    desk = Desk(settings, home)
    try:
        cases = CaseList(desk.client, settings.elasticsearch, desk.cases)
        return cases.totals(now()), list(cases.rows(limit=_CASES))
    finally:
        desk.close()


def _traced(client: Elasticsearch, settings: Settings, waiting: list[Row]) -> Explained | None:
    """The most pressing case of somebody whom we know: there is the most to tell."""
    cases = [row for row in waiting if row["customer"]] or waiting
    return explain(client, settings, str(cases[0]["post"])) if cases else None


def _counts(group: dict[str, list[dict[str, Any]]]) -> list[tuple[str, int]]:
    return [(entry["key"], entry["doc_count"]) for entry in group["buckets"]]


def _known(client: Elasticsearch, settings: Settings, buckets: list[dict[str, Any]]) -> list[Known]:
    customers = Store(client, settings.elasticsearch, customer_stage.KIND)
    names = names_of([bucket["key"] for bucket in buckets], customers)
    return [
        Known(
            bucket["key"],
            names[bucket["key"]],
            _counts(bucket["sources"]),
            [evidence for evidence, _ in _counts(bucket["evidence"])],
        )
        for bucket in buckets
        if bucket["key"] in names
    ]
