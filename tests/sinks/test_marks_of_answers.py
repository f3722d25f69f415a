"""The marks of answers on a true Elasticsearch: whoever wrote one, and whenever, the next reading has it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from elasticsearch import Elasticsearch

from pipeline.core.settings import ElasticsearchSettings
from sinks.cases import Answer, Cases, post_key
from sinks.store import Store

NOW = datetime(2026, 11, 22, tzinfo=UTC)
KEYS = [post_key(f"x:{number}") for number in range(6)] + [post_key("x:" + "long" * 200)]


@pytest.fixture
def answers(client: Elasticsearch, elastic_settings: ElasticsearchSettings) -> Iterator[Store]:
    """The index of marks, which nobody refreshes by the clock."""
    Cases(client, elastic_settings).prepare()
    store = Store(client, elastic_settings, "answers")
    client.indices.put_settings(index=store.index, settings={"index.refresh_interval": "-1"})
    yield store
    store.drop()
    Store(client, elastic_settings, "cases").drop()


@pytest.mark.parametrize("seed", range(4))
def test_a_mark_is_read_whoever_wrote_it(
    client: Elasticsearch, elastic_settings: ElasticsearchSettings, answers: Store, seed: int
) -> None:
    pick = random.Random(seed)
    ours, theirs = Cases(client, elastic_settings), Cases(client, elastic_settings)
    marked: dict[str, set[str]] = {}
    for step in range(60):
        act = pick.choice(("ours", "theirs", "read", "read", "read", "read", "anew"))
        key, post = pick.choice(KEYS), f"x:answer-{step}"
        if act == "anew" and step % 3 == 0:
            answers.drop()
            answers.prepare()
            client.indices.put_settings(index=answers.index, settings={"index.refresh_interval": "-1"})
            marked.clear()
        elif act in ("ours", "theirs"):
            (ours if act == "ours" else theirs).mark({key: [Answer(post, NOW)]})
            marked.setdefault(key, set()).add(post)
        else:
            found = ours.marks(KEYS)
            assert {key: {one.post for one in told} for key, told in found.items()} == marked


def test_an_index_that_is_not_there_has_no_marks(
    client: Elasticsearch, elastic_settings: ElasticsearchSettings, answers: Store
) -> None:
    cases = Cases(client, elastic_settings)
    cases.mark({KEYS[0]: [Answer("x:answer", NOW)]})
    for _ in range(3):
        assert cases.marks(KEYS).keys() == {KEYS[0]}
    answers.drop()
    assert cases.marks(KEYS) == {}
    assert cases.marks(KEYS) == {}
