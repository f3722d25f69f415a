"""The log without what is past its time: a tombstone for the event of each such post, and for its memory.

Nobody but enrich publishes a post's states; that a post is done with is no state, and may be said by anybody
and more than once: what enrich would publish of it later is past its time as well.
"""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.app.brokers import Brokers
from pipeline.app.log_reader import LogRecord, read_topic
from pipeline.app.producer import Producer, Record
from pipeline.app.reconstruction import Log
from pipeline.core.errors import RejectedError
from pipeline.core.event import decode_event
from pipeline.core.portions import portions
from pipeline.core.retention import Expiry

_PORTION = 5000


def sweep(written: Log, partitions: int, expiry: Expiry) -> int:
    """Sends the tombstones, partition by partition; returns of how many posts.

    Holds the ids of one partition's posts that go, some 100 bytes each. Raises RetryableError when Kafka is
    away, FatalError when the process is told to end.
    """
    brokers, topics, producer = written
    count = 0
    for partition in range(partitions):
        past = expired(brokers, topics.events.name, partition, expiry)
        _send(producer, topics.events.name, past)
        # The same keys are in the same partitions of both.
        _send(producer, topics.changes.name, _remembered(brokers, topics.changes.name, partition, past))
        count += len(past)
    return count


def expired(brokers: Brokers, topic: str, partition: int, expiry: Expiry) -> set[bytes]:
    """The keys whose last event is past its time."""
    past: set[bytes] = set()
    start: dict[int, int] = {}
    # To read a partition takes minutes, in which an undated post may be edited and be of today: so what has
    # come meanwhile is read, too.
    for _ in range(2):
        for portion in read_topic(brokers, topic, partition, start=start):
            note(portion, expiry, past)
            start = {partition: portion[-1].offset + 1}
    return past


def note(portion: Iterable[LogRecord], expiry: Expiry, past: set[bytes]) -> None:
    """Corrects ``past`` by further records of the partition."""
    for record in portion:
        past.discard(record.key)
        if record.value is None:
            continue
        try:
            event = decode_event(record.value)
        except RejectedError:
            continue  # the role index has set it aside
        if expiry.event(event):
            past.add(record.key)


def _remembered(brokers: Brokers, topic: str, partition: int, keys: set[bytes]) -> set[bytes]:
    found: set[bytes] = set()
    for portion in read_topic(brokers, topic, partition) if keys else ():
        for record in portion:
            (found.discard if record.value is None else found.add)(record.key)
    return found & keys


def _send(producer: Producer, topic: str, keys: Iterable[bytes]) -> None:
    for portion in portions(keys, _PORTION):
        producer.deliver([Record(topic, key, None) for key in portion])
