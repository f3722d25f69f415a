"""What becomes of Jetstream's events, which of them are wanted, and how its hosts are listened to."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import _websocket
from connectors.bluesky import HOSTS, SETTINGS, Bluesky, build, parse
from connectors.bluesky import log as bluesky_log
from pipeline.core.errors import ConfigError, RejectedError, RetryableError
from pipeline.core.post import Post, decode_post, encode_post
from pipeline.core.version import version_of
from testkit.connectors import bluesky as jetstream
from testkit.platform.answers import Answer, Item, refusal
from testkit.platform.certificate import make_certificate, openssl
from testkit.platform.faults import FAULTS
from testkit.platform.server import PlatformServer
from testkit.platform.staged import ServedStage
from testkit.shared import shared_folder
from testkit.waiting import until

MOMENT = 1_783_175_888.25
FIXTURE = jetstream.FIXTURE


def raw(record: Mapping[str, Any] | None = None, number: int = 3, **commit: Any) -> bytes:
    return msgspec.json.encode(jetstream.event(number, MOMENT, record, **commit))


def one(record: Mapping[str, Any] | None = None, **commit: Any) -> Post:
    post = parse(raw(record, **commit))
    assert post is not None
    assert decode_post(encode_post(post)) is not None
    return post


def test_every_field_of_a_post() -> None:
    told = jetstream.record(12, MOMENT) | {"langs": ["en-GB", "cy"]}
    post = parse(raw(told, number=12))
    assert post is not None
    assert post.id == f"bluesky:at://{jetstream.did(12 % 5)}/app.bsky.feed.post/{jetstream.key(12)}"
    assert (post.source, post.kind, post.lang) == ("bluesky", "reply", "en-GB")
    assert post.text == "My parcel number 12 is late ☹ #late @acme acme.example/help"
    assert post.created_at == datetime.fromtimestamp(MOMENT, UTC)
    assert post.edited_at is None
    assert post.collected_at is not None
    assert abs(post.collected_at - datetime.now(UTC)) < timedelta(minutes=1)
    assert post.url == f"https://bsky.app/profile/{jetstream.did(12 % 5)}/post/{jetstream.key(12)}"
    assert post.author.id == f"bluesky:{jetstream.did(12 % 5)}"
    assert post.in_reply_to == f"bluesky:{jetstream.uri(8)}"
    assert post.thread == f"bluesky:{jetstream.uri(4)}"
    assert post.mentions == (jetstream.did(9),)
    assert post.hashtags == ("late", "parcels")
    quoted = f"https://bsky.app/profile/{jetstream.did(1)}/post/{jetstream.key(1)}"
    assert post.urls == ("https://acme.example/help", quoted)
    picture = f"https://cdn.bsky.app/img/feed_fullsize/plain/{jetstream.did(12 % 5)}/bafypicture@jpeg"
    assert post.media == (picture,)


def test_cards_and_films() -> None:
    post = one({"text": "", "embed": {"external": {"uri": "https://a.example/", "title": "A"}}})
    assert (post.kind, post.urls, post.media) == ("post", ("https://a.example/",), ())
    film = {"$type": "app.bsky.embed.video", "video": {"ref": {"$link": "bafyfilm"}}}
    assert one({"text": "see", "embed": film}).media == (
        f"https://video.bsky.app/watch/{jetstream.did(3)}/bafyfilm/playlist.m3u8",
    )


def test_a_deletion_names_the_post_and_nothing_else() -> None:
    post = one(operation="delete")
    assert post.deleted
    assert post.id == one({"text": "x"}).id
    assert version_of(post) > version_of(one({"text": "x"}, operation="update"))


def test_an_edit_carries_the_time_of_its_revision_which_all_hosts_tell_alike() -> None:
    made = datetime(2026, 7, 4, 14, 38, 7, 500_000, UTC)
    rev = jetstream.tid(int(made.timestamp() * 1_000_000))
    edit = one({"text": "x"}, operation="update", rev=rev)
    assert edit.edited_at == made
    assert one({"text": "x"}, operation="update", rev="?").edited_at == datetime.fromtimestamp(MOMENT, UTC)


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("2031-01-01T00:00:00Z", datetime(2031, 1, 1, tzinfo=UTC)),
        ("1999-01-01T02:00:00+02:00", datetime(1999, 1, 1, tzinfo=UTC)),
        ("yesterday", None),
        (17, None),
        ("0001-01-01T00:00:00+14:00", None),
    ],
)
def test_the_time_is_as_told_or_none(told: Any, kept: datetime | None) -> None:
    assert one({"text": "x", "createdAt": told}).created_at == kept


@pytest.mark.parametrize(
    "commit",
    [
        {"collection": "app.bsky.feed.like"},
        {"collection": "app.bsky.feed.like", "operation": "delete"},
        {"collection": ""},
    ],
)
def test_events_of_other_things_are_none(commit: dict[str, Any]) -> None:
    assert parse(raw({"text": "x"}, **commit)) is None
    assert parse(b'{"kind": "identity", "did": "did:plc:a", "time_us": 1}') is None


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"hello", "unreadable"),
        (b"\xff\xfe", "unreadable"),
        (b'{"commit": {"record": ' + b"[" * 100_000, "unreadable"),
        (b"[]", "invalid"),
        (raw({"text": 5}), "invalid"),
        (raw({}), "invalid"),
        (raw(None), "invalid"),
        (raw({"text": "x"}, operation="replace"), "invalid"),
        (raw({"text": "x"}, rkey="a b"), "invalid"),
        (raw({"text": "x"}, rkey=""), "invalid"),
    ],
)
def test_what_is_no_event_is_refused(frame: bytes, reason: str) -> None:
    with pytest.raises(RejectedError) as refused:
        parse(frame)
    assert refused.value.reason == reason


@given(st.integers(0, 2**53 - 1))
def test_revisions_are_read_as_they_are_written(micros: int) -> None:
    from connectors._bluesky.jetstream import _moment_of

    found = _moment_of(jetstream.tid(micros), 0) - datetime(1970, 1, 1, tzinfo=UTC)
    assert found // timedelta(microseconds=1) == micros


def test_production_events() -> None:
    shared = shared_folder(Path(__file__))
    if shared is None:
        pytest.skip("the shared payloads are not there (GROUNDSWELL_SHARED)")
    file = shared / "data" / "payloads" / "bluesky_jetstream" / "expected_v1.jsonl"
    lines = file.read_bytes().splitlines()
    posts = [post for post in map(parse, lines) if post is not None]
    live = [post for post in posts if not post.deleted]
    assert (len(lines), len(live), len(posts) - len(live)) == (152, 17, 1)
    assert len({post.id for post in posts}) == 18
    for post in live:
        assert decode_post(encode_post(post)) == post
        assert post.created_at is not None
        assert post.created_at.year == 2026
        assert (post.kind == "reply") == bool(post.in_reply_to) == bool(post.thread)
    assert sum(bool(post.lang) for post in live) >= 15
    assert any(post.media for post in live)
    assert any(post.hashtags for post in live)
    assert any(post.urls for post in live)


# ---- which events are wanted, and how hosts are listened to


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
    with pytest.raises(RetryableError):
        connector.read(None)
    first = asked_cursor(stage)
    assert first == pytest.approx(time.time() - 7205, abs=5)
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
            assert error.value.retry_after == pytest.approx(60, abs=2)
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

    until(stalled, 20, "the host goes on sending to somebody who does not read")
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
        until(lambda: len(silent.asked) == 1, 10)
    reading.join(10)
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
