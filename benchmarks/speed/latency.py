"""How long a post is under way at an even rate: into its queue's topic, into the events topic, and until a
search finds it.

Counted from the broker's own time of appending to the posts topic. A search for all that is outstanding
tells what can be found; it is asked some ten times a second, so its figures are late by up to that.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence

from bench import Bench
from elasticsearch import ApiError
from kafka.admin import KafkaAdminClient
from outputs import WrongOutput
from posts import lines_of, varied
from rows import Row

from pipeline.app.brokers import Brokers
from pipeline.app.log_reader import read_topic
from pipeline.app.producer import Producer, Record
from pipeline.app.topics import admin_client, topics_of
from testkit.waiting import until

TICK = 0.01
PAUSE = 0.08
WARM = 2_000
"""Posts that are sent before, so that indices, caches and the JIT are warm; from all over the others, for the
replay has one source after the other, and each has months and so indices of its own."""


GOALS = {"queue topic": 150, "searchable": 1800}
"""Milliseconds at p99."""


def latency(bench: Bench, rate: int, seconds: int) -> list[Row]:
    """p50, p99 and p100 by where a post comes to. Raises WrongOutput when one is lost."""
    return [
        Row(
            area="latency",
            what=f"{place} {share}",
            beside="the posts topic",
            got=value,
            unit="ms",
            goal=GOALS.get(place) if share == "p99" else None,
            at_most=True,
        )
        for place, shares in _measured(bench, rate, seconds).items()
        for share, value in shares.items()
    ]


def _measured(bench: Bench, rate: int, seconds: int) -> dict[str, dict[str, float]]:
    installation = bench.install("latency", (), ())
    topics = topics_of(installation.settings.kafka)
    daemon = installation.daemon("enrich", "index")
    found = varied(WARM + rate * seconds)
    records = [
        Record(topics.posts.name, post["id"].encode(), line)
        for post, line in zip(found, lines_of(found), strict=True)
    ]
    before = range(0, len(records), len(records) // WARM)[:WARM]
    warm, timed = [records[at] for at in before], [r for at, r in enumerate(records) if at not in before]
    producer = Producer(bench.kafka, client_id="benchmark")
    try:
        producer.deliver(warm)
        installation.settle(daemon)
        finder = _Finder(bench, f"{installation.prefix}-posts-*", len(timed))
        _send(producer, timed, rate, finder)
        until(finder.ended.is_set, 120, "every post is found")
    finally:
        producer.close()
        installation.close()
    sent = _appended(bench.kafka, topics.posts.name)
    ids = [record.key.decode() for record in timed]
    if len(finder.found) < len(ids):
        raise WrongOutput(f"a search found {len(finder.found)} of {len(ids)} posts")
    events = _appended(bench.kafka, topics.events.name)
    noticed: dict[str, float] = {}
    for queue in _queues(bench.kafka, topics.queue.name):
        noticed |= _appended(bench.kafka, queue)
    return {
        "queue topic": _percentiles([noticed[id] - sent[id] for id in ids if id in noticed]),
        "events topic": _percentiles([events[id] - sent[id] for id in ids]),
        "searchable": _percentiles([finder.found[id] - sent[id] for id in ids]),
    }


def _queues(kafka: Brokers, beginning: str) -> list[str]:
    """The topics of all queues."""
    admin: KafkaAdminClient = admin_client(kafka)
    found = [name for name in admin.list_topics() if name.startswith(f"{beginning}.")]
    admin.close()
    return found


def _send(producer: Producer, records: Sequence[Record], rate: int, finder: _Finder) -> None:
    began, at = time.monotonic(), 0
    while at < len(records):
        due = min(int((time.monotonic() - began) * rate) + 1, len(records))
        producer.send(records[at:due])
        finder.seek(record.key.decode() for record in records[at:due])
        at = due
        time.sleep(TICK)


def _appended(kafka: Brokers, topic: str) -> Mapping[str, float]:
    return {
        record.key.decode(): record.timestamp / 1000
        for portion in read_topic(kafka, topic)
        for record in portion
    }


class _Finder:
    """Asks for all that were sent and are not found yet, until so many are found."""

    def __init__(self, bench: Bench, index: str, wanted: int) -> None:
        self.found: dict[str, float] = {}
        self.ended = threading.Event()
        self._client = bench.client
        self._index = index
        self._wanted = wanted
        self._left: dict[str, None] = {}
        threading.Thread(target=self._run, daemon=True).start()

    def seek(self, ids: Iterable[str]) -> None:
        """These were sent."""
        self._left.update(dict.fromkeys(ids))

    def _run(self) -> None:
        deadline = time.monotonic() + 600
        while len(self.found) < self._wanted and time.monotonic() < deadline:
            wanted = list(self._left)[:8_000]
            try:
                hits = self._client.search(
                    index=self._index, query={"ids": {"values": wanted}}, size=8_000, source=False
                )["hits"]["hits"]
            except ApiError:
                hits = []
            now = time.time()
            for hit in hits:
                self.found[hit["_id"]] = now
                del self._left[hit["_id"]]
            time.sleep(PAUSE)
        self.ended.set()


def _percentiles(seconds: list[float]) -> dict[str, float]:
    ranked = sorted(seconds)
    if not ranked:
        raise WrongOutput("no post came to any queue")
    return {
        f"p{share}": round(ranked[min(len(ranked) * share // 100, len(ranked) - 1)] * 1000)
        for share in (50, 99, 100)
    }
