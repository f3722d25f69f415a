"""What a contestant has done, read from where it wrote: how many, whether all, and from when to when.

A topic's records carry the broker's own time of appending. An index is asked: the first write from
its statistics, the last by a search that finds every post.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from confluent_kafka import Consumer, KafkaException, TopicPartition
from elasticsearch import ApiError, Elasticsearch, NotFoundError
from msgspec import Struct

from pipeline.app.brokers import Brokers
from pipeline.app.log_reader import read_topic

LIMIT_SECONDS = 900.0
LEAST_SCORED = 0.9
"""Ours gives no sentiment to texts that are not English, where the peers score them all the same."""


class Span(Struct, frozen=True):
    """``posts`` came out within ``seconds``; those of the very first moment are not counted."""

    posts: int
    seconds: float
    began: float


class WrongOutput(Exception):
    """What came out is not what went in."""


class Ends:
    """Asks how many records a topic was ever given."""

    def __init__(self, kafka: Brokers, topic: str) -> None:
        self._consumer = Consumer({**kafka.for_confluent(), "group.id": "benchmark-ends", "log_level": 0})
        found = self._consumer.list_topics(topic, timeout=10).topics[topic].partitions
        self._partitions = [TopicPartition(topic, number) for number in found]
        self._last = 0

    def count(self) -> int:
        """Now."""
        # A topic that was made just now has no leader everybody knows of yet.
        with suppress(KafkaException):
            self._last = sum(
                self._consumer.get_watermark_offsets(tp, timeout=10)[1] for tp in self._partitions
            )
        return self._last

    def close(self) -> None:
        """Lets go of the connection."""
        self._consumer.close()


def topic_span(kafka: Brokers, topic: str, ids: Sequence[str]) -> Span:
    """The span of a finished output topic. Raises WrongOutput unless each id is in it."""
    times: list[int] = []
    seen: set[str] = set()
    scored = 0
    for portion in read_topic(kafka, topic):
        times += [record.timestamp for record in portion]
        seen.update(record.key.decode() for record in portion if record.value)
        scored += sum(b'"sentiment":{' in (record.value or b"") for record in portion)
    _compare(topic, len(ids), len(seen & set(ids)), len(times), scored)
    first, last = min(times), max(times)
    return Span(len(times) - times.count(first), (last - first) / 1000, first / 1000)


def first_append(kafka: Brokers, topic: str) -> float:
    """When the first record of the topic was appended, in seconds since 1970."""
    return min(record.timestamp for portion in read_topic(kafka, topic) for record in portion) / 1000


def indexed(client: Elasticsearch, index: str) -> int:
    """Writes that the index has taken so far, searchable or not."""
    try:
        found = client.indices.stats(index=index, metric="indexing")
    except NotFoundError:
        return 0
    return int(found["_all"]["primaries"].get("indexing", {}).get("index_total", 0))


def searchable(client: Elasticsearch, index: str) -> int:
    """Posts that a search finds."""
    try:
        return int(client.count(index=index)["count"])
    except ApiError as error:
        if error.status_code in (404, 503):
            return 0  # no index yet, or one that is being made
        raise


def check_index(client: Elasticsearch, index: str, ids: Sequence[str]) -> None:
    """Raises WrongOutput unless the index holds each id once and nothing else."""
    seen: list[str] = []
    point = client.open_point_in_time(index=index, keep_alive="1m")["id"]
    after = None
    while True:
        page = client.search(
            pit={"id": point, "keep_alive": "1m"},
            size=10_000,
            source=False,
            sort=[{"_shard_doc": "asc"}],
            search_after=after,
        )["hits"]["hits"]
        if not page:
            break
        seen += [hit["_id"] for hit in page]
        after = page[-1]["sort"]
    client.close_point_in_time(id=point)
    scored = client.count(index=index, query={"exists": {"field": "sentiment.compound"}})["count"]
    _compare(index, len(ids), len(set(seen) & set(ids)), len(seen), scored)


def _compare(where: str, wanted: int, right: int, found: int, scored: int) -> None:
    if right != wanted or found != wanted:
        raise WrongOutput(
            f"{where}: {found} posts came out, {right} of them are of the {wanted} that went in"
        )
    if scored < LEAST_SCORED * wanted:
        raise WrongOutput(f"{where}: only {scored} of {found} posts have a sentiment")


class Watch:
    """Waits for a contestant's end and notes what it spends from its first output on."""

    def __init__(
        self, done: Callable[[], int], spent: Callable[[], float], alive: Callable[[], None]
    ) -> None:
        self._done = done
        self._spent = spent
        self._alive = alive
        self.began = 0.0
        self.ended = 0.0
        self.at_first = 0
        self.cpu = 0.0
        self.cpu_posts = 0

    def until(self, wanted: int, pause: float) -> None:
        """Returns once so many are done; raises WrongOutput after the limit."""
        deadline = time.monotonic() + LIMIT_SECONDS
        first_spent = 0.0
        while (done := self._done()) < wanted:
            if done and not self.began:
                self.began, self.at_first, first_spent = time.time(), done, self._spent()
            self._alive()
            if time.monotonic() > deadline:
                raise WrongOutput(f"{done} of {wanted} after {LIMIT_SECONDS:.0f} s")
            time.sleep(pause)
        self.ended = time.time()
        if self.began:
            self.cpu, self.cpu_posts = self._spent() - first_spent, done - self.at_first
