"""A dry run shows what would be sent, and proves a source within its time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from pipeline.app.dry_run import Trial, limit_in_words, try_out
from pipeline.core.errors import ConfigError, FatalError, RetryableError
from pipeline.core.protocols import Cursor, Limit, Read
from testkit.platform.faults import FAULTS, Fault
from testkit.platform.staged import ServedStage
from testkit.sample_platform import TOKEN, SampleConnector, SampleFixture


@pytest.fixture
def stage(tmp_path: object) -> Iterator[ServedStage]:
    fixture = SampleFixture()
    with fixture.stage(tmp_path) as stage:  # type: ignore[arg-type]
        stage.tell(20)
        yield stage


def fault(name: str) -> Fault:
    return next(one for one in FAULTS if one.name == name)


def run(
    stage: ServedStage, cursor: Cursor | None = None, token: str = TOKEN, seconds: float = 10.0
) -> tuple[Trial, list[str]]:
    shown: list[str] = []
    connector = SampleConnector(stage.server.url, token)

    def show(read: Read) -> None:
        shown.extend(post.id for post in read.posts)

    try:
        return try_out(connector, cursor, threading.Event(), show, seconds), shown
    finally:
        connector.close()


def test_it_shows_all_that_is_there_now_and_the_limits(stage: ServedStage) -> None:
    trial, shown = run(stage)
    assert shown == [f"sample:{number}" for number in range(20)]
    assert trial == Trial(20, 0, [Limit("requests", left=449)])


def test_it_begins_at_the_cursor(stage: ServedStage) -> None:
    assert run(stage, {"after": 17})[1] == ["sample:18", "sample:19"]


def test_a_bad_post_is_counted(stage: ServedStage) -> None:
    stage.spoil(fault("missing field"))
    trial, shown = run(stage)
    assert (trial.posts, trial.rejected) == (19, 1)
    assert "sample:2" not in shown


def test_refused_credentials_end_it_with_the_remedy(stage: ServedStage) -> None:
    with pytest.raises(ConfigError, match="renew the token"):
        run(stage, token="wrong")


def test_a_short_trouble_is_waited_out(stage: ServedStage) -> None:
    stage.spoil(fault("503"))
    assert run(stage)[0].posts == 20


def test_a_long_one_ends_it_with_when_to_try_again(stage: ServedStage) -> None:
    for _ in range(9):
        stage.spoil(fault("429"))
    began = time.monotonic()
    with pytest.raises(FatalError, match="limit is reached; try again in 2 s"):
        run(stage, seconds=3)
    assert time.monotonic() - began < 12, "nine of two seconds each are not waited out"


def test_hosts_in_turn_are_no_reason_to_try_again_at_once() -> None:
    class Away:
        def read(self, cursor: Cursor | None) -> Read:
            del cursor
            raise RetryableError("one is away; the next host is asked", 0.2)

        def close(self) -> None:
            pass

    with pytest.raises(FatalError, match=r"^nothing could be read in time: one is away;.*; try again later$"):
        try_out(Away(), None, threading.Event(), lambda _: None, 0.5)


def test_a_source_without_end_ends_it_in_time(stage: ServedStage) -> None:
    class Endless:
        def read(self, cursor: Cursor | None) -> Read:
            return Read(posts=[], cursor=cursor or {}, wait=0.0)

        def close(self) -> None:
            pass

    began = time.monotonic()
    try_out(Endless(), None, threading.Event(), lambda _: None, 0.5)
    assert 0.4 < time.monotonic() - began < 30


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        (Limit("requests", 449, 450, 12.4), "limit of requests: 449 of 450 left, anew in 12 s"),
        (Limit("posts this month", 9), "limit of posts this month: 9 left"),
        (Limit("requests", total=100), "limit of requests: not said how much is left"),
    ],
)
def test_limits_in_words(limit: Limit, words: str) -> None:
    assert limit_in_words(limit) == words
