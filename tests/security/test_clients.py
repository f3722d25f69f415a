"""Every library that we speak to Kafka with gets in by every way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

from pipeline.app.brokers import Brokers
from pipeline.app.kafka_rights import ALL, MAKING
from pipeline.app.log_reader import read_topic
from pipeline.app.producer import Producer, Record
from pipeline.app.topics import admin_client, ensure_topics
from testkit.secured.authority import Authority
from testkit.secured.kafka import SecuredKafka

Make = Callable[..., Brokers]


@pytest.mark.parametrize(
    ("protocol", "mechanism"),
    [
        ("SASL_SSL", "SCRAM-SHA-512"),
        ("SASL_SSL", "SCRAM-SHA-256"),
        ("SASL_PLAINTEXT", "SCRAM-SHA-512"),
        ("SSL", "PLAIN"),
    ],
)
def test_every_client_gets_in(
    safe_kafka: SecuredKafka, authority: Authority, brokers: Make, protocol: str, mechanism: str
) -> None:
    changed: dict[str, Any] = {"security_protocol": protocol, "sasl_mechanism": mechanism}
    user = brokers().settings.username
    if protocol == "SASL_PLAINTEXT":
        changed["ca_file"] = None
    if protocol == "SSL":
        own = authority.issue(user)
        changed |= {"certificate_file": own.file, "key_file": own.key, "username": "", "password": ""}
        user = f"CN={user}"  # who a certificate is of stands in its subject
    there = brokers(bootstrap=safe_kafka.addresses[protocol], **changed)
    topics = [
        ("topic", f"{there.settings.prefix}.", operation) for operation in (*ALL, *MAKING, "READ", "WRITE")
    ]
    safe_kafka.allow(user, [*topics, ("group", f"{there.settings.prefix}-", "READ")])
    name = ensure_topics(there, there.settings).posts.name
    with closing(Producer(there)) as producer:
        producer.deliver([Record(name, b"key", b"value")])
    assert [record.value for portion in read_topic(there, name) for record in portion] == [b"value"]
    with closing(admin_client(there)) as admin:
        assert name in admin.list_topics()
    assert asyncio.run(read_as_faust(there, name)) == b"value"


async def read_as_faust(brokers: Brokers, topic: str) -> bytes:
    """The first record, by the client that Faust makes of what it was given."""
    given = brokers.for_faust()
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=brokers.address,
        group_id=f"{brokers.settings.prefix}-enrich",
        auto_offset_reset="earliest",
        **credentials_to_aiokafka_auth(given["broker_credentials"]),
    )
    assert given["broker"] == f"kafka://{brokers.address}"
    await consumer.start()
    try:
        record = await asyncio.wait_for(consumer.getone(), 30)
        assert record.value is not None
        return bytes(record.value)
    finally:
        await consumer.stop()
