"""One partition from some record on, and then whatever is appended to it. Nothing is committed."""

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
        self.at_end = self.next >= end

    def poll(self, seconds: float) -> list[LogRecord]:
        """What has come; waits so long for the first record. ``at_end`` tells whether that was all."""
        try:
            first = self._consumer.poll(seconds)
            # To consume waits for a full portion; so only for what is at hand.
            messages = [first, *self._consumer.consume(_PORTION, timeout=0)] if first else []
            records = []
            for message in messages:
                if error := message.error():
                    if error.code() != Code._PARTITION_EOF:
                        raise KafkaException(error)
                    self.at_end = True
                    continue
                offset = message.offset()
                assert offset is not None
                self.next, self.at_end = offset + 1, False
                stamp, key = message.timestamp()[1], message.key() or b""
                records.append(LogRecord(self._partition, offset, stamp, key, message.value()))
        except KafkaException as error:
            raise RetryableError(f"{self._name} cannot be read: {error}") from error
        return records

    def is_through(self) -> bool:
        """Whether all is read that the partition holds at this moment."""
        try:
            _, end = self._consumer.get_watermark_offsets(self._place, timeout=10)
        except KafkaException as error:
            raise RetryableError(f"{self._name} cannot be read: {error}") from error
        return self.at_end and self.next >= end

    def close(self) -> None:
        """Lets go of the connections."""
        self._consumer.close()
