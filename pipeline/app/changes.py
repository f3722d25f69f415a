"""The memory of changed posts over restarts: a compacted topic of post id to newest published version."""

from __future__ import annotations

from pipeline.app.brokers import Brokers
from pipeline.app.log_reader import read_topic
from pipeline.app.producer import Record
from pipeline.app.topics import Topics
from pipeline.core.newest import Newest


def load(brokers: Brokers, topics: Topics, partition: int) -> Newest:
    """What all who held the partition before have published. RetryableError when Kafka is away."""
    known: dict[str, int] = {}
    for portion in read_topic(brokers, topics.changes.name, partition):
        for record in portion:
            if record.value is None:
                known.pop(record.key.decode(), None)
            else:
                # Not the last but the newest: a process that was frozen may have written late.
                key = record.key.decode()
                known[key] = max(int(record.value), known.get(key, 0))
    return Newest(known)


def as_record(post_id: str, version: int, topics: Topics) -> Record:
    """The record that keeps a published change."""
    return Record(topics.changes.name, post_id.encode(), str(version).encode())
