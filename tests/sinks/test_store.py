"""Small indices whose records carry their own version: order, the optimistic lock, an index in the making."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from pipeline.core.settings import ElasticsearchSettings
from sinks.elastic import client_for
from sinks.store import Put, Store


@pytest.fixture
def store(elasticsearch: str, prefix: str) -> Iterator[Store]:
    settings = ElasticsearchSettings(prefix=prefix)
    store = Store(client_for(settings, elasticsearch), settings, "customers")
    yield store
    store.drop()
    store.client.close()


def test_the_highest_version_stands_whatever_the_order(store: Store) -> None:
    store.prepare()
    assert store.get(["a"]) == {}
    assert store.put([Put("a", 5, {"id": "a", "name": "five"}), Put("a", 3, {"id": "a"})]) == [True, False]
    assert store.put([Put("a", 5, {"id": "a", "name": "again"})]) == [True]
    assert store.get(["a", "b"])["a"].source == {"id": "a", "name": "again"}
    assert store.put([Put("a", 4, None)]) == [False]
    assert store.put([Put("a", 6, None), Put("b", 1, None)]) == [True, True]
    assert store.get(["a", "b"]) == {}


def test_of_two_who_write_one_version_one_is_refused(store: Store) -> None:
    store.prepare()
    together = Barrier(8)

    def write(name: str) -> bool:
        together.wait()
        (done,) = store.put([Put("a", 7, {"id": "a", "name": name})], only_newer=True)
        return done

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(write, "abcdefgh"))
    assert sorted(outcomes) == [False] * 7 + [True]
    assert store.get(["a"])["a"].source["name"] == "abcdefgh"[outcomes.index(True)]


def test_who_asks_while_the_index_is_made_is_answered(store: Store) -> None:
    """The index is there a moment before its shards are."""
    for _ in range(8):
        together = Barrier(2)

        def make(together: Barrier = together) -> None:
            together.wait()
            store.prepare()

        with ThreadPoolExecutor(1) as pool:
            made = pool.submit(make)
            together.wait()
            while not made.done():
                assert list(store.search({"match_all": {}})) == []
            made.result()
        store.drop()


def test_a_search_reads_page_by_page_in_order(store: Store) -> None:
    store.prepare()
    ids = [f"{number:04d}" for number in range(2500)]
    assert all(store.put([Put(id, 1, {"id": id}) for id in reversed(ids)]))
    store.refresh()
    assert [found.source["id"] for found in store.search({"match_all": {}})] == ids
    assert len(list(store.search({"match_all": {}}, limit=1200))) == 1200
