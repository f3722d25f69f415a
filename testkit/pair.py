"""Two installations that share topics, groups and indices, as workers on two machines do."""

from __future__ import annotations

import urllib.request
from typing import Any

import msgspec
from kafka.errors import KafkaError

from pipeline.app.health import present
from pipeline.app.offsets import Span, spans
from pipeline.app.producer import Producer, Record
from pipeline.app.site import group
from pipeline.app.topics import Topics, admin_client, ensure_topics
from testkit.installation import Installation


class Pair:
    """Each has processes and a home of its own."""

    def __init__(self, first: Installation, second: Installation) -> None:
        self.first = first
        self.second = second
        self.topics: Topics = ensure_topics(first.kafka, first.settings.kafka)
        self.producer = Producer(first.kafka, client_id="test")
        self.admin = admin_client(first.kafka)

    def spans(self, role: str) -> dict[int, Span]:
        """How far the role is, a partition of its topic."""
        topic = {"enrich": self.topics.posts, "index": self.topics.events}[role].name
        return spans(self.admin, topic, group(self.first.settings, role))

    def members(self, role: str) -> int:
        """How many processes have partitions of the role's topic."""
        name = group(self.first.settings, role)
        try:
            found = self.admin.describe_groups([name])[name]
        except KafkaError:
            return 0  # there is no such group yet
        return sum(bool(one["member_assignment"]) for one in found["members"])

    def send(self, posts: list[dict[str, Any]]) -> None:
        """Puts posts into the log and waits for that."""
        name = self.topics.posts.name
        self.producer.deliver(
            [Record(name, post["id"].encode(), msgspec.json.encode(post)) for post in posts]
        )

    def in_hand(self, role: str) -> float:
        """Batches that the first one's process still has in hand."""
        port = next(note.port for note in present(self.first.home) if note.role == role)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        return sum(
            float(line.split()[-1]) for line in lines if line.startswith("groundswell_batches_in_hand{")
        )

    def close(self) -> None:
        """Lets go of the clients."""
        self.producer.close()
        self.admin.close()
