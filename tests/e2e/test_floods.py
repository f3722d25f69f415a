"""Very many posts of one id, or by one author: the others do not wait for their end.

Starving is measured by how much of the flood is enriched before the last of the others, all of whom come
behind it. Those in other partitions must be done before half of it is, for fetching is fair by partition.
Those in the flood's own partition wait for what is before them, for a partition has an order.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from confluent_kafka import Producer

from pipeline.app.log_reader import read_topic
from pipeline.app.topics import ensure_topics
from testkit.installation import Installation, rows_of

FLOOD = 100_000
SMALLER_FLOOD = 30_000
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
    return "x:joe", post("x:joe", "x:joe", number)


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


def work_off(installation: Installation) -> None:
    """With the roles as processes, from nothing to everything searchable."""
    daemon = installation.daemon("enrich", "index", "directory")
    installation.settle(daemon, 240)
    assert installation.audit()[1] == []
    assert daemon.stop() == 0


def flood_before(installation: Installation, others: set[str]) -> float:
    """The share of the flood that was enriched when the last of the others was, by Kafka's own clock."""
    flood: list[int] = []
    last = 0
    for portion in read_topic(installation.kafka, f"{installation.prefix}.events"):
        for record in portion:
            if record.key.startswith(b"x:joe"):
                flood.append(record.timestamp)
            elif record.key.decode() in others:
                last = max(last, record.timestamp)
    assert len(flood) == FLOOD
    return sum(moment <= last for moment in flood) / FLOOD


def test_a_flood_of_one_id_starves_no_other(installation: Installation) -> None:
    flooded = send(installation, map(of_one_id, range(FLOOD)))["x:joe"]
    partitions = send(installation, ((f"x:{n}", post(f"x:{n}", f"x:a{n}", n)) for n in range(OTHERS)))
    others = {id for id, partition in partitions.items() if partition != flooded}
    assert len(others) > OTHERS / 2
    work_off(installation)
    assert rows_of(installation.documents()).keys() == partitions.keys() | {"x:joe"}
    assert flood_before(installation, others) < 0.5


def test_a_flood_by_one_author_loses_no_other(installation: Installation) -> None:
    """It fills all partitions, so that the others wait for what stands before them, and come all the same."""
    send(installation, map(by_one_author, range(SMALLER_FLOOD)))
    partitions = send(installation, ((f"x:{n}", post(f"x:{n}", f"x:a{n}", n)) for n in range(OTHERS)))
    work_off(installation)
    found = rows_of(installation.documents()).keys()
    assert found >= partitions.keys()
    assert len(found) == SMALLER_FLOOD + OTHERS
