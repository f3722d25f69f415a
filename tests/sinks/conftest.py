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
MakeEvent = Callable[..., Event]


@pytest.fixture(scope="session")
def event_of() -> MakeEvent:
    """Makes an event: ``event_of(prefix, "x:1", text="…", created_at=…)``, as `enrich` would."""

    def make(prefix: str, id: str = "x:1", *, seen: datetime = NOW, processed: datetime = NOW, **post: Any) -> Event:
        if post.get("deleted"):
            made = stub(Post(id=id, **post))
        else:
            made = Post(id=id, **{"text": "hello", "author": Author(id="x:a")} | post)
        found: dict[str, Any] = {}
        if not made.deleted:
            found["language"] = Language("en", 0.9)
            found["sentiment"] = Sentiment(0.5, "positive", 0.3, 0.6, 0.1)
        return Event(
            post=made,
            **found,
            index=index_of(prefix, made.created_at, made.collected_at or seen),
            version=version_of(made),
            processed_at=processed,
        )

    return make


@pytest.fixture
def sink(client: Elasticsearch, elastic_settings: ElasticsearchSettings) -> ElasticSink:
    """A sink that does not rest between its tries."""
    return ElasticSink(client, elastic_settings, sleep=lambda _: None)


def stored(client: Elasticsearch, prefix: str) -> dict[str, list[dict[str, Any]]]:
    """What the indices hold: the hits of each id."""
    client.indices.refresh(index=f"{prefix}-posts-*")
    hits = client.search(index=f"{prefix}-posts-*", size=1000, version=True)["hits"]["hits"]
    found: dict[str, list[dict[str, Any]]] = {}
    for hit in hits:
        found.setdefault(hit["_id"], []).append(hit)
    return found


@pytest.fixture(scope="session")
def stored_in() -> Callable[[Elasticsearch, str], dict[str, list[dict[str, Any]]]]:
    """The function :func:`stored`."""
    return stored


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
        self.behaviour: Behaviour = lambda path, body: None
        self.halve = False
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
                self.send_header("x-elastic-product", "Elasticsearch")
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
def proxy(elasticsearch: str) -> Iterator[Proxy]:
    """A proxy before the true server."""
    proxy = Proxy(elasticsearch)
    yield proxy
    proxy.close()


@pytest.fixture
def proxied(proxy: Proxy, client: Elasticsearch, elastic_settings: ElasticsearchSettings) -> Iterator[ElasticSink]:
    """A sink that writes through the proxy."""
    sink = ElasticSink(client_for(elastic_settings, proxy.url), elastic_settings, sleep=lambda _: None)
    yield sink
    sink.close()


@pytest.fixture(scope="session")
def answer() -> type[Answer]:
    """The class of the proxy's answers."""
    return Answer
