"""Reading a topic from its start to where it ended at the call, outside any consumer group.

For the commands that need the whole log: audit, rebuild, rejected. Nothing is committed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from confluent_kafka import KafkaError as Code
from msgspec import Struct

from pipeline.app.brokers import Brokers
from pipeline.core.errors import RetryableError

log = logging.getLogger("groundswell.log")

_PORTION = 2000
# Silence after which the broker is taken to be away.
_SILENCE_SECONDS = 30.0


Headers = tuple[tuple[str, "str | bytes | None"], ...]


class LogRecord(Struct, frozen=True):
    """One record; ``timestamp`` in milliseconds since 1970, ``value`` None for a tombstone."""

    partition: int
    offset: int
    timestamp: int
    key: bytes
    value: bytes | None
    headers: Headers = ()


def read_topic(
    brokers: Brokers, topic: str, partition: int | None = None, first: int = 0
) -> Iterator[list[LogRecord]]:
    """Portions of consecutive records of one partition or of all, each partition in order, from the offset
    ``first`` on.

    Raises RetryableError when Kafka is away or falls silent. A topic that is not there has no records.
    """
    consumer = Consumer(
        {
            **brokers.for_confluent(),
            "group.id": brokers.reader_group,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "fetch.message.max.bytes": 4 * 1024 * 1024,
            # librdkafka's own 100,000 a partition hold half a gigabyte of small records.
            "queued.min.messages": 10_000,
            "queued.max.messages.kbytes": 8 * 1024,
            "log_level": 3,
        },
        logger=log,
    )
    try:
        yield from _read(consumer, topic, partition, first)
    except KafkaException as error:
        raise RetryableError(f"Kafka at {brokers} did not give the topic {topic}: {error}") from error
    finally:
        consumer.close()


def _read(consumer: Consumer, topic: str, partition: int | None, first: int) -> Iterator[list[LogRecord]]:
    open_ends = _ends(consumer, topic, partition, first)
    consumer.assign([TopicPartition(topic, number, begin) for number, (begin, _) in open_ends.items()])
    waiting = set(open_ends)
    heard = time.monotonic()
    while waiting:
        # Short, for `consume` waits for a full portion: at the end of a topic there is none.
        messages = consumer.consume(_PORTION, timeout=0.1)
        if not messages:
            if time.monotonic() - heard > _SILENCE_SECONDS:
                raise RetryableError(f"Kafka fell silent in the middle of the topic {topic}")
            continue
        heard = time.monotonic()
        portion = []
        for message in messages:
            number, offset = message.partition(), message.offset()
            assert number is not None
            assert offset is not None
            error = message.error()
            if error is not None and error.code() != Code._PARTITION_EOF:
                raise KafkaException(error)
            if error is None and offset < open_ends[number][1]:
                stamp, headers = message.timestamp()[1], _headers(message)
                portion.append(
                    LogRecord(number, offset, stamp, message.key() or b"", message.value(), headers)
                )
            if error is not None or offset >= open_ends[number][1] - 1:
                waiting.discard(number)
        if portion:
            yield portion


def _headers(message: Message) -> Headers:
    found: Any = message.headers()  # declared more loosely than it is
    return tuple((name, value) for name, value in found or ())


def _ends(consumer: Consumer, topic: str, partition: int | None, wanted: int) -> dict[int, tuple[int, int]]:
    """Partition number to first offset and the offset after the last, of those that hold any of ``wanted``
    or behind it."""
    described = consumer.list_topics(topic, timeout=10).topics[topic]
    if described.error is not None and described.error.code() != Code.UNKNOWN_TOPIC_OR_PART:
        # One that may not be seen is not one that holds nothing: `rebuild` would take it for that.
        raise KafkaException(described.error)
    ends = {}
    for number in described.partitions if partition is None else [partition]:
        first, after = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=10)
        if after > max(first, wanted):
            ends[number] = (max(first, wanted), after)
    return ends
