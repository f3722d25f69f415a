"""A hundred thousand posts of one id, or by one author: the others do not wait for their end.

Starving is measured by what of the flood is left when the last of the others is searchable. All others come
behind the flood. Those in other partitions must be there while half of it is left, for fetching is fair by
partition. Those in the flood's own partition wait for what is before them, for a partition has an order.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

from confluent_kafka import Producer

from pipeline.app.offsets import spans
from pipeline.app.topics import admin_client, ensure_topics
from testkit.installation import Installation, rows_of

FLOOD = 100_000
OTHERS = 400


def post(id: str, author: str, number: int) -> bytes:
    made = {
        "id": id,
        "text": f"why is the line slow again {number % 7}",
        "author": {"id": author},
        "created_at": "2026-10-05T10:00:00Z",
    }
    return json.dumps(made).encode()


def of_one_id(number: int) -> tuple[str, bytes]:
    return "x:one", post("x:one", "x:joe", number)


def by_one_author(number: int) -> tuple[str, bytes]:
    return f"x:joe-{number}", post(f"x:joe-{number}", "x:joe", number)


def send(installation: Installation, posts: Iterator[tuple[str, bytes]]) -> dict[str, int]:
    """Into the posts topic; returns the partition of each id."""
    topic = ensure_topics(installation.kafka, installation.settings.kafka).posts.name
    partitions: dict[str, int] = {}

    def sent(error: Any, message: Any) -> None:
        assert error is None
        partitions[message.key().decode()] = message.partition()

    producer = Producer(
        {
            "bootstrap.servers": str(installation.kafka),
            "compression.type": "zstd",
            "partitioner": "murmur2_random",
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    for key, value in posts:
        producer.produce(topic, value, key.encode(), on_delivery=sent)
        producer.poll(0)
    assert producer.flush(60) == 0
    return partitions


def flood_left(installation: Installation, others: set[str]) -> float:
    """Works all off; the share of the flood that enrich had before it when the others were all searchable."""
    topic, group = f"{installation.prefix}.posts", f"{installation.prefix}-enrich"
    index = f"{installation.prefix}-posts-*"
    daemon = installation.daemon("enrich", "index", "directory")
    admin = admin_client(installation.kafka)
    try:
        deadline = time.monotonic() + 200
        while time.monotonic() < deadline:
            left = sum(span.lag for span in spans(admin, topic, group).values())
            if installation.client.indices.exists(index=index):
                installation.client.indices.refresh(index=index)
                query = {"ids": {"values": sorted(others)}}
                if installation.client.count(index=index, query=query)["count"] == len(others):
                    installation.settle(daemon, 200)
                    return left / FLOOD
            time.sleep(0.2)
        raise AssertionError("the others are not searchable at all")
    finally:
        admin.close()
        daemon.stop()


def test_a_flood_of_one_id_starves_no_other(installation: Installation) -> None:
    send(installation, map(of_one_id, range(FLOOD)))
    partitions = send(installation, ((f"x:{n}", post(f"x:{n}", f"x:a{n}", n)) for n in range(OTHERS)))
    flooded = send(installation, iter([of_one_id(0)]))["x:one"]
    others = {id for id, partition in partitions.items() if partition != flooded}
    assert len(others) > OTHERS / 2
    assert flood_left(installation, others) > 0.5
    assert rows_of(installation.documents()).keys() == partitions.keys() | {"x:one"}


def test_a_flood_by_one_author_delays_the_others_by_its_length_only(installation: Installation) -> None:
    """It fills all partitions, so that others wait for what stood before them; in the end all are there."""
    send(installation, map(by_one_author, range(FLOOD)))
    partitions = send(installation, ((f"x:{n}", post(f"x:{n}", f"x:a{n}", n)) for n in range(OTHERS)))
    assert flood_left(installation, set(partitions)) >= 0
    assert len(rows_of(installation.documents())) == FLOOD + OTHERS
