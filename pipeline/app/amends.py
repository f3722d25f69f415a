"""Makes good what was sent too late: posts whose newest state may no longer be the last in the log.

A process that was stopped for longer than the group waits sends, once it goes on, what lay ready in its
producer, while another holds its partitions and may have published newer states of the same posts. The
log of events keeps of each post what came last. So the newest state that the posts topic has of each such
post is put there once more: whoever holds the partition now publishes it again, behind what was late, or
passes over it where it has published a newer one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping

from pipeline.app.batch_driver import RecordBatch
from pipeline.app.brokers import Brokers
from pipeline.app.log_reader import LogRecord, read_topic
from pipeline.app.producer import Record
from pipeline.core.errors import RejectedError
from pipeline.core.headers import operation_of
from pipeline.core.post import decode_post
from pipeline.core.version import version_of

log = logging.getLogger("groundswell.amends")

Amends = Callable[[RecordBatch], list[Record]]
"""What to send once all of a batch was sent that was no longer ours. RetryableError when Kafka is away."""


def none(_batch: RecordBatch) -> list[Record]:
    """For whoever nobody shares partitions with."""
    return []


def amends(brokers: Brokers, batch: RecordBatch) -> list[Record]:
    """See :data:`Amends`."""
    sent = {record.key: record.offset for record in batch.records}
    first = batch.records[0].offset + 1
    later = (one for portion in read_topic(brokers, batch.topic, batch.partition, first) for one in portion)
    found = newest(later, sent)
    log.warning(
        "%s-%d went to another process while %d posts of it were being sent; %d of them have changed since"
        " and are enriched once more",
        batch.topic,
        batch.partition,
        len(sent),
        len(found),
    )
    return [Record(batch.topic, one.key, one.value, one.headers) for one in found]


def newest(later: Iterable[LogRecord], sent: Mapping[bytes, int]) -> list[LogRecord]:
    """Of each post of ``sent``, which are keys with offsets, the newest state that lies behind it."""
    found: dict[bytes, tuple[int, LogRecord]] = {}
    for one in later:
        if one.offset <= sent.get(one.key, one.offset):
            continue
        try:
            version = version_of(decode_post(one.value or b""), operation_of(one.headers))
        except RejectedError:
            continue
        if version >= found.get(one.key, (-1,))[0]:
            found[one.key] = version, one
    return [one for _, one in found.values()]
