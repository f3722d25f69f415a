"""A process that is stopped for longer than the group waits, loses its partitions, and goes on."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.app.log_reader import read_topic
from pipeline.core.event import decode_event
from testkit.installation import rows_of
from testkit.pair import Pair
from testkit.waiting import until

POSTS = 9_000
EDITS = 700  # a partition, of what the frozen process has in hand or has next

Posts = Callable[[int], list[dict[str, Any]]]


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
