"""How X is asked: pages and their cursor, the budget, the stream's rules, its ends and its gaps, refusals."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connectors import _x_live
from connectors._budget import Budget
from connectors._session import Answered
from connectors._tweets import Page, id_at
from connectors._x_refusal import refusal_of
from connectors._x_walk import Walk
from connectors.x import SETTINGS, X, build
from pipeline.app.registry import build_connector
from pipeline.core.configuration import convert_table
from pipeline.core.errors import ConfigError, GroundswellError, RetryableError
from pipeline.core.post import Post
from pipeline.core.protocols import Cursor, Read
from testkit import connector_contract as contract
from testkit.connectors import x as platform
from testkit.platform.answers import Answer, Asked, Item, refusal
from testkit.platform.certificate import make_certificate, openssl
from testkit.platform.server import PlatformServer
from testkit.platform.staged import ServedStage
from testkit.platform.timeline import Timeline
from testkit.waiting import until

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SEARCH, STREAM = "/2/tweets/search/recent", "/2/tweets/search/stream"
ONE = {"rules": {"late": platform.RULES["late"]}}


class Stage:
    """X on loopback, and connectors to it."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.platform = platform.Platform()
        self.timeline = Timeline(platform.FIXTURE.item)
        self.answer: Callable[[Asked], Answer | None] = lambda _: None
        self.server = stack.enter_context(PlatformServer(self._answer, platform.Dialogue()))
        self._token = folder / "token"
        self._token.write_text(platform.TOKEN)
        self._stack = stack

    def _answer(self, asked: Asked) -> Answer:
        return self.answer(asked) or self.platform.answer(asked, self.timeline)

    def connector(self, **settings: Any) -> X:
        table = {**platform.FIXTURE.table(self.server, self._token), **ONE, **settings}
        connector = build(convert_table(SETTINGS, table, "connectors.x", environ={}))
        self._stack.callback(connector.close)
        return connector

    def asked(self, path: str) -> list[Asked]:
        return [asked for asked in self.server.asked if asked.path == path]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with ExitStack() as stack:
        yield Stage(tmp_path, stack)


def read_all(connector: X, cursor: Cursor | None = None) -> tuple[list[Post], Cursor]:
    """Until it is read up to now."""
    found: list[Post] = []
    wait: float | None = 0.0
    while not wait:
        read = connector.read(cursor)
        found, cursor, wait = [*found, *read.posts], read.cursor, read.wait
    assert cursor is not None
    return found, cursor


def fails(connector: X, cursor: Cursor | None = None) -> GroundswellError:
    """What it raises within some reads."""
    for _ in range(20):
        try:
            cursor = connector.read(cursor).cursor
        except GroundswellError as error:
            return error
    raise AssertionError("raises nothing")


# ---- the search


def test_pages_follow_and_only_the_last_one_moves_the_beginning(stage: Stage) -> None:
    stage.timeline.tell(60)
    connector = stage.connector()
    reads: list[Read] = [connector.read(None)]
    while not reads[-1].wait:
        reads.append(connector.read(reads[-1].cursor))
    walks = [read.cursor["walks"]["late"] for read in reads]
    assert [bool(walk.get("token")) for walk in walks] == [True] * (len(reads) - 1) + [False]
    assert len({walk["since"] for walk in walks[:-1]}) == 1
    told = [int(item.data["data"]["id"]) for item in stage.timeline.items]
    ours = [post for read in reads for post in read.posts]
    assert walks[-1]["since"] == walks[0]["newest"] == max(int(post.url.rpartition("/")[2]) for post in ours)
    assert walks[-1]["since"] in told
    for read in reads:
        moments = [post.edited_at or post.created_at for post in read.posts]
        assert moments == sorted(moments, key=lambda moment: moment or NOW), "oldest first within a page"
    asked = stage.asked(SEARCH)
    assert {one.last("since_id") for one in asked} == {str(walks[0]["since"])}
    assert {one.last("max_results") for one in asked} == {"10"}


