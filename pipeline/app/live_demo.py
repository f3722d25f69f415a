"""The live demo: the real pipeline over what strangers say on Bluesky in this minute.

The brands of the shipped file are invented, so it listens for no names but to all posts in the languages that
complaints are understood in. Its state is an installation of its own, which is deleted at the end unless
somebody wants it kept: the posts are other people's.
"""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from elasticsearch import Elasticsearch
from msgspec import Struct

from pipeline.app.cases.listing import Total
from pipeline.app.collect import Pump, Tally
from pipeline.app.daemon import settle
from pipeline.app.demo import Announce, pipeline, prove, queues_and_cases, stage
from pipeline.app.explain import Explained, explain
from pipeline.app.producer import Producer
from pipeline.app.registry import build_connector
from pipeline.app.search import Search
from pipeline.app.share_of_voice import Share, brands_of, share_of_voice, voices_of
from pipeline.app.topics import ensure_topics
from pipeline.core.errors import FatalError, GroundswellError
from pipeline.core.index_name import alias
from pipeline.core.settings import Settings
from pipeline.embedded.servers import status

NAME = "live"
"""The connector's name, and so the beginning of its variables: GROUNDSWELL_CONNECTORS_LIVE_HOSTS."""

LANGUAGES = ("en", "de", "es", "fr")
"""Those in which the pipeline understands complaints."""

MOST_POSTS = 2000
_SETTINGS = f"""
[connectors.{NAME}]
kind = "bluesky"
languages = [{", ".join(f'"{code}"' for code in LANGUAGES)}]
timeout_seconds = 3
"""
_COPIED = {"brands.toml": "brands.toml", "demo/live_routing.toml": "routing.toml"}
# The first host that answers is enough; a machine without a network says so at once.
_REACH_SECONDS = 12.0
_TRIES = 6
# What ends the part of a sentence that says what is wrong, before the advice.
_CLAUSE = re.compile(r": |; | \(")
_TOLD_SECONDS = 10.0
_SHOWN = 8


class Urgent(Struct, frozen=True):
    """A complaint, as the index holds it. ``who`` is a handle, else an id."""

    id: str
    who: str
    language: str
    category: str
    urgency: float
    text: str


class Tongue(Struct, frozen=True):
    """What was said in one language; sentiment only where the pipeline can tell it."""

    code: str
    posts: int
    negative: int
    neutral: int
    positive: int
    complaints: int


class Heard(Struct, frozen=True):
    """What there is to show. ``records`` came in ``seconds``, deletions among them; ``settled`` is how much
    later the last of them was searchable."""

    seconds: float
    settled: float
    records: int
    tongues: list[Tongue]
    shares: list[Share]
    urgent: list[Urgent]
    queues: list[Total]
    traced: Explained | None


@contextmanager
def own_home(home: Path, keep: bool) -> Iterator[Settings]:
    """Its settings, for as long as the block lasts; then all of it is deleted unless it is to be kept, or
    somebody has started its servers."""
    settings = stage(home, _SETTINGS, _COPIED)
    try:
        yield settings
    finally:
        if not keep and not any(server.state == "running" for server in status(home)):
            shutil.rmtree(home, ignore_errors=True)


def reach(settings: Settings, home: Path) -> None:
    """Returns once Bluesky answers. Raises FatalError within some seconds where it does not, and ConfigError
    where the variables of the connector are wrong."""
    connector = build_connector(NAME, settings.connectors[NAME], home)
    failures: list[GroundswellError] = []
    reached = threading.Event()

    def ask() -> None:
        for _ in range(_TRIES):
            try:
                connector.read(None)
            except GroundswellError as error:
                failures.append(error)
                time.sleep(0.1)
            else:
                reached.set()
                break
        connector.close()

    # In a thread, for looking up a name may take as long as it likes.
    asking = threading.Thread(target=ask, name="groundswell-reach", daemon=True)
    asking.start()
    asking.join(_REACH_SECONDS)
    if not reached.is_set():
        reason = _CLAUSE.split(str(failures[-1]))[0] if failures else "it does not answer"
        raise FatalError(
            f"there is no way to Bluesky from here ({reason}): connect this machine to the network, or run"
            " `groundswell demo` without --live, which needs none"
        )


