"""A process that is stopped for longer than the group waits, loses its partitions, and goes on."""

from __future__ import annotations

import os
import signal
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kafka.errors import KafkaError

from pipeline.app.health import present
from pipeline.app.log_reader import read_topic
from pipeline.app.offsets import Span, spans
from pipeline.app.producer import Producer, Record
from pipeline.app.site import group
from pipeline.app.topics import Topics, admin_client, ensure_topics
from pipeline.core.event import decode_event
from testkit.installation import Installation, rows_of
from testkit.waiting import until

POSTS = 9_000
EDITS = 700  # a partition, of what the frozen process has in hand or has next
STEPS = "language,sentiment,entities,complaint"

Posts = Callable[[int], list[dict[str, Any]]]


class Pair:
    """Two installations on the same topics, each with processes of its own."""

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
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        return sum(
            float(line.split()[-1]) for line in lines if line.startswith("groundswell_batches_in_hand{")
        )

    def close(self) -> None:
        self.producer.close()
        self.admin.close()


@pytest.fixture
def pair(install: Callable[..., Installation], tmp_path: Path) -> Any:
    first = install(GROUNDSWELL_ENRICH_STEPS=STEPS)
    second = Installation(
        tmp_path / "other",
        first.prefix,
        str(first.kafka),
        first.elasticsearch,
        GROUNDSWELL_ENRICH_STEPS=STEPS,
    )
    made = Pair(first, second)
    yield made
    made.close()
    second.close()


@pytest.mark.parametrize("role", ["enrich", "index"])
def test_what_a_frozen_process_had_in_hand_overwrites_nothing(role: str, pair: Pair, posts: Posts) -> None:
    pair.first.daemon(role)
    others = pair.second.daemon("enrich", "index")
    until(lambda: pair.members(role) == 2, why="both have partitions")
    all_posts = posts(POSTS)
    pair.send(all_posts)
    stuck = pair.first.role_pid(role)
    assert stuck is not None
    deadline = time.monotonic() + 30
    while not any(span.committed for span in pair.spans(role).values()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(stuck, signal.SIGSTOP)
    try:
        at = pair.spans(role)
        assert any(span.lag for span in at.values()), "it must be stopped in the midst of its work"
        texts = {post["id"]: post for post in all_posts}
        edited = []
        for number, span in at.items():
            topic = pair.topics.posts if role == "enrich" else pair.topics.events
            ahead = [
                record.key.decode()
                for portion in read_topic(pair.first.kafka, topic.name, number, span.committed)
                for record in portion
            ][:EDITS]
            edited += [
                {**texts[post_id], "text": f"{post_id} as it is now", "edited_at": "2026-11-22T12:00:00Z"}
                for post_id in ahead
            ]
        pair.send(edited)
        until(lambda: pair.members(role) == 1, why="the group gives up the frozen one")
        pair.second.settle(others, limit=90)
    finally:
        os.kill(stuck, signal.SIGCONT)
    until(lambda: pair.members(role) == 2, why="the thawed one is back")
    until(lambda: pair.in_hand(role) == 0, why="the thawed one is done with what it had")
    pair.second.settle(others)

    assert pair.first.role_pid(role) == stuck, "it went on"
    wanted = {post["id"]: post["text"] for post in all_posts} | {post["id"]: post["text"] for post in edited}
    logged: dict[str, str | None] = {}
    for portion in read_topic(pair.first.kafka, pair.topics.events.name):
        for record in portion:
            assert record.value is not None
            logged[record.key.decode()] = decode_event(record.value).post.text
    wrong = {post_id for post_id, text in wanted.items() if logged.get(post_id) != text}
    assert not wrong, f"{len(wrong)} posts end in the log with an older state"
    rows = rows_of(pair.first.documents())
    assert {post_id: row.source["text"] for post_id, row in rows.items()} == wanted