def test_what_is_said_while_pages_follow_comes_with_the_next_search(stage: Stage) -> None:
    stage.timeline.tell(60)
    connector = stage.connector()
    first = connector.read(None)
    stage.timeline.tell(10)
    time.sleep(0.05)
    found, cursor = read_all(connector, first.cursor)
    late = {item.id for item in stage.timeline.items[60:] if "late" in item.data["matching_rules"][0]["tag"]}
    assert not late & {post.id for post in found}
    again, _ = read_all(stage.connector(), cursor)
    assert late == {post.id for post in again}


def test_rules_take_turns_and_rest(stage: Stage) -> None:
    stage.timeline.tell(60)
    connector = stage.connector(rules=platform.RULES, interval_seconds=3600)
    found, cursor = read_all(connector)
    assert {(post.id, False) for post in found} == stage.timeline.expected
    asked = [one.last("query") for one in stage.asked(SEARCH)]
    assert asked[:4] == [*platform.RULES.values()] * 2
    count = len(stage.server.asked)
    rest = connector.read(cursor)
    assert (rest.posts, len(stage.server.asked)) == ([], count)
    assert rest.wait is not None
    assert 3500 < rest.wait <= 3600


def test_a_changed_query_is_searched_from_where_the_old_one_was(stage: Stage) -> None:
    stage.timeline.tell(60)
    cursor = stage.connector().read(None).cursor
    assert cursor["walks"]["late"]["token"]
    stage.connector(rules={"late": platform.RULES["torn"]}).read(cursor)
    asked = stage.asked(SEARCH)[-1]
    assert (asked.last("next_token"), asked.last("since_id")) == ("", str(cursor["walks"]["late"]["since"]))


