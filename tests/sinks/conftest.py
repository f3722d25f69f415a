"""Events to write, and a proxy before Elasticsearch that misbehaves as told."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest
from elasticsearch import Elasticsearch

from pipeline.core.event import Event, Language, Sentiment
from pipeline.core.index_name import index_of
from pipeline.core.post import Author, Post, stub
from pipeline.core.settings import ElasticsearchSettings
from pipeline.core.version import version_of
from sinks.elastic import ElasticSink, client_for

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
        """A sink that remembers nothing, as in a process of its own."""
        return ElasticSink(self.client, self.settings, sleep=lambda _: None)

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


@dataclass
class Answer:
    """What the proxy says in place of the server. ``send`` bytes of the body are sent, then it hangs up."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    send: int | None = None


Behaviour = Callable[[str, bytes], Answer | None]


class Proxy:
    """Passes requests on unless ``behaviour(path, body)`` answers; ``halve`` cuts true bulk answers off."""

    def __init__(self, target: str) -> None:
        self.target = urlsplit(target).netloc
        self.behaviour: Behaviour = lambda *_: None
        self.halve = False
        self.product = "Elasticsearch"
        self.seen: list[tuple[str, dict[str, str], bytes]] = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline(65537)
                if not self.raw_requestline or not self.parse_request():
                    self.close_connection = True
                    return
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                proxy.seen.append((self.path, dict(self.headers), body))
                answer = proxy.behaviour(self.path, body) or proxy.forward(self, body)
                self.reply(answer)

            def reply(self, answer: Answer) -> None:
                if answer.send == -1:
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                for name, value in {"content-type": "application/json", **answer.headers}.items():
                    self.send_header(name, value)
                self.send_header("x-elastic-product", proxy.product)
                self.send_header("content-length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body[: answer.send])
                self.wfile.flush()
                self.close_connection = self.close_connection or answer.send is not None

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def forward(self, request: BaseHTTPRequestHandler, body: bytes) -> Answer:
        """The true server's answer."""
        connection = http.client.HTTPConnection(self.target)
        headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
        connection.request(request.command, request.path, body or None, headers)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        half = len(content) // 2 if self.halve and "_bulk" in request.path else None
        return Answer(response.status, content, {"content-type": response.headers["content-type"]}, half)

    def close(self) -> None:
        """Ends it."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


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
