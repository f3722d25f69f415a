"""What the sink does on a bad day: busy, lost and garbled answers, blocked indices, wrong credentials."""

from __future__ import annotations

import json
import threading
import traceback
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from pipeline.core.errors import ConfigError, RetryableError
from pipeline.core.event import Event
from pipeline.core.settings import ElasticsearchSettings, Secret
from sinks.elastic import build

MAY = datetime(2026, 5, 3, tzinfo=UTC)


def posts(store: Any, count: int = 8) -> list[Event]:
    return [store.event(f"x:{n}", created_at=MAY) for n in range(count)]


class Once:
    """Answers the first ``times`` bulk requests in the given way, then lets the server answer."""

    def __init__(self, answer: Any, times: int = 1) -> None:
        self.answer, self.left = answer, times

    def __call__(self, path: str, body: bytes) -> Any:
        if not path.startswith("/_bulk") or not self.left:
            return None
        self.left -= 1
        return self.answer(body) if callable(self.answer) else self.answer


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_server_is_asked_again(store: Any, proxy: Any, answer: Any, status: int) -> None:
    proxy.behaviour = Once(answer(status, b"<html>busy</html>", {"content-type": "text/html"}), 2)
    assert store.proxied.write(posts(store)) == [None] * 8


def test_a_server_that_stays_busy_is_the_callers_to_wait_for(store: Any, proxy: Any, answer: Any) -> None:
    proxy.behaviour = Once(answer(503, b"", {"retry-after": "7"}), 99)
    with pytest.raises(RetryableError, match="takes no posts now: status 503") as caught:
        store.proxied.write(posts(store))
    assert caught.value.retry_after == 7
    assert proxy.behaviour.left == 98  # a rest of seven seconds is nothing for one write
    proxy.behaviour = Once(None, 0)
    assert store.proxied.write(posts(store)) == [None] * 8


def test_a_429_inside_a_200_repeats_that_document_alone(store: Any, proxy: Any, answer: Any) -> None:
    def third_is_too_much(body: bytes) -> Any:
        busy = {"status": 429, "error": {"type": "es_rejected_execution_exception", "reason": "queue full"}}
        items = [{"index": busy if n == 2 else {"status": 201}} for n in range(8)]
        return answer(200, json.dumps({"errors": True, "items": items}).encode())

    proxy.behaviour = Once(third_is_too_much)
    assert store.proxied.write(posts(store)) == [None] * 8
    assert store.stored().keys() == {"x:2"}
    bulks = [body for path, _, body in proxy.seen if path.startswith("/_bulk")]
    assert [body.count(b"\n") for body in bulks] == [16, 2]


@pytest.mark.parametrize("sent", [-1, 0, 5])
def test_a_lost_answer_is_retryable_and_the_repetition_harmless(
    store: Any, proxy: Any, answer: Any, sent: int
) -> None:
    proxy.behaviour = Once(answer(200, b'{"errors": false}', send=sent))
    with pytest.raises(RetryableError):
        store.proxied.write(posts(store))
    assert store.proxied.write(posts(store)) == [None] * 8
    assert len(store.stored()) == 8


def test_half_of_a_true_answer_is_no_answer(store: Any, proxy: Any) -> None:
    proxy.halve = True
    with pytest.raises(RetryableError):
        store.proxied.write(posts(store))
    proxy.halve = False
    assert store.proxied.write(posts(store)) == [None] * 8
    assert {hits[0]["_version"] for hits in store.stored().values()} == {0}


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b"<html>", b"{}", b'{"errors": false, "items": []}', b'{"errors": true, "items": [{}]}'],
)
def test_nonsense_is_no_answer(store: Any, proxy: Any, answer: Any, body: bytes) -> None:
    proxy.behaviour = Once(answer(200, body))
    with pytest.raises(RetryableError):
        store.proxied.write(posts(store))


def test_a_request_too_large_is_halved_and_a_document_too_large_refused(
    store: Any, proxy: Any, answer: Any
) -> None:
    page = answer(413, b"<html>413</html>", {"content-type": "text/html"})
    proxy.behaviour = lambda path, body: page if "_bulk" in path and len(body) > 2000 else None
    events = posts(store, 20)
    events[7] = store.event("x:7", created_at=MAY, text="long " * 1000)
    outcomes = store.proxied.write(events)
    assert [n for n, outcome in enumerate(outcomes) if outcome] == [7]
    assert "larger than Elasticsearch" in str(outcomes[7])


def test_one_document_that_fails_the_whole_request_is_found(store: Any, proxy: Any, answer: Any) -> None:
    error = {"error": {"type": "action_request_validation_exception", "reason": "id is too long"}}
    whole = answer(400, json.dumps(error).encode())
    proxy.behaviour = lambda path, body: whole if "_bulk" in path and b'"_id":"x:5"' in body else None
    outcomes = store.proxied.write(posts(store))
    assert outcomes == [None] * 5 + ["id is too long"] + [None] * 2


def test_requests_are_cut_by_bytes(store: Any, proxy: Any) -> None:
    sink = build(store.settings, proxy.url, bulk_bytes=3000)
    assert sink.write(posts(store, 50)) == [None] * 50
    sink.close()
    sizes = [len(body) for path, _, body in proxy.seen if path.startswith("/_bulk")]
    assert len(sizes) > 5
    assert max(sizes) <= 3000


@pytest.fixture
def unwatched_disk(store: Any) -> Iterator[None]:
    """Elasticsearch looks at its disk twice a minute, and takes away the block that a full one would set."""
    name = "cluster.info.update.interval"
    store.client.cluster.put_settings(persistent={name: "1h"})
    yield
    store.client.cluster.put_settings(persistent={name: None})


