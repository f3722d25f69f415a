"""The platform's server does what it is told to, in every form, and its log is true."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import ssl
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from testkit.platform.answers import Answer, Asked, Form, Item
from testkit.platform.certificate import make_certificate, openssl
from testkit.platform.exchanges import Exchange, Player, read_exchanges
from testkit.platform.faults import FAULTS, Fault
from testkit.platform.server import PlatformServer
from testkit.waiting import until

ITEMS = [Item(id=f"x:{number}", data={"text": f"late {number}", "n": number}) for number in range(6)]
STREAMS: tuple[Form, ...] = ("lines", "events")


def fault(name: str) -> Fault:
    return next(one for one in FAULTS if one.name == name)


@pytest.fixture
def serve() -> Iterator[Callable[[Form], PlatformServer]]:
    """A server that answers everything in one form."""
    servers: list[PlatformServer] = []

    def start(form: Form) -> PlatformServer:
        server = PlatformServer(lambda _: Answer(form=form, items=ITEMS))
        servers.append(server.__enter__())
        return server

    yield start
    for server in servers:
        server.__exit__(None, None, None)


def get(server: PlatformServer, timeout: float = 5.0) -> tuple[int, dict[str, str], bytes]:
    """One request without any cleverness of a client library."""
    connection = http.client.HTTPConnection(server.host, timeout=timeout)
    try:
        connection.request("GET", "/a?b=1&b=2", headers={"X-Token": "t"})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def test_a_page_and_the_log(serve: Callable[[Form], PlatformServer]) -> None:
    server = serve("page")
    assert json.loads(get(server)[2]) == [item.data for item in ITEMS]
    until(lambda: server.served == [item.id for item in ITEMS])
    asked = server.asked[0]
    assert (asked.method, asked.path, asked.query["b"], asked.last("b")) == ("GET", "/a", ["1", "2"], "2")
    assert asked.headers["x-token"] == "t"


@pytest.mark.parametrize(("form", "mark"), [("lines", b"\r\n"), ("events", b"\n\n")])
def test_a_stream(form: Form, mark: bytes, serve: Callable[[Form], PlatformServer]) -> None:
    parts = get(serve(form))[2].split(mark)
    assert len(parts) == 7
    assert json.loads(parts[2].partition(b"{")[1] + parts[2].partition(b"{")[2]) == ITEMS[2].data


@pytest.mark.parametrize("name", ["401", "403", "404", "500", "503"])
def test_refusals_happen_once(name: str, serve: Callable[[Form], PlatformServer]) -> None:
    server = serve("page")
    server.spoil(fault(name))
    assert [get(server)[0], get(server)[0]] == [int(name), 200]
    assert server.spoilt == [name]


def test_a_limit_tells_its_reset_by_a_clock_that_may_be_off(serve: Callable[[Form], PlatformServer]) -> None:
    server = serve("page")
    server.spoil(fault("429"))
    server.spoil(fault("clock a day ahead"))
    straight, off = get(server), get(server)
    assert (straight[0], straight[1]["retry-after"], off[0]) == (429, "2", 429)
    assert straight[1]["date"] != off[1]["date"]


@pytest.mark.parametrize("form", ["page", *STREAMS])
def test_a_cut_breaks_within_an_item(form: Form, serve: Callable[[Form], PlatformServer]) -> None:
    server = serve(form)
    server.spoil(fault("cut within an item"))
    with pytest.raises((http.client.IncompleteRead, ConnectionError)) as error:
        get(server)
    if isinstance(error.value, http.client.IncompleteRead) and form != "page":
        assert b"late 1" in error.value.partial
        assert ITEMS[2].text() not in error.value.partial
    assert len(server.served) == (0 if form == "page" else 2)


def test_no_answer_is_none(serve: Callable[[Form], PlatformServer]) -> None:
    server = serve("page")
    server.spoil(fault("no answer"))
    with pytest.raises(TimeoutError):
        get(server, timeout=0.5)


@pytest.mark.parametrize(
    ("form", "mark"), [("page", b"\n  \n["), ("lines", b"\r\n\r\n"), ("events", b":thump")]
)
def test_keep_alives(form: Form, mark: bytes, serve: Callable[[Form], PlatformServer]) -> None:
    server = serve(form)
    server.spoil(fault("keep-alives"))
    assert mark in get(server)[2]


@pytest.mark.parametrize("form", ["page", *STREAMS])
def test_gzip(form: Form, serve: Callable[[Form], PlatformServer]) -> None:
    server = serve(form)
    plain = get(server)[2]
    server.spoil(fault("gzip"))
    _, headers, body = get(server)
    assert headers["content-encoding"] == "gzip"
    assert gzip.decompress(body) == plain


def test_a_redirect_leads_to_a_place_that_notices(serve: Callable[[Form], PlatformServer]) -> None:
    server = serve("page")
    server.spoil(fault("redirect"))
    status, headers, _ = get(server)
    assert (status, headers["location"], server.trespasses) == (302, server.elsewhere, 0)
    urllib.request.urlopen(server.elsewhere).read()
    assert server.trespasses == 1


def test_a_huge_body_counts_what_was_taken(serve: Callable[[Form], PlatformServer]) -> None:
    server = serve("page")
    server.spoil(fault("body of 100 MB"))
    connection = socket.create_connection(server.host.split(":"), timeout=5)
    connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    taken = 0
    while taken < 1_000_000:
        taken += len(connection.recv(65536))
    connection.close()
    assert 1_000_000 <= server.filled < 30_000_000


def test_items_are_spoiled_as_the_fault_says(serve: Callable[[Form], PlatformServer]) -> None:
    server = serve("page")

    def under(name: str) -> list[Any]:
        server.spoil(fault(name))
        return list(json.loads(get(server)[2]))

    assert len(under("duplicates")) == 12
    numbers = [row["n"] for row in under("out of order")]
    assert numbers != sorted(numbers)
    assert sorted(numbers) == list(range(6))
    assert all("zz_new" in row for row in under("unknown fields"))
    assert ["text" in row for row in under("missing field")] == [True, True, False, True, True, True]
    assert [isinstance(row["text"], str) for row in under("mistyped field")].count(False) == 1


def test_streams_are_dropped_on_demand() -> None:
    def flow() -> Iterator[Item | None]:
        yield from ITEMS
        while True:
            yield None

    with PlatformServer(lambda _: Answer(form="lines", items=flow())) as server:
        connection = http.client.HTTPConnection(server.host, timeout=5)
        connection.request("GET", "/")
        answer = connection.getresponse()
        until(lambda: len(server.served) == 6)
        server.drop()
        assert answer.read().count(b"late") == 6
        connection.close()


def test_a_script_that_fails_is_seen() -> None:
    def broken(asked: Asked) -> Answer:
        raise KeyError("nothing prepared")

    with PlatformServer(broken) as server:
        assert get(server)[0] == 599


@pytest.mark.skipif(openssl() is None, reason="the program openssl is not installed")
def test_https(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    context = ssl.create_default_context(cafile=certificate.file)
    with PlatformServer(lambda _: Answer(items=ITEMS), certificate=certificate) as server:
        with urllib.request.urlopen(f"{server.url}/", context=context) as answer:
            assert len(json.loads(answer.read())) == 6
        with pytest.raises(OSError, match="certificate"):
            urllib.request.urlopen(f"{server.url}/")


def test_recorded_exchanges_are_played_in_their_order(tmp_path: Path) -> None:
    rows = [
        {"method": "GET", "uri": "https://a.example/new?limit=2&t=1", "status": 200, "body": {"page": 1}},
        {"method": "GET", "uri": "https://a.example/new?limit=2&t=9", "status": 200, "body": {"page": 2}},
        {"method": "GET", "uri": "https://a.example/old", "status": 429, "headers": {"Retry-After": "3"}},
    ]
    file = tmp_path / "a.responses.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    player = Player(read_exchanges(file), ignored=["t"])
    with PlatformServer(player) as server:

        def ask(path: str) -> tuple[int, Any]:
            connection = http.client.HTTPConnection(server.host, timeout=5)
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            connection.close()
            return answer.status, json.loads(body)

        pages = [ask(f"/new?t={time.time()}&limit=2") for _ in range(3)]
        assert pages == [(200, {"page": 1}), (200, {"page": 2}), (200, {"page": 2})]
        assert ask("/old")[0] == 429
        assert ask("/new?limit=3")[0] == 404
    assert [asked.path for asked in player.unknown] == ["/new"]


def test_the_shared_exchanges_can_be_played(shared: Path) -> None:
    files = sorted((shared / "data" / "payloads").glob("*/*.responses.jsonl*"))
    assert len(files) > 20
    for file in files:
        exchanges: list[Exchange] = read_exchanges(file)
        assert exchanges, file
        assert all(exchange.method and exchange.status for exchange in exchanges)
