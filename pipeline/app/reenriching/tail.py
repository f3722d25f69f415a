"""One partition from some record on, and then whatever is appended to it. Nothing is committed.

How far it is tells ``next`` alone. That nothing is left to be read is told only where nothing is appended for
a while: beside live traffic it may never be.
"""

from __future__ import annotations

from confluent_kafka import KafkaError as Code
from confluent_kafka import KafkaException, TopicPartition

from pipeline.app.brokers import Brokers
from pipeline.app.log_reader import LogRecord, reader
from pipeline.core.errors import RetryableError

_PORTION = 1000


class Tail:
    """Reads one partition; close it when done. Raises RetryableError where Kafka refuses to give it."""

    def __init__(self, brokers: Brokers, topic: str, partition: int, first: int = 0) -> None:
        self._name = f"{topic}-{partition} of Kafka at {brokers}"
        self._partition = partition
        self._place = TopicPartition(topic, partition)
        self._consumer = reader(brokers)
        try:
            begin, end = self._consumer.get_watermark_offsets(self._place, timeout=10)
            self.next = min(max(begin, first), end)
            self._consumer.assign([TopicPartition(topic, partition, self.next)])
        except KafkaException as error:
            self._consumer.close()
            raise RetryableError(f"{self._name} cannot be read: {error}") from error

    def poll(self, seconds: float) -> list[LogRecord]:
        """What has come; waits so long for the first record. Before ``next`` nothing is left to be read."""
        try:
            first = self._consumer.poll(seconds)
            # To consume waits for a full portion; so only for what is at hand.
            messages = [first, *self._consumer.consume(_PORTION, timeout=0)] if first else []
            records = []
            for message in messages:
                error, offset = message.error(), message.offset()
                if error and error.code() != Code._PARTITION_EOF:
                    raise KafkaException(error)
                assert offset is not None
                if error:
                    # The last records may be gone, compacted away.
                    self.next = max(self.next, offset)
                    continue
                self.next = offset + 1
                stamp, key = message.timestamp()[1], message.key() or b""
                records.append(LogRecord(self._partition, offset, stamp, key, message.value()))
        except KafkaException as error:
            raise RetryableError(f"{self._name} cannot be read: {error}") from error
        return records

    def end(self) -> int:
        """The offset behind the last record that the partition holds at this moment."""
        try:
            return self._consumer.get_watermark_offsets(self._place, timeout=10)[1]
        except KafkaException as error:
            raise RetryableError(f"{self._name} cannot be read: {error}") from error

    def close(self) -> None:
        """Lets go of the connections."""
        self._consumer.close()
