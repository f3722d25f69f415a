"""The filtered stream of X: its rules, its ends, and the search for what was missed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connectors._x import live as _x_live
from connectors._x.tweets import id_at
from pipeline.app.registry import build_connector
from pipeline.core.errors import ConfigError, RetryableError
from testkit import connector_contract as contract
from testkit.connectors import x as platform
from testkit.platform.answers import Answer, Item, refusal
from testkit.platform.certificate import make_certificate, openssl
from testkit.platform.staged import ServedStage
from testkit.waiting import until
from testkit.x_rehearsal import SEARCH, STREAM, Rehearsal, fails, read_all

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Rehearsal]:
    with ExitStack() as stack:
        yield Rehearsal(tmp_path, stack)


# ---- the stream's rules


def test_rules_are_synchronised_by_difference(stage: Rehearsal) -> None:
    kept = {"id": "1", "value": "parcel late", "tag": "groundswell:late"}
    stage.platform.rules = {
        "1": kept,
        "2": {"id": "2", "value": "old words", "tag": "groundswell:torn"},
        "3": {"id": "3", "value": "gone", "tag": "groundswell:gone"},
        "4": {"id": "4", "value": "another's", "tag": "theirs"},
        "5": {"id": "5", "value": "no tag", "tag": ""},
        "6": {"id": "6", "value": "renamed", "tag": "groundswell:before"},
    }
    rules = {"late": "parcel late", "torn": "new words", "after": "renamed"}
    stage.connector(mode="stream", rules=rules).read(None)
    there = {(rule["tag"], rule["value"]) for rule in stage.platform.rules.values()}
    assert there == {
        ("groundswell:late", "parcel late"),
        ("groundswell:torn", "new words"),
        ("groundswell:after", "renamed"),
        ("theirs", "another's"),
        ("", "no tag"),
    }
    assert stage.platform.rules["1"] is kept
    changes = [asked.body for asked in stage.asked(f"{STREAM}/rules") if asked.body]
    assert [b'"add"' in change for change in changes] == [False, True, False], (
        "a rule is there before its old form goes"
    )
    stage.connector(mode="stream", rules=rules).read(None)
    assert len([one for one in stage.asked(f"{STREAM}/rules") if one.body]) == 3


@pytest.mark.parametrize("others", [{}, {"fine": "parcel"}], ids=["alone", "with a sound one"])
@pytest.mark.parametrize("mode", ["search", "stream"])
def test_a_rule_that_x_does_not_take_is_named(stage: Rehearsal, mode: str, others: dict[str, str]) -> None:
    error = fails(stage.connector(mode=mode, rules={**others, "bad": "((parcel"}))
    assert isinstance(error, ConfigError)
    assert "the rule `bad` (no viable alternative" in str(error)
    assert "mend it in `rules`" in str(error)


def test_a_query_that_another_program_has_already_is_named(stage: Rehearsal) -> None:
    stage.platform.rules = {"1": {"id": "1", "value": "parcel late", "tag": "theirs"}}
    error = fails(stage.connector(mode="stream"))
    assert isinstance(error, ConfigError)
    assert "`late` (another program's rule says the same" in str(error)


def test_what_comes_of_others_rules_is_paid_for_and_not_passed_on(stage: Rehearsal) -> None:
    connector = stage.connector(mode="stream", fill_gaps=False, backfill_minutes=5)
    stage.timeline.tell(33)
    found, cursor = read_all(connector)
    others = [item for item in stage.timeline.items if not item.id]
    assert others
    assert len(found) + len(others) == cursor["read"]


# ---- the stream


def line(number: int, moment: float | None = None) -> Item:
    return platform.FIXTURE.item(number, time.time() if moment is None else moment)


def streaming(stage: Rehearsal, answer: Callable[[], Answer]) -> None:
    """The stream answers so, and all else as ever."""
    stage.answer = lambda asked: answer() if asked.path == STREAM else None


def test_what_was_said_while_the_line_was_down_is_read_by_search(stage: Rehearsal, tmp_path: Path) -> None:
    fixture = platform.XFixture(mode="stream")
    contract.check_crash_anywhere(fixture, tmp_path, 1)
    contract.check_cursor_is_never_ahead(fixture, tmp_path)


def test_the_gap_is_looked_for_twice_and_then_left(stage: Rehearsal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_x_live, "LATE_SECONDS", 1.0)
    stage.timeline.tell(20)
    connector = stage.connector(mode="stream")
    _, cursor = read_all(connector)

    def looked() -> bool:
        nonlocal cursor
        cursor = connector.read(cursor).cursor
        return len(stage.asked(SEARCH)) == 2

    until(looked, why="no second look")
    begun = cursor["walks"]["late"]["since"]
    stage.timeline.tell(20)

    def moved() -> bool:
        nonlocal cursor
        cursor = connector.read(cursor).cursor
        return bool(cursor["walks"]["late"]["since"] > begun)

    until(moved, why="the beginning does not move with the stream")
    for _ in range(5):
        cursor = connector.read(cursor).cursor
    assert len(stage.asked(SEARCH)) == 2
    assert cursor["walks"]["late"]["since"] <= id_at(datetime.now(UTC) - timedelta(seconds=14))


def test_pages_from_before_the_stream_are_no_look_for_what_it_missed(
    stage: Rehearsal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_x_live, "LATE_SECONDS", 1.0)
    stage.timeline.tell(60)
    cursor = stage.connector().read(None).cursor
    assert cursor["walks"]["late"]["token"]
    connector = stage.connector(mode="stream")

    def looked_twice() -> bool:
        nonlocal cursor
        cursor = connector.read(cursor).cursor
        return len([asked for asked in stage.asked(SEARCH) if not asked.last("next_token")]) == 3

    until(looked_twice, why="the end of an older search counts as a look")


def test_a_stream_that_ends_is_one_error_and_one_attempt(stage: Rehearsal) -> None:
    streaming(stage, lambda: Answer(form="lines", items=[line(1), line(2)]))
    connector = stage.connector(mode="stream", fill_gaps=False)
    first = connector.read(None)
    assert len(first.posts) == 2
    with pytest.raises(RetryableError, match="X closed the stream"):
        connector.read(first.cursor)
    time.sleep(0.3)
    assert len(stage.asked(STREAM)) == 1
    assert connector.read(first.cursor).posts
    assert len(stage.asked(STREAM)) == 2


def test_a_cursor_that_was_not_kept_is_read_from_again(stage: Rehearsal) -> None:
    connector = stage.connector(mode="stream")
    stage.timeline.tell(1)
    _, cursor = read_all(connector)
    stage.timeline.tell(20)
    told: set[str] = set()

    def heard() -> bool:
        nonlocal last
        read = connector.read(last)
        last = read.cursor
        told.update(post.id for post in read.posts)
        return len(told) > 5

    last = cursor
    until(heard, why="the stream tells nothing")
    again, _ = read_all(connector, cursor)
    assert told <= {post.id for post in again}


def test_a_silent_line_is_a_dead_one_and_keep_alives_are_signs_of_life(stage: Rehearsal) -> None:
    streaming(stage, lambda: Answer(form="lines", items=[line(1)], hold=True, keep_alives=True))
    connector = stage.connector(mode="stream", fill_gaps=False)
    cursor = None
    began = time.monotonic()
    while time.monotonic() - began < 2.5:
        cursor = connector.read(cursor).cursor
    streaming(stage, lambda: Answer(form="lines", items=[line(1)], hold=True))
    stage.server.drop()
    fails(connector, cursor)
    began = time.monotonic()
    cursor = connector.read(cursor).cursor
    assert "silent for too long" in str(fails(connector, cursor))
    assert 0.9 < time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("title", "kind", "sentence"),
    [
        (
            "operational-disconnect",
            "UpstreamOperationalDisconnect",
            "X ends the stream (This stream has been",
        ),
        ("client-disconnected", "SlowConsumer", "not read fast enough"),
    ],
)
def test_x_says_why_it_ends_a_stream(stage: Rehearsal, title: str, kind: str, sentence: str) -> None:
    detail = "This stream has been disconnected upstream."
    problem = {"title": title, "disconnect_type": kind, "detail": detail}
    items = [line(1), Item(data={"errors": [problem]}), line(2)]
    streaming(stage, lambda: Answer(form="lines", items=items, hold=True, keep_alives=True))
    connector = stage.connector(mode="stream", fill_gaps=False)
    read = connector.read(None)
    assert [post.id for post in read.posts] == [items[0].id]
    error = fails(connector, read.cursor)
    assert isinstance(error, RetryableError)
    assert sentence in str(error)


def test_one_stream_too_many_rests_although_the_limit_is_not_reached(stage: Rehearsal) -> None:
    problem = {"title": "ConnectionException", "connection_issue": "TooManyConnections"}
    headers = {"x-rate-limit-remaining": "48", "x-rate-limit-reset": str(int(time.time()) + 900)}
    streaming(stage, lambda: refusal(429, problem, headers))
    error = fails(stage.connector(mode="stream"))
    assert isinstance(error, RetryableError)
    assert error.retry_after == 30
    assert "holds another stream" in str(error)


def test_a_line_that_is_no_post_is_refused_and_the_stream_goes_on(stage: Rehearsal) -> None:
    items = [line(1), Item(raw=b"{half"), Item(raw=b"[]"), line(2)]
    streaming(stage, lambda: Answer(form="lines", items=items, hold=True, keep_alives=True))
    read = stage.connector(mode="stream", fill_gaps=False).read(None)
    assert ([post.id for post in read.posts], len(read.rejected)) == ([items[0].id, items[3].id], 2)
    assert {one.reason for one in read.rejected} == {"unreadable", "invalid"}


def test_a_tier_without_search_can_do_without(stage: Rehearsal) -> None:
    stage.timeline.tell(1)
    problem = {"title": "Client Forbidden", "reason": "client-not-enrolled", "detail": "your tier lacks it"}
    stage.answer = lambda asked: refusal(403, problem) if asked.path == SEARCH else None
    error = fails(stage.connector(mode="stream"))
    assert isinstance(error, ConfigError)
    assert "(your tier lacks it); or set `fill_gaps = false`" in str(error)
    connector = stage.connector(mode="stream", fill_gaps=False)
    cursor = connector.read(None).cursor
    stage.timeline.tell(5)
    until(lambda: bool(connector.read(cursor).posts), why="something comes")


def test_a_flood_waits_at_x(stage: Rehearsal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors._x.stream.MAX_LINES", 50)
    items = [line(number * 11) for number in range(20_000)]
    streaming(stage, lambda: Answer(form="lines", items=items, hold=True, keep_alives=True))
    connector = stage.connector(mode="stream", fill_gaps=False, timeout_seconds=30)
    read = connector.read(None)

    def stalled() -> bool:
        before = len(stage.server.served)
        time.sleep(0.5)
        return len(stage.server.served) == before

    until(stalled, why="X goes on sending to somebody who does not read")
    assert len(stage.server.served) < 20_000
    began = time.monotonic()
    connector.close()
    assert time.monotonic() - began < 20, "close waits for a thread that waits for room"
    del read


@pytest.mark.skipif(openssl() is None, reason="needs the program openssl")
def test_a_stream_over_tls_ends_when_it_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = make_certificate(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate.file))
    fixture = platform.XFixture(mode="stream", timeout_seconds=30, backfill_minutes=5)
    with fixture.stage(tmp_path, certificate) as stage:
        assert isinstance(stage, ServedStage)
        stage.tell(5)
        connector = build_connector("x", {"kind": "x", **stage.table})
        assert connector.read(None).posts
        began = time.monotonic()
        connector.close()
        assert time.monotonic() - began < 20
        monkeypatch.delenv("REQUESTS_CA_BUNDLE")
        stranger = build_connector("x", {"kind": "x", **stage.table})
        with pytest.raises(RetryableError, match="a certificate that this machine does not trust"):
            stranger.read(None)
