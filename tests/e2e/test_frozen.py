"""A process that is stopped for longer than the group waits, loses its partitions, and goes on."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.app.log_reader import read_topic
from pipeline.core.event import decode_event
from testkit.installation import rows_of
from testkit.pair import Pair
from testkit.waiting import halt, until

POSTS = 6_000
EDITS = 1_200  # a partition, of what the frozen process has in hand or has next

Posts = Callable[[int], list[dict[str, Any]]]


def at_work(pair: Pair, role: str) -> bool:
    """Whether the role has done something; a process of its own that does it is then in the midst of it."""
    if role == "enrich":
        return any(span.after for span in pair.spans("index").values())
    return any(span.committed for span in pair.spans("index").values())


def freeze(pair: Pair, role: str, posts: list[dict[str, Any]]) -> int:
    """Sends posts and stops the first one's process in the midst of its work on them; returns its id."""
    found = pair.first.role_pid(role)
    assert found is not None
    os.kill(found, signal.SIGSTOP)
    pair.send(posts)
    halt(found, lambda: at_work(pair, role), why="it does something")
    assert any(span.lag for span in pair.spans(role).values()), "it must be stopped in the midst of its work"
    return found


def edits(pair: Pair, role: str, texts: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Edits of the posts that the role has in hand or comes to next."""
    topic = pair.topics.posts if role == "enrich" else pair.topics.events
    made = []
    for number, span in pair.spans(role).items():
        ahead = [
            record.key.decode()
            for portion in read_topic(pair.first.kafka, topic.name, number, start={number: span.committed})
            for record in portion
        ]
        made += [
            {**texts[post_id], "text": f"{post_id} as it is now", "edited_at": "2026-11-22T12:00:00Z"}
            for post_id in ahead[:EDITS]
        ]
    return made


def last_in_the_log(pair: Pair) -> dict[str, str | None]:
    """The text with which each post ends in the events topic."""
    found: dict[str, str | None] = {}
    for portion in read_topic(pair.first.kafka, pair.topics.events.name):
        for record in portion:
            assert record.value is not None
            found[record.key.decode()] = decode_event(record.value).post.text
    return found


@pytest.mark.parametrize("role", ["enrich", "index"])
def test_what_a_frozen_process_had_in_hand_overwrites_nothing(role: str, pair: Pair, posts: Posts) -> None:
    # The first sign of work comes early, and what was done until then is not all committed.
    pair.first.environ["GROUNDSWELL_ENGINE_COMMIT_SECONDS"] = {"enrich": "2", "index": "0.1"}[role]
    pair.first.daemon(role)
    if role == "index":
        pair.second.daemon("enrich")
    until(lambda: pair.members(role) == 1, why="it has the partitions")
    all_posts = posts(POSTS)
    stuck = freeze(pair, role, all_posts)
    try:
        others = pair.second.daemon(*(("index",) if role == "index" else ("enrich", "index")))
        edited = edits(pair, role, {post["id"]: post for post in all_posts})
        pair.send(edited)
        pair.second.settle(others, limit=150)
    finally:
        os.kill(stuck, signal.SIGCONT)
    until(lambda: pair.members(role) == 2, why="the thawed one is back")
    until(lambda: pair.in_hand(role) == 0, why="the thawed one is done with what it had")
    pair.second.settle(others)

    assert pair.first.role_pid(role) == stuck, "it went on"
    wanted = {post["id"]: post["text"] for post in [*all_posts, *edited]}
    logged = last_in_the_log(pair)
    wrong = {post_id for post_id, text in wanted.items() if logged.get(post_id) != text}
    assert not wrong, f"{len(wrong)} posts end in the log with an older state"
    rows = rows_of(pair.first.documents())
    assert {post_id: row.source["text"] for post_id, row in rows.items()} == wanted
