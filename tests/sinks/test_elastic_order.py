"""The law of the sink: in whatever order events come, the newest state of each post is there, once."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.core.event import Event
from sinks.elastic import encode

START = datetime(2026, 3, 30, tzinfo=UTC)
IDS = ["x:1", "x:2", "x:3"]

states = st.fixed_dictionaries(
    {
        "id": st.sampled_from(IDS),
        # Each post has one date, which its messages tell or leave out; x:3's may lie in the future.
        "dated": st.booleans(),
        "edited": st.one_of(st.none(), st.integers(1, 4)),
        "deleted": st.sampled_from([False, False, False, True]),
        "early": st.booleans(),
        "processed": st.integers(0, 3),
    }
)
histories = st.lists(
    st.lists(st.tuples(states, st.booleans()), min_size=1, max_size=5), min_size=1, max_size=6
)


@pytest.fixture(scope="module")
def run() -> list[int]:
    """Counts examples, so that each has ids of its own in the same indices."""
    return [0]


def event(store: Any, run: int, state: dict[str, Any]) -> Event:
    id = state["id"]
    created = START + timedelta(days=IDS.index(id))
    seen = created - timedelta(days=20) if id == "x:3" and state["early"] else created
    post: dict[str, Any] = {"created_at": created if state["dated"] else None}
    if state["deleted"]:
        post["deleted"] = True
    elif state["edited"]:
        post["edited_at"] = START + timedelta(days=100 + state["edited"])
    made: Event = store.event(
        f"{id}-{run}", seen=seen, processed=START + timedelta(days=200 + state["processed"]), **post
    )
    return made


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(history=histories)
def test_the_newest_state_is_there_once(store: Any, run: list[int], history: list[list[Any]]) -> None:
    run[0] += 1
    newest: dict[str, Event] = {}
    for batch in history:
        events = [event(store, run[0], state) for state, _ in batch]
        if any(forget for _, forget in batch):
            # A rebalance: another process goes on, and must find what this one wrote.
            store.sink = store.another()
        assert store.sink.write(events) == [None] * len(events)
        for one in events:
            if one.post.id not in newest or one.version >= newest[one.post.id].version:
                newest[one.post.id] = one
    held = {id: hits for id, hits in store.stored().items() if id.endswith(f"-{run[0]}")}
    assert held.keys() == newest.keys()
    for id, hits in held.items():
        assert len(hits) == 1
        assert (hits[0]["_version"], hits[0]["_source"]) == (
            newest[id].version,
            json.loads(encode(newest[id])),
        )
