"""How a connector stands: told from outside, also while its thread hangs, and no limit is forgotten."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pipeline.app.collect import Tally
from pipeline.app.standing import LimitLeft, Standing, State, Watch, hindrances
from pipeline.core.post import Author, Post
from pipeline.core.protocols import Limit, Read

START = 1_790_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


def post(seconds_ago: float) -> Post:
    made = datetime.fromtimestamp(START - seconds_ago, UTC)
    return Post(id="x:1", text="hello", author=Author(id="x:joe"), created_at=made)


def test_a_read_is_followed_from_the_asking_to_kafka() -> None:
    clock = Clock()
    watch = Watch("one", "reddit", 120, clock)
    assert watch.standing == Standing("one", "reddit", "starts")
    limits = [Limit("requests", 449, 450, 12.0), Limit("posts a month", 10)]
    watch.has_read(Read(posts=[post(30), post(4)], cursor={}, limits=limits))
    assert watch.standing.posts == 0, "Kafka has not confirmed them"
    clock.now += 1
    watch.has_sent(Tally(2, 1))
    assert watch.standing == Standing(
        "one",
        "reddit",
        "reads",
        posts=2,
        rejected=1,
        last_post=START + 1,
        lag_seconds=4.0,
        limits=(LimitLeft("requests", 449, 450, START + 12), LimitLeft("posts a month", 10)),
    )
    watch.has_read(Read(posts=[], cursor={}, limits=[Limit("requests", 448, 450, 11.0)]))
    watch.has_sent(Tally())
    after = watch.standing
    assert (after.posts, after.last_post, after.lag_seconds) == (2, START + 1, 4.0)
    assert {limit.name: limit.left for limit in after.limits} == {"requests": 448, "posts a month": 10}


def test_a_thread_that_hangs_is_told_of_by_others() -> None:
    clock = Clock()
    watch = Watch("one", "reddit", 120, clock)
    with watch.reading():
        clock.now += 119
        assert watch.standing.state == "starts"
        clock.now += 11
        assert watch.standing.state == "silent"
        assert watch.standing.reason == "has not answered for 130 s"
    watch.has_read(Read(posts=[], cursor={}))
    assert watch.standing.state == "reads"
    clock.now += 20
    assert watch.standing.state == "sends"
    assert watch.standing.reason == "Kafka has not confirmed its posts for 20 s"
    watch.has_sent(Tally())
    assert watch.standing.state == "reads"


def test_why_and_until_when() -> None:
    watch = Watch("one", "reddit", 120, Clock())
    watch.stands("parked", "the password is wrong", 60)
    assert (watch.standing.state, watch.standing.reason, watch.standing.again) == (
        "parked",
        "the password is wrong",
        START + 60,
    )
    watch.has_read(Read(posts=[], cursor={}))
    assert (watch.standing.state, watch.standing.reason, watch.standing.again) == ("reads", "", None)


@pytest.mark.parametrize(
    ("states", "hindered"),
    [
        (["reads", "parked"], []),
        (["parked", "parked"], [0, 1]),
        (["parked", "ended"], [0]),
        (["waits", "parked"], [0]),
        (["reads", "rests", "silent", "sends", "starts"], [1, 2, 3]),
    ],
)
def test_a_parked_one_hinders_the_role_only_where_no_other_is_left(
    states: list[State], hindered: list[int]
) -> None:
    standings = [Standing(str(number), "x", state, "why") for number, state in enumerate(states)]
    assert hindrances(standings) == {str(number): "why" for number in hindered}
