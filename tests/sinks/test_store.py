"""The small indices on a true Elasticsearch that answers strangely: nothing is taken for not being there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from elasticsearch import Elasticsearch

from pipeline.core.errors import RetryableError
from pipeline.core.settings import ElasticsearchSettings
from sinks.store import Put, Store, fields_of


@pytest.fixture
def customers(client: Elasticsearch, elastic_settings: ElasticsearchSettings) -> Iterator[Store]:
    store = Store(client, elastic_settings, "customers")
    yield store
    store.drop()


def test_an_index_that_is_not_there_holds_nothing(customers: Store) -> None:
    assert customers.get(["c1"]) == {}
    assert list(customers.search({"match_all": {}})) == []


def test_a_closed_index_is_waited_for(customers: Store, client: Elasticsearch) -> None:
    customers.prepare()
    customers.put([Put("c1", 1, {"id": "c1"})])
    client.indices.close(index=customers.index)
    with pytest.raises(RetryableError, match="is closed"):
        customers.get(["c1"])
    client.indices.open(index=customers.index, wait_for_active_shards=1)
    assert customers.get(["c1"])["c1"].version == 1


def test_a_shard_that_has_not_started_is_waited_for(customers: Store, client: Elasticsearch) -> None:
    nowhere = {"index.routing.allocation.require.nobody": "here", "number_of_replicas": 0}
    client.indices.create(index=customers.index, settings=nowhere, wait_for_active_shards="0")
    with pytest.raises(RetryableError):
        customers.get(["c1"])


def test_an_index_that_was_dropped_under_a_writer_comes_back_with_its_own_fields(
    customers: Store, client: Elasticsearch
) -> None:
    customers.prepare()
    customers.drop()
    # A role that prepared its index long ago writes on.
    assert customers.put([Put("c1", 7, {"id": "c1", "name": "Ann", "since": "2020-01-01"})]) == [True]
    customers.prepare()
    found = client.indices.get_mapping(index=customers.index)[customers.index]["mappings"]
    assert found["properties"].keys() == fields_of("customers").keys()
    assert found["dynamic"] == "false"
    assert found["properties"]["id"]["type"] == "keyword"
