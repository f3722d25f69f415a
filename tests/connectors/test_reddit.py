"""How Reddit's listings are read: bursts, gaps, two subreddits, limits, and what only a person can mend."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from pipeline.app.registry import build_connector
from pipeline.core.errors import ConfigError, RetryableError
from pipeline.core.post import Post
from pipeline.core.protocols import Connector, Cursor
from testkit.connectors import reddit as fixture
from testkit.platform.answers import Answer, Asked, Item
from testkit.platform.faults import FAULTS
from testkit.platform.server import PlatformServer
from testkit.waiting import until


class World:
    """A site with its server, and connectors for it."""

    def __init__(self, server: PlatformServer, site: fixture.Site, secret: Path, stack: ExitStack) -> None:
        self.server = server
        self.site = site
        self.items: list[Item] = []
        self._secret = secret
        self._stack = stack

    def say(self, count: int, age: float = 0.0, make: Callable[..., Item] = fixture.item) -> None:
        """So many things more, the last one ``age`` seconds old."""
        at = time.time() - age - count / 1000
        for step in range(count):
            self.items.append(make(len(self.items), at + step / 1000))

    def connect(self, home: Path | None = None, **settings: Any) -> Connector:
        table = fixture.table(self.server.url) | {"batch": 100, "poll_seconds": 0.05} | settings
        table = {"kind": "reddit", "client_secret_file": str(self._secret), **table}
        connector = build_connector("mine", table, home)
        self._stack.callback(connector.close)
        return connector

    @property
    def ids(self) -> set[str]:
        return {item.id for item in self.items}

    def asked(self, sort: str) -> list[Asked]:
        return [asked for asked in self.server.asked if asked.path.rstrip("/").endswith(sort)]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    secret = tmp_path / "secret"
    secret.write_text(fixture.SECRET)
    site = fixture.Site(
        lambda: list(made.items), {"parcels": "public", "acme": "public", "hidden": "private"}
    )
    with ExitStack() as stack, PlatformServer(site, fixture.RedditDialect()) as server:
        made = World(server, site, secret, stack)
        yield made


def catch_up(connector: Connector, cursor: Cursor | None = None) -> tuple[list[Post], Cursor]:
    """All posts up to now, each listing asked at least once more."""
    posts: list[Post] = []
    time.sleep(0.06)
    while True:
        read = connector.read(cursor)
        assert not read.rejected
        posts += read.posts
        cursor = read.cursor
        if read.wait:
            return posts, cursor


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


# ---- limits, refusals, names


def test_the_limits_are_told_and_kept_to(world: World) -> None:
    world.say(5)
    world.site.left, world.site.reset = 1.0, 1
    connector = world.connect(submissions=False)
    read = connector.read(None)
    (limit,) = read.limits
    assert (limit.name, limit.left, limit.total) == ("requests", 1, 1000)
    assert limit.resets == pytest.approx(1, abs=0.2)
    world.site.left = 0.0
    time.sleep(0.06)
    cursor = connector.read(read.cursor).cursor
    asked = len(world.server.asked)
    began = time.monotonic()
    time.sleep(0.06)
    with pytest.raises(RetryableError, match="limit is used up") as refused:
        connector.read(cursor)
    assert time.monotonic() - began < 0.5, "a read does not sleep"
    assert len(world.server.asked) == asked
    assert refused.value.retry_after == pytest.approx(0.9, abs=0.2)
    time.sleep(refused.value.retry_after or 0)
    world.site.left = 900.0
    assert connector.read(cursor).limits[0].left == 900


def test_an_outage_is_not_waited_out_to_the_end_of_the_limit(world: World) -> None:
    def out_of_order(asked: Asked) -> Answer:
        answer = world.site(asked)
        return replace(answer, status=503) if asked.path.startswith("/r/") else answer

    with PlatformServer(out_of_order) as server:
        connector = world.connect(login_url=server.url, api_url=server.url)
        with pytest.raises(RetryableError, match="status 503") as refused:
            connector.read(None)
        assert refused.value.retry_after is None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            {"subreddits": ["acme", "Hidden", "nowhere"]},
            "there is no r/nowhere, r/Hidden is private: mend `subreddits`",
        ),
        ({"client_id": "another-app"}, "(status 401): `client_id` and the secret do not fit: copy both anew"),
    ],
)
def test_wrong_names_and_credentials_say_which(world: World, wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        world.connect(**wrong).read(None)
    assert said in str(refused.value)


def test_a_subreddit_that_vanishes_is_named_and_no_search_is_followed(world: World) -> None:
    connector = world.connect(subreddits=["acme"])
    _, cursor = catch_up(connector)
    world.site.subreddits = {"parcels": "public"}
    time.sleep(0.06)
    with pytest.raises(ConfigError, match="offers a search: see that r/acme can be read"):
        connector.read(cursor)
    assert not world.asked("search")


def test_reddits_own_reason_for_a_refusal_is_told(world: World) -> None:
    def closed(asked: Asked) -> Answer:
        answer = world.site(asked)
        if asked.path.startswith("/r/"):
            return Answer(status=403, wrap=lambda _: b'{"reason": "private", "error": 403}')
        return answer

    with PlatformServer(closed) as server:
        connector = world.connect(login_url=server.url, api_url=server.url)
        with pytest.raises(ConfigError, match=r"Reddit \(private\) refuses .* r/parcels, r/acme"):
            connector.read(None)


@pytest.mark.parametrize(
    "fault", ["401", "403", "404", "429", "503", "no answer", "redirect", "cut within an item"]
)
def test_faults_of_listings_too_not_only_of_the_token(world: World, fault: str) -> None:
    world.say(20, age=30)
    connector = world.connect()
    read = connector.read(None)
    world.server.spoil(next(one for one in FAULTS if one.name == fault))
    time.sleep(0.06)
    with pytest.raises((ConfigError, RetryableError)):
        connector.read(read.cursor)
    assert len(world.asked("access_token")) == 1
    rest, _ = catch_up(world.connect(), read.cursor)
    assert {post.id for post in (*read.posts, *rest)} == world.ids


def test_what_the_user_set_for_praw_changes_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "praw.ini").write_text("[DEFAULT]\noauth_url=http://127.0.0.1:9\n[mine]\nusername=ann\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("praw_site", "mine")
    monkeypatch.setenv("praw_username", "ann")
    monkeypatch.setenv("praw_password", "secret")
    monkeypatch.chdir(tmp_path)
    world.say(5)
    assert len(catch_up(world.connect())[0]) == 5
    (asked,) = world.asked("access_token")
    assert b"ann" not in asked.body
    assert asked.headers["user-agent"].startswith("python:groundswell:test (by u/nobody)")


def test_settings_that_are_wrong_say_so(world: World, caplog: pytest.LogCaptureFixture) -> None:
    for wrong in (
        {"subreddits": []},
        {"subreddits": ["r/acme"]},
        {"comments": False, "submissions": False},
        {"words": ["!?"]},
        {"api_url": "http://reddit.example"},
    ):
        with pytest.raises(ConfigError):
            world.connect(**wrong)
    world.connect(user_agent="")
    assert "set `user_agent`" in caplog.text


def test_a_cursor_of_another_source_is_refused(world: World) -> None:
    with pytest.raises(ConfigError, match="new name"):
        world.connect().read({"time_us": 5})


def test_it_may_be_closed_while_another_thread_reads(world: World) -> None:
    connector = world.connect()
    cursor = connector.read(None).cursor
    world.server.spoil(next(one for one in FAULTS if one.name == "no answer"))
    ended: list[BaseException | None] = []

    def read() -> None:
        try:
            connector.read(cursor)
            ended.append(None)
        except RetryableError as error:
            ended.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    until(lambda: bool(world.server.spoilt))
    connector.close()
    connector.close()
    reader.join(10)
    assert len(ended) == 1
