"""Reddit's limits and refusals, odd answers, and what only a person can mend."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from pipeline.core.errors import ConfigError, RetryableError
from testkit.connectors import reddit as fixture
from testkit.connectors.reddit_world import World, catch_up, world_in
from testkit.platform.answers import Answer, Asked
from testkit.platform.faults import FAULTS
from testkit.platform.server import PlatformServer
from testkit.waiting import until


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with world_in(tmp_path) as made:
        yield made


def test_the_limits_are_told_and_kept_to(world: World) -> None:
    world.say(5)
    world.site.left, world.site.reset = 1.0, 3
    connector = world.connect(submissions=False)
    began = time.monotonic()
    read = connector.read(None)
    (limit,) = read.limits
    assert (limit.name, limit.left, limit.total) == ("requests", 1, 1000)
    assert 3 - (time.monotonic() - began) <= (limit.resets or 0) <= 3
    # So long that no busy machine gets there.
    world.site.left, world.site.reset = 0.0, 60
    time.sleep(0.06)
    began = time.monotonic()
    cursor = connector.read(read.cursor).cursor
    asked = len(world.server.asked)
    time.sleep(0.06)
    with pytest.raises(RetryableError, match="limit is used up") as refused:
        connector.read(cursor)
    spent = time.monotonic() - began
    assert spent < 30, "a read does not sleep"
    assert len(world.server.asked) == asked
    assert 60 - spent <= (refused.value.retry_after or 0) <= 60
    connector._api._clock = lambda: time.monotonic() + 60
    world.site.left = 900.0
    assert connector.read(cursor).limits[0].left == 900


def test_a_limit_that_is_said_to_last_for_days_is_asked_about_within_the_hour(world: World) -> None:
    world.say(1)
    world.site.left, world.site.reset = 0.0, 999_999
    connector = world.connect(submissions=False)
    with pytest.raises(RetryableError, match="limit is used up") as refused:
        connector.read(None)
    assert 3500 < (refused.value.retry_after or 0) <= 3600


def test_a_first_start_by_a_clock_that_is_days_ahead_skips_nothing(world: World) -> None:
    connector = world.connect(submissions=False, since_hours=0)
    ahead = datetime.now(UTC) + timedelta(days=3)
    connector._now = lambda: ahead
    cursor = connector.read(None).cursor
    assert cursor["begin"] == pytest.approx(time.time(), abs=600)


@pytest.mark.parametrize("told", [10**400, "soon", None, -1])
def test_whatever_a_token_is_said_to_last_for(world: World, told: Any) -> None:
    def odd(asked: Asked) -> Answer:
        answer = world.site(asked)
        wrap = answer.wrap
        assert wrap is not None
        instead = b"1" + b"0" * 400 if isinstance(told, int) and told > 0 else json.dumps(told).encode()
        return replace(answer, wrap=lambda texts: wrap(texts).replace(b"86400", instead))

    with PlatformServer(odd) as server:
        connector = world.connect(login_url=server.url, api_url=server.url)
        with suppress(RetryableError):
            connector.read(None)


def test_a_page_of_a_million_is_none(world: World) -> None:
    def many(asked: Asked) -> Answer:
        answer = world.site(asked)
        if not asked.path.startswith("/r/"):
            return answer
        body = b'{"kind": "Listing", "data": {"children": [' + b"{}," * 999_999 + b"{}]}}"
        return replace(answer, wrap=lambda _: body)

    with PlatformServer(many) as server:
        connector = world.connect(login_url=server.url, api_url=server.url)
        with pytest.raises(RetryableError, match="answer is no listing"):
            connector.read(None)


def test_an_outage_is_not_waited_out_to_the_end_of_the_limit(world: World) -> None:
    def out_of_order(asked: Asked) -> Answer:
        answer = world.site(asked)
        return replace(answer, status=503) if asked.path.startswith("/r/") else answer

    with PlatformServer(out_of_order) as server:
        connector = world.connect(login_url=server.url, api_url=server.url)
        with pytest.raises(RetryableError, match="status 503") as refused:
            connector.read(None)
        assert refused.value.retry_after is None
        assert sum(asked.path.startswith("/r/") for asked in server.asked) == 1, "praw tries again by itself"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            {"subreddits": ["Acme", "Hidden", "nowhere"]},
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


def test_a_text_cut_within_a_character_costs_neither_the_page_nor_the_post(world: World) -> None:
    world.say(6, age=30)
    with PlatformServer(lambda asked: _cut(world.site(asked))) as server:
        posts, _ = catch_up(world.connect(login_url=server.url, api_url=server.url))
    assert {post.id for post in posts} == world.ids
    assert {post.text[:11] for post in posts if post.kind == "comment"} == {"My \ufffd parcel"}


def _cut(answer: Answer) -> Answer:
    wrap = answer.wrap
    assert wrap is not None
    return replace(answer, wrap=lambda texts: wrap(texts).replace(b"My parcel", b"My \\ud83d parcel"))


@pytest.mark.parametrize(
    "body", [b"[]", b'{"data": {"children": 5}}', b"[" * 10**5, b"<html>", b'{"a": "\\q"}']
)
def test_an_answer_that_is_no_listing_is_asked_for_again(world: World, body: bytes) -> None:
    def odd(asked: Asked) -> Answer:
        answer = world.site(asked)
        return Answer(wrap=lambda _: body) if asked.path.startswith("/r/") else answer

    with PlatformServer(odd) as server:
        connector = world.connect(login_url=server.url, api_url=server.url)
        with pytest.raises(RetryableError, match=r"no listing|unforeseen"):
            connector.read(None)


@pytest.mark.parametrize(
    ("told", "error"),
    [
        (b'{"error": "invalid_grant"}', ConfigError),
        (b"{}", RetryableError),
        (b"[1]", RetryableError),
        (b"no json", RetryableError),
    ],
)
def test_a_token_that_is_none(world: World, told: bytes, error: type[Exception]) -> None:
    with PlatformServer(lambda _: Answer(wrap=lambda _: told)) as server:
        with pytest.raises(error) as refused:
            world.connect(login_url=server.url, api_url=server.url).read(None)
        assert fixture.SECRET not in str(refused.value)


def test_a_token_is_renewed_before_its_end(world: World) -> None:
    def brief(asked: Asked) -> Answer:
        """The first token is, and none after it: however long the rest takes, one renewal is enough."""
        answer = world.site(asked)
        wrap = answer.wrap
        assert wrap is not None
        if len([one for one in server.asked if one.path.endswith("access_token")]) > 1:
            return answer
        return replace(answer, wrap=lambda texts: wrap(texts).replace(b"86400", b"61"))

    with PlatformServer(brief) as server:
        connector = world.connect(login_url=server.url, api_url=server.url)
        cursor = catch_up(connector)[1]
        time.sleep(1.1)
        catch_up(connector, cursor)
        assert sum(asked.path.endswith("access_token") for asked in server.asked) == 2


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
