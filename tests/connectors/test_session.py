"""What a client library is given in place of requests' own session: its bounds, on a real wire."""

from __future__ import annotations

import gzip
import logging
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from connectors._session import LARGEST_LINE, Bearer, Session, check_address
from pipeline.core.errors import ConfigError, RetryableError
from pipeline.core.settings import Secret
from testkit.connector_drive import overheard
from testkit.platform.answers import Answer, Asked, Item
from testkit.platform.server import PlatformServer

TOKEN = "tok-0a1b2c3d4e"
HOST = "https://api.example"
SPENT = 256 * 1024 * 1024


def session(server: PlatformServer, **changes: object) -> Session:
    bounds = {"timeout": 1.0, "largest": 1_000_000, "elsewhere": {HOST: server.url}} | changes
    return Session("the platform", auth=Bearer(Secret(TOKEN), "token"), **bounds)  # type: ignore[arg-type]


def page(text: bytes, **headers: str) -> Callable[[Asked], Answer]:
    return lambda _: Answer(wrap=lambda _: text, headers=headers)


def test_another_address_is_asked_and_only_the_wire_sees_the_token() -> None:
    with PlatformServer(page(b'{"a": 1}')) as server, overheard() as said:
        one = session(server)
        logging.getLogger("groundswell").debug("%r %r %r", one, one.auth, vars(one))
        answer = one.get(f"{HOST}/2/tweets?a=b", headers={"Authorization": "Bearer stands-here-in-its-place"})
        assert (answer.json(), one.last.status) == ({"a": 1}, 200)
        assert server.asked[0].path == "/2/tweets"
        assert server.asked[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert said
    assert not [line for line in said if TOKEN in line]


def test_a_netrc_does_not_take_the_place_of_the_librarys_own_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with PlatformServer(page(b"{}")) as server:
        Session("the platform", timeout=1.0).get(server.url, headers={"Authorization": "bearer its-own"})
        assert server.asked[0].headers["authorization"] == "bearer its-own"


def test_a_redirect_comes_back_as_it_is() -> None:
    with PlatformServer(
        lambda _: Answer(status=302, headers={"Location": server.elsewhere}, wrap=lambda _: b"")
    ) as server:
        assert session(server).get(f"{HOST}/", allow_redirects=True).status_code == 302
        assert server.trespasses == 0


def test_no_cookie_is_kept() -> None:
    with PlatformServer(page(b"{}", **{"Set-Cookie": "who=you; Path=/"})) as server:
        one = session(server)
        for _ in range(2):
            one.get(f"{HOST}/")
        assert "cookie" not in server.asked[1].headers


@pytest.mark.parametrize("told", [True, False], ids=["told its length", "in chunks"])
def test_a_long_body_is_not_taken_in(told: bool) -> None:
    long = Answer(padding=SPENT) if told else Answer(form="lines", padding=SPENT)
    with PlatformServer(lambda _: long) as server:
        with pytest.raises(RetryableError, match="more than 1000000 bytes"):
            session(server).get(f"{HOST}/")
        assert server.filled < SPENT // 4


def test_a_small_body_that_unpacks_to_a_long_one_is_not_taken_in() -> None:
    bomb = gzip.compress(bytes(SPENT))
    with PlatformServer(page(bomb, **{"Content-Encoding": "gzip"})) as server:
        tracemalloc.start()
        with pytest.raises(RetryableError, match="more than 1000000 bytes"):
            session(server).get(f"{HOST}/")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(bomb) < 1_000_000 < peak < SPENT // 8


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (Answer(silent=True), "does not answer within 1 s"),
        (Answer(items=[Item(data="x" * 99)] * 3, cut_after=1), "cannot be reached"),
        (Answer(wrap=lambda _: b"no gzip", headers={"Content-Encoding": "gzip"}), "cannot be unpacked"),
    ],
    ids=["silent", "cut", "not packed"],
)
def test_what_befalls_the_line_is_tried_again(answer: Answer, sentence: str) -> None:
    with PlatformServer(lambda _: answer) as server, pytest.raises(RetryableError, match=sentence) as caught:
        session(server).get(f"{HOST}/", params={"query": "private"})
    assert "private" not in str(caught.value)


def test_nobody_there_and_a_body_that_drips() -> None:
    with PlatformServer(page(b"")) as server:
        gone = session(server)
    with pytest.raises(RetryableError, match=r"cannot be reached \(Connection refused\)"):
        gone.get(f"{HOST}/")

    def drip() -> Iterator[None]:
        while True:
            yield None

    dripping = Answer(form="lines", items=drip(), keep_alives=True)
    with PlatformServer(lambda _: dripping) as server:
        began = time.monotonic()
        with pytest.raises(RetryableError, match="come to an end"):
            session(server).get(f"{HOST}/")
        assert 1.9 < time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("first", "again"),
    [(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x"), (b"", b"HTTP/1.1 100 Continue\r\n\r\n"), (b"", b"H")],
    ids=["headers that drip", "continue for ever", "a status that drips"],
)
def test_what_comes_before_the_body_comes_to_an_end(first: bytes, again: bytes) -> None:
    over = threading.Event()

    def serve() -> None:
        connection, _ = server.accept()
        with suppress(OSError), connection:
            connection.sendall(first)
            while not over.wait(0.05):
                connection.sendall(again)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        one = Session("the platform", timeout=0.5)
        began = time.monotonic()
        with pytest.raises(RetryableError, match="does not answer within"):
            one.get(f"http://127.0.0.1:{server.getsockname()[1]}/")
        assert 0.9 < time.monotonic() - began < 20
        over.set()
        thread.join()


def test_a_stream_comes_line_by_line_until_it_is_hung_up() -> None:
    items = [Item(data={"n": number}) for number in range(3)]
    with PlatformServer(lambda _: Answer(form="lines", items=items, hold=True, gzip=True)) as server:
        one = session(server, timeout=30.0)
        response = one.get(f"{HOST}/", stream=True)
        lines = response.iter_lines(chunk_size=4096)
        assert [next(lines) for _ in items] == [item.text() for item in items]
        threading.Timer(0.1, one.hang_up).start()
        began = time.monotonic()
        with pytest.raises(requests.RequestException):
            list(lines)
        assert time.monotonic() - began < 20
        one.hang_up()


def test_a_line_without_end_is_not_taken_in() -> None:
    with PlatformServer(lambda _: Answer(form="lines", padding=SPENT)) as server:
        response = session(server).get(f"{HOST}/", stream=True)
        with pytest.raises(RetryableError, match=f"more than {LARGEST_LINE} bytes"):
            list(response.iter_lines(chunk_size=16384))
        assert server.filled < SPENT // 4


def test_a_token_that_no_header_may_hold_is_refused_without_being_shown() -> None:
    with pytest.raises(ConfigError, match="token_file has spaces") as caught:
        Bearer(Secret(f"{TOKEN}\nX: y"), "token_file")
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["https://api.x.com", "http://127.0.0.1:8080", "http://localhost", "http://[::1]:1"]
)
def test_addresses_that_a_token_may_travel_to(address: str) -> None:
    check_address(address, "address")


@pytest.mark.parametrize("address", ["http://api.x.com", "http://10.0.0.1", "http://localhost.evil.example"])
def test_addresses_that_it_may_not(address: str) -> None:
    with pytest.raises(ValueError, match="https://"):
        check_address(address, "address")
