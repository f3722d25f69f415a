"""How X is asked: pages and their cursor, the budget, and what its refusals mean."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connectors._budget import Budget
from connectors._session import Answered
from connectors._x.refusal import refusal_of
from connectors._x.tweets import Page, id_at
from connectors._x.walk import Walk
from pipeline.core.errors import ConfigError, RetryableError
from pipeline.core.protocols import Read
from testkit.connectors import x as platform
from testkit.platform.answers import Answer, refusal
from testkit.x_rehearsal import SEARCH, STREAM, Rehearsal, fails, read_all

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Rehearsal]:
    with ExitStack() as stack:
        yield Rehearsal(tmp_path, stack)


# ---- the search


def test_pages_follow_and_only_the_last_one_moves_the_beginning(stage: Rehearsal) -> None:
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


def test_what_is_said_while_pages_follow_comes_with_the_next_search(stage: Rehearsal) -> None:
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


def test_rules_take_turns_and_rest(stage: Rehearsal) -> None:
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


def test_a_changed_query_is_searched_from_where_the_old_one_was(stage: Rehearsal) -> None:
    stage.timeline.tell(60)
    cursor = stage.connector().read(None).cursor
    assert cursor["walks"]["late"]["token"]
    stage.connector(rules={"late": platform.RULES["torn"]}).read(cursor)
    asked = stage.asked(SEARCH)[-1]
    assert (asked.last("next_token"), asked.last("since_id")) == ("", str(cursor["walks"]["late"]["since"]))


def test_a_token_that_is_stale_begins_the_search_anew(
    stage: Rehearsal, caplog: pytest.LogCaptureFixture
) -> None:
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
def test_what_x_no_longer_has_is_told(stage: Rehearsal, told: bool, caplog: pytest.LogCaptureFixture) -> None:
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


def test_an_id_that_is_refused_for_ever_does_not_lead_to_a_storm(stage: Rehearsal) -> None:
    words = {"parameters": {"since_id": ["1"]}, "message": "no: larger than 7"}
    stage.answer = lambda _: platform.invalid(words)
    assert isinstance(fails(stage.connector()), RetryableError)
    assert len(stage.server.asked) == 1


def test_the_start_waits_for_x(stage: Rehearsal) -> None:
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


def test_a_search_stops_before_the_budget_is_passed(stage: Rehearsal) -> None:
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


def test_a_stream_is_closed_when_the_budget_is_used_up(stage: Rehearsal) -> None:
    connector = stage.connector(mode="stream", fill_gaps=False, posts_per_month=20, backfill_minutes=5)
    stage.timeline.tell(80)
    assert "the budget of 20 posts" in str(fails(connector))
    assert not [one for one in threading.enumerate() if one.name == "groundswell-x-stream"]
    assert len(stage.asked(STREAM)) == 1


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
def test_bodies_of_any_kind_are_no_surprise(stage: Rehearsal, status: int, body: bytes) -> None:
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
    stage: Rehearsal, settings: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        stage.connector(**settings)
