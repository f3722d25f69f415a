"""How far the topics reach and how far each role has come: all counts that nobody can miscount.

Through kafka-python's administration client; numbers are of the moment of the call.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from kafka import TopicPartition
from kafka.admin import KafkaAdminClient, OffsetSpec
from kafka.errors import KafkaError, TopicAuthorizationFailedError
from msgspec import Struct

from pipeline.app.brokers import Brokers
from pipeline.app.coordinator import answered
from pipeline.app.topics import admin_client, described
from pipeline.core.errors import RetryableError


class Span(Struct, frozen=True):
    """A partition's offsets: from ``first`` up to, not including, ``after``; ``committed`` by one group.

    ``committed`` is the first offset not yet confirmed; ``first`` where the group has not begun.
    """

    first: int
    after: int
    committed: int

    @property
    def lag(self) -> int:
        """How many records the group has not confirmed."""
        return max(self.after - self.committed, 0)


def spans(admin: KafkaAdminClient, topic: str, group: str | None) -> dict[int, Span]:
    """Partition number to span; empty where there is no such topic. RetryableError when Kafka is away."""
    with _telling(topic):
        partitions = _partitions(admin, topic)
        if not partitions:
            return {}
        # The group first: a commit between the two calls may then only look late, never ahead of the log.
        committed = _committed(admin, group) if group else {}
        first = admin.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.EARLIEST))
        after = admin.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.LATEST))
    return {
        tp.partition: Span(
            first[tp].offset, after[tp].offset, max(committed.get(tp, first[tp].offset), first[tp].offset)
        )
        for tp in partitions
    }


def has_confirmed(brokers: Brokers, topic: str, group: str) -> bool:
    """Whether the group ever confirmed a record of the topic; RetryableError when Kafka is away."""
    with closing(admin_client(brokers)) as admin, _telling(topic):
        found = _committed(admin, group)
    return any(offset > 0 for tp, offset in found.items() if tp.topic == topic)


@contextmanager
def _telling(topic: str) -> Iterator[None]:
    """Makes every refusal of Kafka's a RetryableError that names the topic."""
    try:
        yield
    except KafkaError as error:
        raise RetryableError(f"Kafka did not tell the offsets of {topic}: {error}") from error


def _partitions(admin: KafkaAdminClient, topic: str) -> list[TopicPartition]:
    found = described(admin, [topic])[topic]
    if found["error_code"] == TopicAuthorizationFailedError.errno:
        # No topic and none that may be seen are not the same: who counts nothing finds nothing lost.
        raise TopicAuthorizationFailedError("this account may not DESCRIBE it (docs/security.md)")
    numbers = sorted(part["partition_index"] for part in found["partitions"])
    return [TopicPartition(topic, number) for number in numbers]


def _committed(admin: KafkaAdminClient, group: str) -> dict[TopicPartition, int]:
    found = answered(lambda: admin.list_group_offsets(group)).get(group, {})
    return {tp: place.offset for tp, place in found.items() if place.offset >= 0}
