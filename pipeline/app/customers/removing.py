"""Customers taken out of the books by their ids."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.app.brokers import Brokers
from pipeline.app.customers.importing import send_all
from pipeline.app.log_reader import read_topic
from pipeline.app.producer import Producer, Record


def unknown_ids(brokers: Brokers, topic: str, ids: Sequence[str]) -> list[str]:
    """Those of the ids that the topic does not hold. RetryableError where Kafka is away."""
    keys = {one.encode(): one for one in ids}
    held: set[bytes] = set()
    for portion in read_topic(brokers, topic):
        for record in portion:
            if record.key in keys:
                (held.add if record.value is not None else held.discard)(record.key)
    return [one for key, one in keys.items() if key not in held]


def remove(producer: Producer, topic: str, ids: Sequence[str]) -> None:
    """Returns once Kafka has confirmed that each is gone. Raises FatalError."""
    send_all(producer, [Record(topic, one.encode(), None) for one in ids])