def test_a_token_that_is_stale_begins_the_search_anew(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.timeline.tell(60)
    cursor = stage.connector().read(None).cursor
    token = cursor["walks"]["late"]["token"]
    problem = {"parameters": {"next_token": [token]}, "message": "the token is invalid"}
    stage.answer = lambda asked: platform.invalid(problem) if asked.last("next_token") == token else None
    caplog.set_level(logging.INFO, "groundswell.x")
    connector = stage.connector()
    read = connector.read(cursor)
    assert (read.posts, read.wait, "from its start" in caplog.text) == ([], 0.0, True)
    assert "token" not in read.cursor["walks"]["late"]


def test_a_quiet_rule_does_not_fall_behind_what_x_remembers() -> None:
    walk = Walk("of", id_at(NOW - timedelta(days=6)))
    still = walk.after(Page([], 0, ""), NOW)
    assert still.since == id_at(NOW - timedelta(hours=1))
    assert walk.after(Page([], 0, ""), None) == walk
    assert Walk("of", still.since).after(Page([], 0, ""), NOW) == still
    busy = walk.after(Page([], id_at(NOW - timedelta(minutes=5)), ""), NOW)
    assert busy.since == id_at(NOW - timedelta(minutes=5))


@pytest.mark.parametrize("told", [True, False], ids=["X names the oldest", "X names none"])
def test_what_x_no_longer_has_is_told(stage: Stage, told: bool, caplog: pytest.LogCaptureFixture) -> None:
    stage.timeline.tell(30)
    if not told:
        words = {"parameters": {"since_id": ["1"]}, "message": "'since_id' is too old"}
        stage.answer = lambda _: platform.invalid(words) if not stage.server.asked[1:] else None
    found, cursor = read_all(stage.connector(), platform.FIXTURE.stale)
    assert "what is older is lost" in caplog.text
    assert found
    later = int(stage.asked(SEARCH)[1].last("since_id"))
    assert abs(later - id_at(datetime.now(UTC) - timedelta(days=7))) < id_at(
        datetime(2010, 11, 4, 4, tzinfo=UTC)
    )
    assert cursor["read"] == len(found)


def test_an_id_that_is_refused_for_ever_does_not_lead_to_a_storm(stage: Stage) -> None:
    words = {"parameters": {"since_id": ["1"]}, "message": "no: larger than 7"}
    stage.answer = lambda _: platform.invalid(words)
    assert isinstance(fails(stage.connector()), RetryableError)
    assert len(stage.server.asked) == 1


def test_the_start_waits_for_x(stage: Stage) -> None:
    connector = stage.connector(since_hours=0)
    stage.answer = lambda _: refusal(503)
    fails(connector)
    stage.timeline.tell(1)
    stage.timeline.tell(20)
    time.sleep(0.05)  # each of them a millisecond later
    stage.answer = lambda _: None
    found, _ = read_all(connector)
    late = [item for item in stage.timeline.items[1:] if "late" in item.data["matching_rules"][0]["tag"]]
    assert {post.id for post in found} >= {item.id for item in late if item.id}


# ---- the budget


def test_the_budget_is_never_passed_and_the_next_month_has_another() -> None:
    budget = Budget(100)
    budget.recall({"month": "2026-11", "read": 60}, NOW)
    budget.spend(35)
    assert (budget.left(10), budget.marks()) == (5, {"month": "2026-11", "read": 95})
    budget.recall({"month": "2026-11", "read": 60}, NOW)  # what was read was not confirmed
    assert budget.left(10) == 5
    error = budget.used_up("X", "key", datetime(2026, 11, 30, 23, 50, tzinfo=UTC))
    assert error.retry_after == 600
    assert "goes on at 2026-12-01 00:00 UTC" in str(error)
    assert (budget.limit(NOW)[0].left, budget.limit(NOW)[0].total) == (5, 100)
    budget.recall({"month": "2026-11", "read": 95}, datetime(2027, 1, 1, tzinfo=UTC))
    assert budget.left(10) == 10
    assert Budget(0).left(10) == 10
    assert Budget(0).limit(NOW) == []


def test_a_search_stops_before_the_budget_is_passed(stage: Stage) -> None:
    stage.timeline.tell(120)
    connector = stage.connector(posts_per_month=25)
    cursor, found = None, []
    for _ in range(2):
        read = connector.read(cursor)
        cursor, found = read.cursor, [*found, *read.posts]
    assert len(found) == 20
    assert [(one.name, one.left, one.total) for one in read.limits] == [
        ("posts this month (budget)", 5, 25),
        ("requests", 449, 450),
    ]
    count = len(stage.server.asked)
    error = fails(stage.connector(posts_per_month=25), cursor)
    assert isinstance(error, RetryableError)
    assert "the budget of 25 posts of X for" in str(error)
    assert len(stage.server.asked) == count
    rest, _ = read_all(stage.connector(posts_per_month=500), cursor)
    assert len({post.id for post in [*found, *rest]}) == len({post.id for post in found}) + len(rest) > 40


def test_a_stream_is_closed_when_the_budget_is_used_up(stage: Stage) -> None:
    connector = stage.connector(mode="stream", fill_gaps=False, posts_per_month=20, backfill_minutes=5)
    stage.timeline.tell(80)
    assert "the budget of 20 posts" in str(fails(connector))
    assert not [one for one in threading.enumerate() if one.name == "groundswell-x-stream"]
    assert len(stage.asked(STREAM)) == 1


# ---- the stream's rules


def test_rules_are_synchronised_by_difference(stage: Stage) -> None:
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
def test_a_rule_that_x_does_not_take_is_named(stage: Stage, mode: str, others: dict[str, str]) -> None:
    error = fails(stage.connector(mode=mode, rules={**others, "bad": "((parcel"}))
    assert isinstance(error, ConfigError)
    assert "the rule `bad` (no viable alternative" in str(error)
    assert "mend it in `rules`" in str(error)


def test_a_query_that_another_program_has_already_is_named(stage: Stage) -> None:
    stage.platform.rules = {"1": {"id": "1", "value": "parcel late", "tag": "theirs"}}
    error = fails(stage.connector(mode="stream"))
    assert isinstance(error, ConfigError)
    assert "`late` (another program's rule says the same" in str(error)


def test_what_comes_of_others_rules_is_paid_for_and_not_passed_on(stage: Stage) -> None:
    connector = stage.connector(mode="stream", fill_gaps=False, backfill_minutes=5)
    stage.timeline.tell(33)
    found, cursor = read_all(connector)
    others = [item for item in stage.timeline.items if not item.id]
    assert others
    assert len(found) + len(others) == cursor["read"]


# ---- the stream


def line(number: int, moment: float | None = None) -> Item:
    return platform.FIXTURE.item(number, time.time() if moment is None else moment)


def streaming(stage: Stage, answer: Callable[[], Answer]) -> None:
    """The stream answers so, and all else as ever."""
    stage.answer = lambda asked: answer() if asked.path == STREAM else None


def test_what_was_said_while_the_line_was_down_is_read_by_search(stage: Stage, tmp_path: Path) -> None:
    fixture = platform.XFixture(mode="stream")
    contract.check_crash_anywhere(fixture, tmp_path, 1)
    contract.check_cursor_is_never_ahead(fixture, tmp_path)


def test_the_gap_is_looked_for_twice_and_then_left(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_x_live, "LATE_SECONDS", 1.0)
    stage.timeline.tell(20)
    connector = stage.connector(mode="stream")
    _, cursor = read_all(connector)

    def looked() -> bool:
        nonlocal cursor
        cursor = connector.read(cursor).cursor
        return len(stage.asked(SEARCH)) == 2

    until(looked, 20, "no second look")
    begun = cursor["walks"]["late"]["since"]
    stage.timeline.tell(20)

    def moved() -> bool:
        nonlocal cursor
        cursor = connector.read(cursor).cursor
        return bool(cursor["walks"]["late"]["since"] > begun)

    until(moved, 20, "the beginning does not move with the stream")
    for _ in range(5):
        cursor = connector.read(cursor).cursor
    assert len(stage.asked(SEARCH)) == 2
    assert cursor["walks"]["late"]["since"] <= id_at(datetime.now(UTC) - timedelta(seconds=14))


def test_a_stream_that_ends_is_one_error_and_one_attempt(stage: Stage) -> None:
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


def test_a_silent_line_is_a_dead_one_and_keep_alives_are_signs_of_life(stage: Stage) -> None:
    streaming(stage, lambda: Answer(form="lines", items=[line(1)], hold=True, keep_alives=True))
    connector = stage.connector(mode="stream", fill_gaps=False)
    cursor = None
    began = time.monotonic()
    while time.monotonic() - began < 2.5:
        cursor = connector.read(cursor).cursor
    streaming(stage, lambda: Answer(form="lines", items=[line(1)], hold=True))
    stage.server.drop()
    fails(connector, cursor)
    cursor = connector.read(cursor).cursor
    began = time.monotonic()
    assert "silent for too long" in str(fails(connector, cursor))
    assert 0.5 < time.monotonic() - began < 4


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
def test_x_says_why_it_ends_a_stream(stage: Stage, title: str, kind: str, sentence: str) -> None:
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


def test_one_stream_too_many_rests_although_the_limit_is_not_reached(stage: Stage) -> None:
    problem = {"title": "ConnectionException", "connection_issue": "TooManyConnections"}
    headers = {"x-rate-limit-remaining": "48", "x-rate-limit-reset": str(int(time.time()) + 900)}
    streaming(stage, lambda: refusal(429, problem, headers))
    error = fails(stage.connector(mode="stream"))
    assert isinstance(error, RetryableError)
    assert error.retry_after == 30
    assert "holds another stream" in str(error)


def test_a_line_that_is_no_post_is_refused_and_the_stream_goes_on(stage: Stage) -> None:
    items = [line(1), Item(raw=b"{half"), Item(raw=b"[]"), line(2)]
    streaming(stage, lambda: Answer(form="lines", items=items, hold=True, keep_alives=True))
    read = stage.connector(mode="stream", fill_gaps=False).read(None)
    assert ([post.id for post in read.posts], len(read.rejected)) == ([items[0].id, items[3].id], 2)
    assert {one.reason for one in read.rejected} == {"unreadable", "invalid"}


def test_a_tier_without_search_can_do_without(stage: Stage) -> None:
    stage.timeline.tell(1)
    problem = {"title": "Client Forbidden", "reason": "client-not-enrolled", "detail": "your tier lacks it"}
    stage.answer = lambda asked: refusal(403, problem) if asked.path == SEARCH else None
    error = fails(stage.connector(mode="stream"))
    assert isinstance(error, ConfigError)
    assert "(your tier lacks it); or set `fill_gaps = false`" in str(error)
    connector = stage.connector(mode="stream", fill_gaps=False)
    cursor = connector.read(None).cursor
    stage.timeline.tell(5)
    until(lambda: bool(connector.read(cursor).posts), 20, "nothing comes")


def test_a_flood_waits_at_x(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors._x_stream.MAX_LINES", 50)
    items = [line(number * 11) for number in range(20_000)]
    streaming(stage, lambda: Answer(form="lines", items=items, hold=True, keep_alives=True))
    connector = stage.connector(mode="stream", fill_gaps=False, timeout_seconds=30)
    read = connector.read(None)

    def stalled() -> bool:
        before = len(stage.server.served)
        time.sleep(0.5)
        return len(stage.server.served) == before

    until(stalled, 20, "X goes on sending to somebody who does not read")
    assert len(stage.server.served) < 20_000
    began = time.monotonic()
    connector.close()
    assert time.monotonic() - began < 5, "close waits for a thread that waits for room"
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
        assert time.monotonic() - began < 5
        monkeypatch.delenv("REQUESTS_CA_BUNDLE")
        stranger = build_connector("x", {"kind": "x", **stage.table})
        with pytest.raises(RetryableError, match="a certificate that this machine does not trust"):
            stranger.read(None)


# ---- refusals


@pytest.mark.parametrize(
    ("status", "problem", "kind", "sentence"),
    [
        (401, {"detail": "Unauthorized"}, ConfigError, "bearer_token_file (Unauthorized)"),
        (402, {"title": "CreditsDepleted"}, ConfigError, "buy credits"),
        (
            403,
            {"detail": "use a Project"},
            ConfigError,
            "stands in a project and what its access covers (use a",
        ),
        (403, {"title": "SpendCapReached"}, RetryableError, "cap is used up"),
        (
            429,
            {"title": "UsageCapExceeded", "detail": "Monthly product cap"},
            RetryableError,
            "(Monthly product",
        ),
        (404, {}, ConfigError, "check `address`"),
        (503, {"detail": "over\x1b[2J capacity"}, RetryableError, "out of order"),
    ],
)
def test_what_x_means(status: int, problem: dict[str, str], kind: type, sentence: str) -> None:
    error = refusal_of(Answered(status, {}, msgspec.json.encode(problem)), NOW)
    assert type(error) is kind
    assert sentence in str(error)
    assert "\x1b" not in str(error)


def test_a_stream_that_the_tier_lacks_names_the_search() -> None:
    error = refusal_of(Answered(403, {}, b"<html>"), NOW, stream=True)
    assert 'set `mode = "search"`' in str(error)


@pytest.mark.parametrize(
    "body", [b"[]", b"7", b"{", b'{"errors": 7}', b'{"errors": [7]}', b"\xff", b"[" * 9999]
)
@pytest.mark.parametrize("status", [200, 400, 403, 429, 500])
def test_bodies_of_any_kind_are_no_surprise(stage: Stage, status: int, body: bytes) -> None:
    headers = {"x-rate-limit-reset": "soon", "x-rate-limit-limit": "²"}
    stage.answer = lambda _: Answer(status=status, wrap=lambda _: body, headers=headers)
    for mode in ("search", "stream"):
        error = fails(stage.connector(mode=mode))
        assert type(error) is (ConfigError if status in (400, 403) else RetryableError), error


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"rules": {}}, "rules is empty"),
        ({"rules": {"a": " "}}, "needs a name of at most 100 characters and a query"),
        ({"posts_per_month": 9}, "the least that X gives at once"),
        ({"address": "http://api.x.com"}, "begin it with https://"),
        ({"bearer_token_file": ""}, "create an app in the X developer portal"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_asked(
    stage: Stage, settings: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        stage.connector(**settings)
