"""A server that is just starting again: some indices answer before others."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec import structs

from pipeline.core.errors import RetryableError
from sinks.elastic import drop


def test_a_deletion_waits_for_shards_that_have_not_started(store: Any, proxy: Any, answer: Any) -> None:
    """After a restart of the server the index of a month may start later than that of the undated posts."""
    store.sink.write([store.event(created_at=datetime(2026, 11, 1, tzinfo=UTC))])
    month = f"{store.prefix}-posts-2026.11"

    def starting(path: str, body: bytes) -> Any:
        if "_mget" not in path:
            return None
        asked, index = json.loads(body), path.split("/")[1]
        docs = asked.get("docs") or [{"_index": index, "_id": id} for id in asked["ids"]]
        if not any(doc["_index"] == month for doc in docs):
            return None
        error = {"type": "no_shard_available_action_exception", "reason": "No shard available"}
        told = [doc | ({"error": error} if doc["_index"] == month else {"found": False}) for doc in docs]
        return answer(200, json.dumps({"docs": told}).encode())

    proxy.behaviour = starting
    with pytest.raises(RetryableError):
        store.proxied.write([store.event(deleted=True)])
    proxy.behaviour = lambda *_: None
    assert store.proxied.write([store.event(deleted=True)]) == [None]
    ((hit,),) = store.stored().values()
    assert hit["_source"]["deleted"] is True


def test_a_shard_that_is_coming_back_is_not_taken_for_an_empty_one(
    store: Any, proxy: Any, answer: Any
) -> None:
    """Killed before its first commit it counts from none, until all is read from its own log."""
    store.sink.write([store.event(created_at=None)])
    told = {"routing": {"state": "INITIALIZING"}, "seq_no": {"max_seq_no": -1}}
    index = {"uuid": "of-the-undated", "shards": {"0": [told]}}
    coming_back = answer(200, json.dumps({"indices": {f"{store.prefix}-posts-undated": index}}).encode())
    proxy.behaviour = lambda path, _: coming_back if "/_stats" in path else None
    assert store.proxied.write([store.event(created_at=datetime(2026, 11, 1, tzinfo=UTC))]) == [None]
    assert [len(hits) for hits in store.stored().values()] == [1]


def test_half_an_undated_index_is_not_taken_for_an_empty_one(store: Any) -> None:
    """With several shards it may have lost the very one that the post is in; the others say nothing of it."""
    index = f"{store.prefix}-posts-undated"
    store.settings = structs.replace(store.settings, shards=2)
    drop(store.client, store.prefix)
    other = store.another()
    store.another().write([store.event()])
    ((copy,),) = store.client.search_shards(index=index, routing="x:1")["shards"]
    lose = {"index": index, "shard": copy["shard"], "node": copy["node"], "allow_primary": True}
    dated = store.event(created_at=datetime(2026, 11, 1, tzinfo=UTC))
    store.client.cluster.reroute(commands=[{"cancel": lose}])  # it comes back at once, but not in an instant
    with suppress(RetryableError):
        other.write([dated])
    store.client.cluster.health(index=index, wait_for_status="yellow", timeout="30s")
    assert other.write([dated]) == [None]
    assert [hit["_index"] for hit in store.stored()["x:1"]] == [index]
