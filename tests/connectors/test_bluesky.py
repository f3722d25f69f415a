"""Which of Jetstream's events are wanted, and how its hosts are listened to."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

from connectors import _websocket
from connectors.bluesky import HOSTS, SETTINGS, Bluesky, build
from connectors.bluesky import log as bluesky_log
from pipeline.core.errors import ConfigError, RetryableError
from pipeline.core.post import Post
from testkit.connectors import bluesky as jetstream
from testkit.platform.answers import Answer, Item, refusal
from testkit.platform.certificate import make_certificate, openssl
from testkit.platform.faults import FAULTS
from testkit.platform.server import PlatformServer
from testkit.platform.staged import ServedStage
from testkit.waiting import until

FIXTURE = jetstream.FIXTURE


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[ServedStage]:
    with FIXTURE.stage(tmp_path) as stage:
        yield stage


@pytest.fixture
def listen(stage: ServedStage) -> Iterator[Any]:
    """Makes connectors for the stage's host, with these settings."""
    with ExitStack() as stack:

        def make(**settings: Any) -> Bluesky:
            table = {**stage.table, "words": [], **settings}
            connector = build(msgspec.convert(table, SETTINGS))
            stack.callback(connector.close)
            return connector

        yield make


def read_all(connector: Bluesky, cursor: Any = None) -> list[Post]:
    found: list[Post] = []
    wait: float | None = 0.0
    while not wait:
        read = connector.read(cursor)
        assert not read.rejected
        found += read.posts
        cursor, wait = read.cursor, read.wait
    return found


def tell(stage: ServedStage, *records: Mapping[str, Any], **commit: Any) -> None:
    for number, record in enumerate(records):
        moment = time.time() - 60 + number
        data = jetstream.event(number, moment, record or None, **commit)
        stage.timeline.items.append(Item(data=data, at=moment))


def texts(posts: list[Post]) -> list[str]:
    return [post.text for post in posts]


def test_words_are_whole_and_without_case_in_texts_and_tags(stage: ServedStage, listen: Any) -> None:
    tell(
        stage, {"text": "ACME, again!"}, {"text": "acmes"}, {"text": "x", "tags": ["Acme"]}, {"text": "late"}
    )
    assert texts(read_all(listen(words=["acme"]))) == ["ACME, again!", "x"]
    assert texts(read_all(listen(words=["acme*", "lat*"]))) == ["ACME, again!", "acmes", "x", "late"]
    assert len(read_all(listen())) == 4


def test_languages_by_their_first_part_and_none_counts(stage: ServedStage, listen: Any) -> None:
    tell(stage, {"text": "a", "langs": ["en-GB"]}, {"text": "b", "langs": ["ja", "de"]}, {"text": "c"})
    assert texts(read_all(listen(languages=["en"]))) == ["a", "c"]
    assert texts(read_all(listen(languages=["de"]))) == ["b", "c"]


def test_deletions_and_edits_come_whatever_is_wanted(stage: ServedStage, listen: Any) -> None:
    tell(stage, {"text": "b", "langs": ["ja"]}, operation="update")
    tell(stage, {}, operation="delete")
    assert [post.deleted for post in read_all(listen(words=["acme"], languages=["en"]))] == [False, True]


def test_authors_are_asked_of_the_host(stage: ServedStage, listen: Any) -> None:
    stage.tell(20)
    found = read_all(listen(authors=[jetstream.did(2)]))
    assert found
    assert {post.author.id for post in found if not post.deleted} == {f"bluesky:{jetstream.did(2)}"}
    assert stage.server.asked[0].query["wantedDids"] == [jetstream.did(2)]


def test_a_followed_account_that_is_suspended_is_told(
    stage: ServedStage, listen: Any, caplog: pytest.LogCaptureFixture
) -> None:
    stage.tell(8)
    read_all(listen(authors=[jetstream.did(7)]))
    assert f"the account {jetstream.did(7)} is suspended: nothing comes from it" in caplog.text


def test_settings_that_are_wrong_say_so() -> None:
    wrongs = ({"authors": ["a.example"]}, {"hosts": []}, {"hosts": ["https://a.example"]}, {"words": ["!?"]})
    for wrong in wrongs:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(wrong, SETTINGS)
    assert all(urlsplit(host).scheme == "wss" for host in HOSTS)


def asked_cursor(stage: ServedStage) -> float:
    return int(stage.server.asked[-1].last("cursor")) / 1_000_000


def test_the_stream_is_taken_up_some_seconds_before_the_cursor(stage: ServedStage, listen: Any) -> None:
    stage.tell(3)
    at = time.time() - 600
    listen().read({"time_us": int(at * 1_000_000)})
    assert asked_cursor(stage) == pytest.approx(at - 5, abs=0.001)


def test_the_first_start_is_now_or_so_many_hours_ago_and_stays(stage: ServedStage, listen: Any) -> None:
    stage.spoil(next(fault for fault in FAULTS if fault.name == "503"))
    connector = listen(since_hours=2)
    began = time.time()
    with pytest.raises(RetryableError):
        connector.read(None)
    first = asked_cursor(stage)
    assert began - 7205.1 < first < time.time() - 7204.9
    connector.read(None)
    assert asked_cursor(stage) == first


