"""The demo: the real pipeline on this machine over posts about invented brands, from nothing to a plot.

Its state is an installation of its own, so that nothing of it mixes with anybody's posts.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path

from elasticsearch import Elasticsearch
from msgspec import Struct

from pipeline.app.auditor import Auditor
from pipeline.app.configuration import elasticsearch_url, kafka_bootstrap
from pipeline.app.daemon import Daemon, settle, surroundings
from pipeline.app.replay import replay_file
from pipeline.app.topics import ensure_topics
from pipeline.core.configuration import read_settings
from pipeline.core.errors import FatalError
from pipeline.core.settings import Settings
from pipeline.embedded.account import account_for, make_home
from pipeline.embedded.servers import running, status
from sinks import elastic

Announce = Callable[[str], None]

# Days of the demo's story in the order of the plot, label to count.
Days = dict[str, dict[str, int]]
LABELS = ("negative", "neutral", "positive")

SETTINGS_FILE = "groundswell.toml"
_SETTINGS = """\
# The demo's own installation; it is written anew by every `groundswell demo`.
[http]
port = 0

[enrichers.entities]
file = "brands.toml"
"""


class Shown(Struct, frozen=True):
    """What there is to show at the end."""

    lines: int
    seconds: float
    days: Days
    languages: list[tuple[str, int]]
    loudest: list[tuple[str, str]]
    documents: int
    stubs: int


def stage(home: Path) -> Settings:
    """Sets up the demo's own installation, whatever the caller's shell and folder say of another.

    Clears what an earlier demo left, unless its servers run. Returns its settings.
    """
    if not any(server.state == "running" for server in status(home)):
        for name in ("data", "cursors", "conf", "faust"):
            shutil.rmtree(home / name, ignore_errors=True)
    # The home around the demo's is ours as well, and the servers' own user must get through it.
    make_home(home.parent, account_for(home.parent))
    home.mkdir(mode=0o700, exist_ok=True)
    file = home / SETTINGS_FILE
    file.write_text(_SETTINGS)
    (home / "brands.toml").write_bytes((files("configs") / "brands.toml").read_bytes())
    return read_settings(file, {})


@contextmanager
def pipeline(
    home: Path, settings: Settings, announce: Announce
) -> Iterator[tuple[str, Elasticsearch, Daemon]]:
    """Servers and daemon for as long as the block lasts; leaves no process behind, whatever ends it."""
    with running(home, announce=announce):
        bootstrap = kafka_bootstrap(settings, home)
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
            yield bootstrap, client, daemon
        finally:
            daemon.stop()
            client.close()


def play(settings: Settings, home: Path, announce: Announce) -> Shown:
    """Sends the demo's posts through everything and asks the index what came of them."""
    with pipeline(home, settings, announce) as (bootstrap, client, daemon):
        topics = ensure_topics(bootstrap, settings.kafka)
        began = time.monotonic()
        with as_file(files("configs") / "demo" / "posts.jsonl") as path:
            tally = replay_file(
                str(path), bootstrap, topics, home, threading.Event(), rate=None, resume=False
            )
        announce(f"sent {tally.posts} posts, edits and deletions to Kafka")
        settle(settings, bootstrap, daemon, limit=120)
        seconds = time.monotonic() - began
        announce("all of them are enriched and in Elasticsearch; holding the log against the index")
        ledger, findings = Auditor(settings, bootstrap, client).audit()
        if findings:
            raise FatalError(f"the audit found {len(findings)} faults, the first: {findings[0]}")
        announce(
            f"every record is accounted for: {ledger.records} taken in = {ledger.applied} shown + "
            f"{ledger.superseded} superseded by edits + {ledger.deleted} deleted + "
            f"{ledger.duplicates} repeats" + (f" + {ledger.rejected} rejected" if ledger.rejected else "")
        )
        return _ask(client, f"{settings.elasticsearch.prefix}-posts", tally.posts, seconds)


_DAYS = {
    "date_histogram": {"field": "created_at", "calendar_interval": "day", "format": "MM-dd"},
    "aggs": {"label": {"terms": {"field": "sentiment.label"}}},
}


def _ask(client: Elasticsearch, index: str, lines: int, seconds: float) -> Shown:
    answer = client.search(
        index=index,
        size=0,
        query={"bool": {"must_not": [{"term": {"deleted": True}}]}},
        aggs={"days": _DAYS, "languages": {"terms": {"field": "language.code", "size": 10}}},
    )
    loudest = client.search(
        index=index,
        size=3,
        query={"bool": {"filter": [{"term": {"direction": "inbound"}}]}},
        sort=[{"sentiment.compound": "asc"}, {"id": "asc"}],
        source={"includes": ["text", "author.handle", "author.name"]},
    )
    groups = answer["aggregations"]
    days = {
        day["key_as_string"]: {label["key"]: label["doc_count"] for label in day["label"]["buckets"]}
        for day in groups["days"]["buckets"]
    }
    stubs = client.count(index=index, query={"term": {"deleted": True}})["count"]
    return Shown(
        lines=lines,
        seconds=seconds,
        days=days,
        languages=[(entry["key"], entry["doc_count"]) for entry in groups["languages"]["buckets"]],
        loudest=[_quote(hit["_source"]) for hit in loudest["hits"]["hits"]],
        documents=client.count(index=index)["count"] - stubs,
        stubs=stubs,
    )


def _quote(source: dict[str, dict[str, str] | str]) -> tuple[str, str]:
    author = source["author"]
    assert isinstance(author, dict)
    return author.get("handle") or author.get("name", ""), str(source["text"])
