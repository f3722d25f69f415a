"""X, or whoever took its place, says what cannot be: nothing is asked without end, nothing lost."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors._session import Answered
from connectors._x.tweets import id_at, page_of, post_of
from connectors._x.walk import Walk
from testkit.connectors import x as platform
from testkit.platform.answers import Answer, Asked
from testkit.x_rehearsal import SEARCH, Rehearsal

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
FAR = 2**63 - 1


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Rehearsal]:
    with ExitStack() as stack:
        yield Rehearsal(tmp_path, stack)


def tweet(number: int) -> dict[str, Any]:
    return {"id": str(number), "author_id": "7", "text": "hello"}


def page(numbers: list[int], token: str = "", **meta: Any) -> Answer:
    body = {"data": [tweet(number) for number in numbers], "meta": {"next_token": token, **meta}}
    return Answer(wrap=lambda _: json.dumps(body).encode())


def walked(stage: Rehearsal, answer: Callable[[Asked], Answer], reads: int) -> dict[str, Any]:
    """The rule's walk after so many reads, or as soon as it has come to an end."""
    stage.answer = lambda asked: answer(asked) if asked.path == SEARCH else None
    connector, cursor = stage.connector(interval_seconds=3600), None
    for _ in range(reads):
        read = connector.read(cursor)
        cursor = read.cursor
        if read.wait:
            break
    assert cursor is not None
    walk: dict[str, Any] = cursor["walks"]["late"]
    return walk


def circles() -> list[Callable[[Asked], Answer]]:
    recent = id_at(datetime.now(UTC) - timedelta(minutes=5))
    turn = {"": "a", "a": "b", "b": "a"}
    return [
        lambda _: page([recent], "the same"),
        lambda asked: page([recent - 10 * len(asked.last("next_token"))], turn[asked.last("next_token")]),
        lambda asked: page([], str(len(asked.last("next_token")) % 7) * 3, newest_id=str(recent)),
        lambda asked: page([] if asked.last("next_token") else [recent], f"{time.monotonic()}"),
    ]


@pytest.mark.parametrize("number", range(4), ids=["to itself", "to another", "empty", "for ever"])
def test_pages_that_lead_nowhere_come_to_an_end(
    stage: Rehearsal, number: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "groundswell.x")
    walk = walked(stage, circles()[number], 40)
    assert "token" not in walk
    assert "lead in a circle" in caplog.text
    assert abs(walk["since"] - id_at(datetime.now(UTC) - timedelta(minutes=5))) < 60_000 << 22


@pytest.mark.parametrize("lie", ["an id", "the newest id"])
def test_an_id_of_the_far_future_skips_nothing(stage: Rehearsal, lie: str) -> None:
    answer = page([FAR]) if lie == "an id" else page([], newest_id=str(FAR))
    walk = walked(stage, lambda _: answer, 1)
    assert walk["since"] <= id_at(datetime.now(UTC) + timedelta(minutes=2))


def test_a_beginning_that_has_not_come_yet_is_mended() -> None:
    ahead = Walk("of", id_at(NOW + timedelta(days=3)))
    empty = page_of(b'{"meta": {"result_count": 0}}')
    assert ahead.after(empty, NOW, latest=NOW).since == id_at(NOW - timedelta(hours=1))
    sound = Walk("of", id_at(NOW - timedelta(minutes=3)))
    assert sound.after(empty, NOW, latest=NOW) == sound
    # Our own clock was set back: theirs tells that nothing is wrong.
    assert ahead.sobered(NOW + timedelta(days=3)) is ahead


def test_a_beginning_ahead_of_x_that_it_refuses_is_mended(stage: Rehearsal) -> None:
    words = {"parameters": {"since_id": ["1"]}, "message": "'since_id' is later than now"}
    stage.answer = lambda asked: platform.invalid(words) if asked.path == SEARCH else None
    connector = stage.connector()
    cursor = {"walks": {"late": {"of": "other", "since": id_at(datetime.now(UTC) + timedelta(days=9))}}}
    walk = connector.read(cursor).cursor["walks"]["late"]
    assert abs(walk["since"] - id_at(datetime.now(UTC) - timedelta(hours=1))) < 60_000 << 22


@pytest.mark.parametrize(
    "date",
    [
        "",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
        "Mon, 01 Jan 2026 00:00:00 +9999",
    ],
)
def test_dates_that_no_clock_shows_are_none(date: str) -> None:
    assert Answered(200, {"Date": date}).clock is None


def test_a_clock_of_x_that_is_years_ahead_skips_nothing(stage: Rehearsal) -> None:
    ahead = Answer(
        wrap=lambda _: b'{"meta": {"result_count": 0}}', headers={"Date": "Sun, 22 Nov 2099 12:00:00 GMT"}
    )
    assert walked(stage, lambda _: ahead, 1)["since"] <= id_at(datetime.now(UTC))


@pytest.mark.parametrize("said", ["9" * 5000, "٣", "-1", "1e9"])
def test_limits_that_are_no_numbers_are_none(stage: Rehearsal, said: str) -> None:
    stage.answer = lambda _: Answer(
        wrap=lambda _: b'{"meta": {"result_count": 0}}',
        headers={"x-rate-limit-remaining": said.encode().decode("latin-1"), "x-rate-limit-limit": "450"},
    )
    limits = stage.connector().read(None).limits
    assert [(one.left, one.total) for one in limits if one.name == "requests"] == [(None, 450)]


def test_one_giant_beside_many_posts_is_not_told_with_each() -> None:
    giant = {"id": "7", "username": "giant", "description": "x" * 5_000_000}
    body = {"data": [tweet(n) for n in range(1, 101)], "includes": {"users": [giant]}, "meta": {"a": 1}}
    told = page_of(json.dumps(body).encode())
    assert sum(map(len, told.tellings)) < 1_000_000
    assert post_of(told.tellings[0], NOW) is not None


def test_a_page_of_a_million_is_none() -> None:
    with pytest.raises(ValueError, match="it has 1000000 posts"):
        page_of(b'{"meta": {"a": 1}, "data": [' + b"{}," * 999_999 + b"{}]}")


def test_many_pictures_take_no_time_to_speak_of() -> None:
    keys = [f"{number:x}" for number in range(60_000)]
    media = [{"media_key": key, "url": "u"} for key in keys[::-1]]
    raw = json.dumps(
        {"data": {**tweet(1), "attachments": {"media_keys": keys}}, "includes": {"media": media}}
    )
    began = time.process_time()
    assert post_of(raw.encode(), NOW) is not None
    assert time.process_time() - began < 5
