"""Makes good what was sent too late: posts whose newest state may no longer be the last in the log.

A process that was stopped for longer than the group waits sends, once it goes on, what lay ready in its
producer, while another holds its partitions and may have published newer states of the same posts, or the
same ones by a newer directory of customers or newer rules. The log of events keeps of each post what came
last. So the newest state that the posts topic has of each such post is put there once more: whoever holds
the partition now publishes it again, behind what was late, or passes over it where it has published a newer
one.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pipeline.app.batch_driver import RecordBatch
from pipeline.app.brokers import Brokers
from pipeline.app.log_reader import LogRecord, read_topic
from pipeline.app.producer import Record
from pipeline.core.errors import RejectedError
from pipeline.core.headers import operation_of
from pipeline.core.post import decode_post
from pipeline.core.version import version_of

log = logging.getLogger("groundswell.amends")

Amends = Callable[[Sequence[RecordBatch]], list[Record]]
"""What to send once all of these batches was sent that were no longer ours. RetryableError when Kafka is
away."""


def none(_batches: Sequence[RecordBatch]) -> list[Record]:
    """For whoever nobody shares partitions with."""
    return []


def amends(brokers: Brokers, batches: Sequence[RecordBatch]) -> list[Record]:
    """See :data:`Amends`. Reads each partition once, from the first of its batches to its end."""
    together: defaultdict[tuple[str, int], list[Any]] = defaultdict(list)
    for batch in batches:
        together[batch.topic, batch.partition] += batch.records
    return [one for place, records in together.items() for one in _overtaken(brokers, *place, records)]


def _overtaken(brokers: Brokers, topic: str, partition: int, records: Sequence[Any]) -> list[Record]:
    sent: dict[bytes, int] = {}
    for record in records:
        sent[record.key] = min(record.offset, sent.get(record.key, record.offset))
    start = {partition: min(sent.values())}
    there = (one for portion in read_topic(brokers, topic, partition, start=start) for one in portion)
    found = newest(there, sent)
    log.warning(
        "%s-%d went to another process while %d posts of it were being sent; they are enriched once more",
        topic,
        partition,
        len(found),
    )
    return [Record(topic, one.key, one.value, one.headers) for one in found]


def newest(there: Iterable[LogRecord], sent: Mapping[bytes, int]) -> list[LogRecord]:
    """Of each post of ``sent``, which are keys with offsets, the newest state from there on."""
    found: dict[bytes, tuple[int, LogRecord]] = {}
    for one in there:
        if one.offset < sent.get(one.key, one.offset + 1):
            continue
        try:
            version = version_of(decode_post(one.value or b""), operation_of(one.headers))
        except RejectedError:
            continue
        if version >= found.get(one.key, (-1,))[0]:
            found[one.key] = version, one
    return [one for _, one in found.values()]
