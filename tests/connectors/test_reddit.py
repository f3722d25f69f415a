"""How Reddit's listings are read: bursts, gaps, crashes, two subreddits."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from testkit.connectors import reddit as fixture
from testkit.connectors.reddit_world import World, catch_up, world_in
from testkit.platform.answers import Item


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with world_in(tmp_path) as made:
        yield made


def comments_only(number: int, moment: float) -> Item:
    return Item(
        id=f"reddit:t1_{fixture.base36(36**6 + number)}", data=fixture.comment(number, moment), at=moment
    )


def test_a_burst_between_two_polls_comes_whole(world: World) -> None:
    world.say(20, age=600)
    connector = world.connect()
    first, cursor = catch_up(connector)
    assert {post.id for post in first} == world.ids
    before = world.ids
    world.say(1400, age=1)
    second, _ = catch_up(connector, cursor)
    assert {post.id for post in second} == world.ids - before
    assert len(second) == len(world.ids - before), "each comes once"
    pages = [asked.last("after") for asked in world.asked("comments")]
    assert len([after for after in pages if after]) == 9


def test_a_thousand_comments_between_two_polls_and_the_known_one_deleted(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.say(30, age=600, make=comments_only)
    connector = world.connect()
    _, cursor = catch_up(connector)
    before = world.ids
    world.site.hidden.add(cursor["comments"]["known"])
    world.say(950, age=1, make=comments_only)
    second, cursor = catch_up(connector, cursor)
    assert {post.id for post in second} == world.ids - before
    assert "is lost" not in caplog.text
    # And once more, while nothing new is said: one page each, and nothing comes.
    asked = len(world.server.asked)
    assert catch_up(connector, cursor)[0] == []
    assert len(world.server.asked) - asked <= 4


def test_more_than_a_listing_holds_is_told_with_numbers(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.say(30, age=7200, make=comments_only)
    connector = world.connect(since_hours=3)
    _, cursor = catch_up(connector)
    world.say(1300, age=1, make=comments_only)
    second, cursor = catch_up(connector, cursor)
    assert {post.id for post in second} == {item.id for item in world.items[-1000:]}
    (warning,) = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert "r/parcels+acme/comments/ shows only the newest 1000, back to 20" in warning
    assert "in the 120 minutes between is lost; lower `poll_seconds`" in warning
    caplog.clear()
    catch_up(connector, cursor)
    assert not [one for one in caplog.records if one.levelno == logging.WARNING]


@pytest.mark.parametrize("page", range(0, 14, 3))
def test_a_crash_in_the_midst_of_a_refill_loses_nothing(world: World, page: int) -> None:
    world.say(20, age=600)
    first, cursor = catch_up(world.connect())
    world.say(1200, age=1)
    connector, got = world.connect(), {post.id for post in first}
    for _ in range(page):
        read = connector.read(cursor)
        got |= {post.id for post in read.posts}
        cursor = read.cursor
    connector.read(cursor)  # and dies before anything of this one was kept
    world.say(40)
    rest, _ = catch_up(world.connect(), cursor)
    assert got | {post.id for post in rest} == world.ids


def test_a_page_whose_last_things_are_deleted_is_gone_on_from(world: World) -> None:
    world.say(600, age=1, make=comments_only)
    connector = world.connect(submissions=False)
    read = connector.read(None)
    got = list(read.posts)
    world.site.hidden |= set(read.cursor["comments"]["after"][:2])
    rest, _ = catch_up(connector, read.cursor)
    assert {post.id for post in (*got, *rest)} == world.ids


def test_one_that_shows_late_comes_all_the_same(world: World) -> None:
    world.say(200, age=300)
    late = world.items.pop(150)
    connector = world.connect()
    _, cursor = catch_up(connector)
    world.items.insert(150, late)
    assert [post.id for post in catch_up(connector, cursor)[0]] == [late.id]


def test_an_edit_on_the_first_page_comes_at_once(world: World) -> None:
    world.say(12, age=60)
    connector = world.connect()
    _, cursor = catch_up(connector)
    edited = fixture.comment(1, world.items[1].at, body="It came!", edited=time.time())
    world.items[1] = replace(world.items[1], data=edited)
    (post,) = catch_up(connector, cursor)[0]
    assert (post.text, post.edited_at is not None) == ("It came!", True)


def test_the_first_start_is_now_or_so_many_hours_ago(world: World) -> None:
    world.say(10, age=1800)
    assert catch_up(world.connect(since_hours=0))[0] == []
    connector = world.connect(since_hours=0)
    _, cursor = catch_up(connector)
    world.say(10, age=-1)
    assert {post.id for post in catch_up(connector, cursor)[0]} == {item.id for item in world.items[10:]}
    assert len(catch_up(world.connect(since_hours=1))[0]) == 20


def test_two_subreddits_are_asked_as_one_and_looked_up_once(world: World) -> None:
    world.say(10)
    connector = world.connect()
    posts, cursor = catch_up(connector)
    assert {post.url.split("/")[4] for post in posts if not post.deleted} == {"parcels", "acme"}
    catch_up(connector, cursor)
    assert {asked.path for asked in world.asked("new")} == {"/r/parcels+acme/new"}
    assert len(world.asked("info")) == 1
    assert len(world.asked("access_token")) == 1


def test_listings_and_words_that_are_not_wanted_stay_away(world: World) -> None:
    world.say(20, age=30)
    kinds = {post.kind for post in catch_up(world.connect(comments=False))[0]}
    assert kinds == {"post"}
    assert not world.asked("comments")
    found = catch_up(world.connect(words=["number 7"]))[0]
    assert [post.text for post in found if not post.deleted] == [
        "My parcel number 7 is late & nobody answers ☹"
    ]
