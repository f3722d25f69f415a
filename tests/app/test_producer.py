"""The producer's end while Kafka is away; with Kafka it is met in every test of a role."""

from __future__ import annotations

import time

import pytest

from pipeline.app.brokers import Brokers
from pipeline.app.producer import Producer, Record
from pipeline.core.errors import FatalError

RECORDS = [Record("posts", b"x:1", b"{}")] * 3


def test_what_was_abandoned_is_not_sent_at_the_end() -> None:
    producer = Producer(Brokers("127.0.0.1:1"))
    sent = producer.send(RECORDS)
    producer.abandon()
    began = time.monotonic()
    producer.close(20.0)
    assert time.monotonic() - began < 10, "it waited for a Kafka that nobody waits for"
    assert producer.waiting == 0
    with pytest.raises(FatalError, match="sent again next time"):
        sent.result(0)


def test_what_nobody_abandoned_is_waited_for() -> None:
    producer = Producer(Brokers("127.0.0.1:1"))
    sent = producer.send(RECORDS)
    producer.close(0.2)
    assert not sent.done()
    assert producer.waiting == len(RECORDS)