def test_the_cursor_stays_while_a_host_tells_times_to_come(
    stage: ServedStage, listen: Any, caplog: pytest.LogCaptureFixture
) -> None:
    stage.tell(6)
    stage.spoil(next(fault for fault in FAULTS if fault.name == "clock a day ahead"))
    connector = listen()
    first = connector.read(None)
    assert first.posts
    assert connector.read(first.cursor).cursor == first.cursor
    assert first.cursor["time_us"] < (time.time() - 3000) * 1_000_000
    assert "s ahead of ours: the cursor stays" in caplog.text


def test_the_listener_is_told_what_a_host_no_longer_has(
    stage: ServedStage, listen: Any, caplog: pytest.LogCaptureFixture
) -> None:
    stage.tell(3)
    listen().read({"time_us": int((time.time() - 7200) * 1_000_000)})
    assert "no longer has the 2.0 hours after the cursor" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING, bluesky_log.name):
        listen().read({"time_us": int((time.time() - 60) * 1_000_000)})
    assert not caplog.text


def test_a_host_that_fails_gives_way_to_the_next(stage: ServedStage, listen: Any) -> None:
    stage.tell(5)
    with PlatformServer(lambda _: refusal(503)) as broken:
        connector = listen(hosts=[broken.socket_url, stage.server.socket_url])
        with pytest.raises(RetryableError, match="the next host is asked") as error:
            connector.read(None)
        assert error.value.retry_after == 1
        assert read_all(connector)


def test_a_host_that_falls_silent_with_its_line_open_gives_way(stage: ServedStage, listen: Any) -> None:
    hours = iter(range(0, 10**9, 3600))

    def hourly(**settings: Any) -> Bluesky:
        connector: Bluesky = listen(**settings)
        connector._clock = lambda: float(next(hours))
        return connector

    # One author alone may be silent for long.
    assert hourly(authors=[jetstream.did(1)]).read(None).posts == []
    whole = hourly()
    with pytest.raises(RetryableError, match="is connected and says nothing for 3600 s"):
        whole.read(None)
    whole._clock = time.monotonic
    stage.tell(3)
    assert read_all(whole, {"time_us": 0})


def test_once_all_hosts_have_failed_the_error_is_the_last_hosts_own(listen: Any) -> None:
    with PlatformServer(lambda _: refusal(503)) as one, PlatformServer(lambda _: refusal(403)) as other:
        connector = listen(hosts=[one.socket_url, other.socket_url])
        with pytest.raises(RetryableError, match="the next host"):
            connector.read(None)
        with pytest.raises(ConfigError, match="name another host in `hosts`"):
            connector.read(None)


def test_a_host_that_asks_for_rest_is_left_alone(listen: Any) -> None:
    with PlatformServer(lambda _: refusal(429, headers={"Retry-After": "60"})) as busy:
        connector = listen(hosts=[busy.socket_url])
        for _ in range(2):
            with pytest.raises(RetryableError, match="limit is reached") as error:
                connector.read(None)
            assert error.value.retry_after == pytest.approx(60, abs=20)
        assert len(busy.asked) == 1


def test_nobody_at_the_address(listen: Any) -> None:
    with pytest.raises(RetryableError, match=r"cannot be reached \(Connection refused\)$"):
        listen(hosts=["ws://127.0.0.1:1"]).read(None)


def test_a_name_that_nobody_knows(listen: Any) -> None:
    with pytest.raises(RetryableError, match=r"cannot be reached \([\w -]+\)$"):
        listen(hosts=["ws://nowhere.invalid:1"]).read(None)


def test_a_flood_waits_at_the_host_and_nothing_is_lost(
    stage: ServedStage, listen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_websocket, "MAX_FRAMES", 50)
    tell(stage, *({"text": f"{number} {'x' * 20_000}"} for number in range(1000)))
    connector = listen(batch=10, timeout_seconds=30)
    first = connector.read(None)

    def stalled() -> bool:
        before = len(stage.server.served)
        time.sleep(0.5)
        return len(stage.server.served) == before

    until(stalled, why="the host goes on sending to somebody who does not read")
    assert len(stage.server.served) < 900
    found = [*first.posts, *read_all(connector, first.cursor)]
    assert [int(post.text.split()[0]) for post in found] == list(range(1000))


def test_closing_ends_the_thread_also_where_no_host_greets(listen: Any) -> None:
    def threads() -> int:
        return sum(thread.name == "groundswell-websocket" for thread in threading.enumerate())

    def refused() -> None:
        with pytest.raises(RetryableError):
            connector.read(None)

    before = threads()
    with PlatformServer(lambda _: Answer(silent=True)) as silent:
        connector = listen(hosts=[silent.socket_url], timeout_seconds=30)
        reading = threading.Thread(target=refused)
        reading.start()
        until(lambda: len(silent.asked) == 1)
    reading.join(60)
    connector.close()
    connector.close()
    assert threads() == before


@pytest.mark.skipif(openssl() is None, reason="the program openssl is not installed")
def test_over_tls_and_not_where_the_certificate_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_certificate(tmp_path)
    with FIXTURE.stage(tmp_path, certificate) as stage:
        stage.tell(5)
        connector = build(msgspec.convert(stage.table, SETTINGS))
        with pytest.raises(RetryableError, match="certificate that this machine does not trust"):
            connector.read(None)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))
        assert read_all(connector)
        connector.close()
