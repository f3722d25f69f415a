"""Small indices whose records carry their own version: order, the lock, an index in the making, and
answers of the server that tell nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from elasticsearch import Elasticsearch

from pipeline.core.errors import RetryableError
from pipeline.core.settings import ElasticsearchSettings
from sinks.elastic import client_for
from sinks.store import Put, Store, fields_of


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


def test_an_index_that_is_not_there_holds_nothing(store: Store) -> None:
    assert store.get(["c1"]) == {}
    assert list(store.search({"match_all": {}})) == []


def test_a_closed_index_is_waited_for(store: Store, client: Elasticsearch) -> None:
    store.prepare()
    store.put([Put("c1", 1, {"id": "c1"})])
    client.indices.close(index=store.index)
    with pytest.raises(RetryableError, match="is closed"):
        store.get(["c1"])
    client.indices.open(index=store.index, wait_for_active_shards=1)
    assert store.get(["c1"])["c1"].version == 1


def test_a_shard_that_has_not_started_is_waited_for(store: Store, client: Elasticsearch) -> None:
    nowhere = {"index.routing.allocation.require.nobody": "here", "number_of_replicas": 0}
    client.indices.create(index=store.index, settings=nowhere, wait_for_active_shards="0")
    with pytest.raises(RetryableError):
        store.get(["c1"])


def test_an_index_that_was_dropped_under_a_writer_comes_back_with_its_own_fields(
    store: Store, client: Elasticsearch
) -> None:
    store.prepare()
    store.drop()
    # A role that prepared its index long ago writes on.
    assert store.put([Put("c1", 7, {"id": "c1", "name": "Ann", "since": "2020-01-01"})]) == [True]
    store.prepare()
    found = client.indices.get_mapping(index=store.index)[store.index]["mappings"]
    assert found["properties"].keys() == fields_of("customers").keys()
    assert found["dynamic"] == "false"
    assert found["properties"]["id"]["type"] == "keyword"