@pytest.mark.usefixtures("unwatched_disk")
@pytest.mark.parametrize(
    ("block", "words"),
    [
        ("read_only_allow_delete", "free disk space"),
        ("write", "takes no writes"),
        ("read_only", "takes no writes"),
    ],
)
def test_a_blocked_index_waits_and_the_others_do_not(store: Any, block: str, words: str) -> None:
    store.sink.write(posts(store, 1))
    index = f"{store.prefix}-posts-2026.05"
    store.client.indices.put_settings(index=index, settings={f"index.blocks.{block}": True})
    mixed = [
        *posts(store, 2),
        store.event("x:june", created_at=datetime(2026, 6, 1, tzinfo=UTC)),
    ]
    with pytest.raises(RetryableError, match=f"index {index} .*{words}"):
        store.sink.write(mixed)
    store.client.indices.put_settings(index=index, settings={f"index.blocks.{block}": None})
    assert set(store.stored()) == {"x:0", "x:june"}
    assert store.sink.write(mixed) == [None] * 3


def test_a_closed_index_waits(store: Any) -> None:
    store.sink.write(posts(store, 1))
    store.client.indices.close(index=f"{store.prefix}-posts-2026.05")
    with pytest.raises(RetryableError, match="is closed: open it"):
        store.sink.write(posts(store, 3))
    store.client.indices.open(index=f"{store.prefix}-posts-2026.05")
    assert store.sink.write(posts(store, 3)) == [None] * 3


@pytest.mark.parametrize(
    ("settings", "header"),
    [
        (
            ElasticsearchSettings(username="ann", password=Secret("s3cret")),
            "Basic " + b64encode(b"ann:s3cret").decode(),
        ),
        (
            ElasticsearchSettings(username="jürgen", password=Secret('s3cret:"ß€')),
            "Basic " + b64encode('jürgen:s3cret:"ß€'.encode()).decode(),
        ),
        (ElasticsearchSettings(api_key=Secret("a2V5")), "ApiKey a2V5"),
        (ElasticsearchSettings(), None),
    ],
)
def test_the_credentials_are_sent_and_their_refusal_told(
    store: Any, proxy: Any, answer: Any, settings: ElasticsearchSettings, header: str | None
) -> None:
    error = {"error": {"type": "security_exception", "reason": "unable to authenticate"}}
    proxy.behaviour = lambda *_: answer(401, json.dumps(error).encode())
    sink = build(settings, proxy.url)
    with pytest.raises(ConfigError, match="GROUNDSWELL_ELASTICSEARCH_PASSWORD") as caught:
        sink.write([store.event()])
    assert "s3cret" not in str(caught.value)
    assert proxy.seen[0][1].get("authorization") == header
    sink.close()


@pytest.mark.parametrize("key", ["s3cret\nX: y", "s3cret€", "s3cret ", "s3cret\0"])
def test_a_key_that_no_header_holds_is_told_of_and_not_shown(key: str) -> None:
    with pytest.raises(ConfigError, match="copy it anew, whole") as caught:
        build(ElasticsearchSettings(api_key=Secret(key)), "http://127.0.0.1:1")
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


def test_a_missing_right_is_told(store: Any, proxy: Any, answer: Any) -> None:
    error = {
        "error": {"type": "security_exception", "reason": "action [indices:data/write/bulk] is unauthorized"}
    }
    proxy.behaviour = Once(answer(403, json.dumps(error).encode()), 99)
    with pytest.raises(ConfigError, match=r"role of docs.*is unauthorized"):
        store.proxied.write(posts(store))


def test_a_certificate_that_cannot_be_read_is_told(tmp_path: Any) -> None:
    missing = tmp_path / "ca.pem"
    with pytest.raises(ConfigError, match=r"ca\.pem: No such file"):
        build(ElasticsearchSettings(ca_file=missing), "https://127.0.0.1:1")
    missing.write_text("no certificate")
    with pytest.raises(ConfigError, match="holds no certificate"):
        build(ElasticsearchSettings(ca_file=missing), "https://127.0.0.1:1")


def test_another_server_at_the_address_is_told(store: Any, proxy: Any, answer: Any) -> None:
    proxy.product = ""
    proxy.behaviour = lambda *_: answer(200, b"{}")
    with pytest.raises(ConfigError, match=r"is no Elasticsearch: set elasticsearch\.url"):
        store.proxied.write(posts(store))


def test_plain_http_where_tls_is_expected_is_told(store: Any, proxy: Any) -> None:
    sink = build(store.settings, proxy.url.replace("http:", "https:"))
    with pytest.raises(ConfigError, match=r"the server speaks plain http.*elasticsearch\.ca_file"):
        sink.write(posts(store))
    sink.close()


def test_a_slow_server_is_retryable(store: Any, proxy: Any, answer: Any) -> None:
    # Long enough for what a busy machine does meanwhile: only the one answer is late.
    settings = replace(store.settings, timeout_seconds=3.0)
    sink = build(settings, proxy.url)
    assert sink.write(posts(store)) == [None] * 8

    over = threading.Event()

    def too_late(body: bytes) -> Any:
        over.wait(60)
        return answer(200)

    proxy.behaviour = Once(too_late)
    with pytest.raises(RetryableError, match="did not answer in time"):
        sink.write(posts(store))
    over.set()
    assert sink.write(posts(store)) == [None] * 8
    sink.close()


def test_no_advice_of_the_server_reaches_the_user(store: Any, proxy: Any, answer: Any) -> None:
    heads = {"warning": '299 Elasticsearch-9 "security is not enabled"'}
    ok = {"errors": False, "items": [{"index": {"status": 201}}]}
    proxy.behaviour = Once(answer(200, json.dumps(ok).encode(), heads))
    assert store.proxied.write(posts(store, 1)) == [None]  # a warning would be an error here
