"""Events to write, and a proxy before Elasticsearch that misbehaves as told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from pipeline.core.event import Event, Language, Sentiment
from pipeline.core.index_name import index_of
from pipeline.core.post import Author, Post, stub
from pipeline.core.settings import ElasticsearchSettings
from pipeline.core.version import version_of
from sinks.elastic import ElasticSink, client_for
from testkit.elastic_proxy import Answer, Proxy

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)


class Store:
    """The indices of one test, and a sink that writes to them without resting between its tries."""

    def __init__(self, client: Elasticsearch, settings: ElasticsearchSettings) -> None:
        self.client = client
        self.settings = settings
        self.prefix = settings.prefix
        self.sink = self.another()
        self.proxied = self.sink

    def another(self) -> ElasticSink:
        """A sink that remembers nothing, as in a process that takes over."""
        sink = ElasticSink(self.client, self.settings, sleep=lambda _: None)
        sink.catch_up()
        return sink

    def event(
        self, id: str = "x:1", *, seen: datetime = NOW, processed: datetime = NOW, **post: Any
    ) -> Event:
        """The event of a post, as `enrich` makes it."""
        if post.get("deleted"):
            made = stub(Post(id=id, text="", **post))
        else:
            made = Post(id=id, **{"text": "hello", "author": Author(id="x:a")} | post)
        found: dict[str, Any] = {}
        if not made.deleted:
            found["language"] = Language("en", 0.9)
            found["sentiment"] = Sentiment(0.5, "positive", 0.3, 0.6, 0.1)
        return Event(
            post=made,
            **found,
            index=index_of(self.prefix, made.created_at, made.collected_at or seen),
            version=version_of(made),
            processed_at=processed,
        )

    def stored(self) -> dict[str, list[dict[str, Any]]]:
        """The hits of each id, over all indices."""
        self.client.indices.refresh(index=f"{self.prefix}-posts-*")
        answer = self.client.search(index=f"{self.prefix}-posts-*", size=1000, version=True)
        found: dict[str, list[dict[str, Any]]] = {}
        for hit in answer["hits"]["hits"]:
            found.setdefault(hit["_id"], []).append(hit)
        return found


@pytest.fixture
def store(client: Elasticsearch, elastic_settings: ElasticsearchSettings) -> Store:
    """The indices of this test."""
    return Store(client, elastic_settings)


@pytest.fixture
def proxy(elasticsearch: str, store: Store) -> Iterator[Proxy]:
    """A proxy before the true server; ``store.proxied`` writes through it."""
    proxy = Proxy(elasticsearch)
    client = client_for(store.settings, proxy.url)
    store.proxied = ElasticSink(client, store.settings, sleep=lambda _: None)
    yield proxy
    client.close()
    proxy.close()


@pytest.fixture(scope="session")
def answer() -> type[Answer]:
    """The class of the proxy's answers."""
    return Answer