def listen(settings: Settings, home: Path, seconds: float, announce: Announce) -> Heard:
    """Listens for so many seconds, or until there are two thousand posts, and asks the index what came of it.

    Raises FatalError when nothing was heard, or when the audit finds a fault.
    """
    with pipeline(home, settings, announce) as (brokers, client, daemon):
        topics = ensure_topics(brokers, settings.kafka)
        daemon.wait_until_ready(home, settings.http.host)
        announce(f"listening to Bluesky for {seconds:.0f} s: all posts in {', '.join(LANGUAGES)}")
        with closing(build_connector(NAME, settings.connectors[NAME], home)) as connector:
            producer = Producer(brokers, client_id="groundswell-live-demo")
            stop = threading.Event()
            clock = _Clock(seconds, stop, announce)
            try:
                with clock:
                    pump = Pump(connector, producer, topics, stop, keep=lambda _: None, report=clock.heard)
                    tally = pump.run(None)
            finally:
                producer.close()
        if not tally.posts:
            raise FatalError(f"nothing was heard in {clock.spent:.0f} s: try again, or --seconds 300")
        ended = time.monotonic()
        settle(settings, brokers, daemon, limit=120)
        settled = time.monotonic() - ended
        ledger = prove(settings, brokers, client, announce)
        return _ask(client, settings, home, (clock.spent, settled), ledger.records)


class _Clock:
    """Ends the listening when the time is over or enough was heard, and tells how it goes."""

    def __init__(self, seconds: float, stop: threading.Event, announce: Announce) -> None:
        self._stop = stop
        self._announce = announce
        self._began = time.monotonic()
        self._told = 0.0
        # For a connector that does not come back from reading, too.
        self._timer = threading.Timer(seconds, stop.set)
        self._timer.daemon = True
        self.spent = 0.0

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self.spent = time.monotonic() - self._began

    def heard(self, tally: Tally) -> None:
        """What there is by now."""
        spent = time.monotonic() - self._began
        if tally.posts >= MOST_POSTS:
            self._stop.set()
        if spent - self._told >= _TOLD_SECONDS:
            self._told = spent
            self._announce(f"{tally.posts} posts and deletions, {tally.posts / spent:.0f} a second")


_TONGUES = {
    "terms": {"field": "language.code", "size": _SHOWN},
    "aggs": {
        "label": {"terms": {"field": "sentiment.label"}},
        "complaints": {"filter": {"term": {"complaint.is_complaint": True}}},
    },
}
_URGENT: list[dict[str, Any]] = [
    {"complaint.urgency": "desc"},
    {"complaint.probability": "desc"},
    {"id": "asc"},
]


def _ask(
    client: Elasticsearch, settings: Settings, home: Path, spans: tuple[float, float], records: int
) -> Heard:
    """``spans`` are how long was listened and how long the last post took."""
    index = alias(settings.elasticsearch.prefix)
    live = {"bool": {"must_not": [{"term": {"deleted": True}}]}}
    groups = client.search(index=index, size=0, query=live, aggs={"tongues": _TONGUES})["aggregations"]
    complaints = {"bool": {"filter": [live, {"term": {"complaint.is_complaint": True}}]}}
    found = client.search(index=index, size=_SHOWN, query=complaints, sort=_URGENT)["hits"]["hits"]
    urgent = [_urgent(hit["_source"]) for hit in found]
    return Heard(
        seconds=spans[0],
        settled=spans[1],
        records=records,
        tongues=[_tongue(bucket) for bucket in groups["tongues"]["buckets"]],
        shares=[
            one
            for one in share_of_voice(client, index, Search(), voices_of(brands_of(settings)))
            if one.posts
        ],
        urgent=urgent,
        queues=queues_and_cases(settings, home)[0],
        traced=explain(client, settings, urgent[0].id) if urgent else None,
    )


def _tongue(bucket: dict[str, Any]) -> Tongue:
    labels = {label["key"]: label["doc_count"] for label in bucket["label"]["buckets"]}
    return Tongue(
        code=bucket["key"],
        posts=bucket["doc_count"],
        negative=labels.get("negative", 0),
        neutral=labels.get("neutral", 0),
        positive=labels.get("positive", 0),
        complaints=bucket["complaints"]["doc_count"],
    )


def _urgent(source: dict[str, Any]) -> Urgent:
    author = source.get("author") or {}
    return Urgent(
        id=source["id"],
        who=author.get("handle") or author.get("id") or "",
        language=(source.get("language") or {}).get("code", ""),
        category=source["complaint"].get("category", ""),
        urgency=source["complaint"].get("urgency", 0.0),
        text=source.get("text", ""),
    )
