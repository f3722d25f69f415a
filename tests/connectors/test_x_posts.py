"""What becomes of X's posts: every field, edits, reposts, long ones, and what real exchanges bring."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors._x.tweets import id_at, moment_of, page_of
from connectors.x import SETTINGS, X, build, parse
from pipeline.core.errors import RejectedError
from pipeline.core.post import Author, Post, decode_post, encode_post
from pipeline.core.settings import Secret
from pipeline.core.version import version_of
from testkit.connectors import x as platform
from testkit.platform.answers import Answer, Item
from testkit.platform.exchanges import Exchange, Player, read_exchanges
from testkit.platform.server import PlatformServer

MOMENT = 1_783_175_888.25


def raw(number: int = 1, **data: Any) -> bytes:
    told = platform.telling(number, MOMENT)
    return msgspec.json.encode({**told, "data": {**told["data"], **data}})


def one(number: int = 1, **data: Any) -> Post:
    post = parse(raw(number, **data))
    assert post is not None
    assert decode_post(encode_post(post)) == post
    return post


def test_every_field_of_a_post() -> None:
    post = one(12)
    own = platform.native(12, MOMENT)
    assert (post.id, post.source, post.kind, post.lang) == (f"x:{own}", "x", "reply", "")
    assert post.text == "My parcel number 12 is late & <torn> ☹"
    assert (post.created_at, post.edited_at) == (datetime.fromtimestamp(MOMENT, UTC), None)
    assert post.collected_at is not None
    assert post.url == f"https://x.com/ann_2/status/{own}"
    assert post.author == Author(
        id="x:1002",
        handle="ann_2",
        name="Ann & 2",
        bio="Coffee first.",
        location="Leeds",
        url="https://x.com/ann_2",
        followers=12,
        verified=False,
    )
    assert (post.in_reply_to, post.thread) == ("x:1578522194770296832", "x:1578522194770296832")
    assert (post.mentions, post.hashtags, post.urls) == (("acme",), ("late",), ("https://acme.example/help",))
    assert post.media == ("https://pbs.example/a.jpg",)
    assert post.metrics == {"likes": 12, "reposts": 1, "views": 120}


def test_an_edit_is_the_same_post_and_beats_the_older_text() -> None:
    first, second, third = (str(platform.native(number, MOMENT + number)) for number in (1, 2, 3))
    told = [
        one(id=own, text=own, created_at=None, conversation_id=own, edit_history_tweet_ids=history)
        for own, history in (
            (first, [first]),
            (second, [first, second]),
            (third, [first, second, third]),
        )
    ]
    assert {post.id for post in told} == {post.thread for post in told} == {f"x:{first}"}
    assert {post.created_at for post in told} == {moment_of(int(first))}
    assert [post.edited_at for post in told] == [None, moment_of(int(second)), moment_of(int(third))]
    versions = [version_of(post) for post in told]
    assert versions == sorted(set(versions))


def test_what_was_edited_is_answered_by_the_id_that_it_has_here() -> None:
    told = platform.telling(12, MOMENT)
    told["includes"]["tweets"][0]["edit_history_tweet_ids"] = ["1578522194770290000", "1578522194770296832"]
    post = parse(msgspec.json.encode(told))
    assert post is not None
    assert post.in_reply_to == "x:1578522194770290000"


def test_a_repost_has_the_whole_text_and_the_thread_of_what_it_repeats() -> None:
    post = one(7)
    assert post.text == "RT @acme: All parcels that were sent on Monday are late"
    assert (post.kind, post.in_reply_to, post.thread) == ("post", "", "x:1578522108187283456")
    assert (post.author.id, post.metrics) == ("x:1002", {})
    alone = platform.telling(7, MOMENT)
    alone["includes"]["tweets"] = []
    cut = parse(msgspec.json.encode(alone))
    assert cut is not None
    assert (cut.text, cut.thread) == ("RT @acme: All parcels that were sent on Monday a…", post.thread)


def test_a_long_post_is_whole_with_all_its_marks() -> None:
    note = {"text": "late " * 200 + "&gt; end", "entities": {"hashtags": [{"tag": "end"}]}}
    post = one(note_tweet=note, entities={"hashtags": [{"tag": "late"}]})
    assert post.text == "late " * 200 + "> end"
    assert post.hashtags == ("late", "end")


def test_a_quoted_post_is_among_the_links_once() -> None:
    quoted = [{"type": "quoted", "id": "1578522194770296832"}]
    assert one(referenced_tweets=quoted).urls == ("https://x.com/i/status/1578522194770296832",)
    link = "https://x.com/acme/status/1578522194770296832"
    marks = {"urls": [{"url": "https://t.co/q", "expanded_url": link}]}
    post = one(referenced_tweets=quoted, entities=marks)
    assert (post.kind, post.urls) == ("post", (link,))


def test_a_film_is_taken_in_its_best_form() -> None:
    told = platform.telling(3, MOMENT)
    told["includes"]["media"] = [
        {
            "media_key": "3_77",
            "type": "video",
            "preview_image_url": "https://pbs.example/p.jpg",
            "variants": [
                {"content_type": "application/x-mpegURL", "url": "https://video.example/a.m3u8"},
                {"content_type": "video/mp4", "bit_rate": 632000, "url": "https://video.example/s.mp4"},
                {"content_type": "video/mp4", "bit_rate": 2176000, "url": "https://video.example/l.mp4"},
            ],
        }
    ]
    post = parse(msgspec.json.encode(told))
    assert post is not None
    assert post.media == ("https://video.example/l.mp4",)
    told["includes"]["media"][0]["variants"] = []
    still = parse(msgspec.json.encode(told))
    assert still is not None
    assert still.media == ("https://pbs.example/p.jpg",)


@pytest.mark.parametrize(
    ("told", "lang"),
    [("en", "en"), ("und", ""), ("qme", ""), ("zxx", ""), ("in", "id"), ("iw", "he"), ("zh-TW", "zh-TW")],
)
def test_languages_are_the_worlds_own(told: str, lang: str) -> None:
    assert one(lang=told).lang == lang


def test_three_signs_are_written_out_once() -> None:
    assert one(text="a &amp;lt; b &lt; c &copy; &amp;amp;").text == "a &lt; b < c &copy; &amp;"


def test_half_a_sign_costs_the_sign_and_not_the_page() -> None:
    text = json.dumps(platform.telling(1, MOMENT)).replace("\\u2639", "\\ud83d")
    post = parse(text.encode())
    assert post is not None
    assert post.text.endswith("<torn> \ufffd")
    page = page_of(
        f'{{"data": [{json.dumps(json.loads(text)["data"])}], "meta": {{}}, "x": 1}}'.replace(
            '"meta": {}', '"meta": {"result_count": 1}'
        ).encode()
    )
    assert len(page.tellings) == 1


@pytest.mark.parametrize("name", ["id", "text", "author_id"])
def test_what_is_needed_is_named_where_it_is_missing(name: str) -> None:
    for value in (None, 7, [], "\x00"):
        if name == "text" and value == "\x00":
            continue
        with pytest.raises(RejectedError, match=rf"data\.{name} is missing"):
            parse(raw(**{name: value}))


def test_lines_that_tell_of_no_post() -> None:
    assert parse(b'{"errors": [{"title": "operational-disconnect"}]}') is None
    for text in (b"[1]", b"7", b'{"data": null}'):
        with pytest.raises(RejectedError):
            parse(text)


@given(st.datetimes(datetime(2010, 11, 5), datetime(2079, 1, 1)))
def test_ids_tell_the_moment(moment: datetime) -> None:
    told = moment_of(id_at(moment.replace(tzinfo=UTC)) | 0x3FFFFF)
    assert told is not None
    assert told == moment.replace(tzinfo=UTC, microsecond=moment.microsecond // 1000 * 1000)


# ---- recorded exchanges, through tweepy itself


@pytest.fixture(scope="module")
def payloads(shared: Path) -> Path:
    return shared / "data" / "payloads"


@pytest.fixture
def played() -> Iterator[Callable[..., list[Any]]]:
    """Reads all that the connector makes of answers, with the server's answer function."""
    opened: list[X] = []

    def read(answer: Callable[[Any], Answer], most: int, **settings: Any) -> list[Any]:
        with PlatformServer(answer) as server:
            fixed = {"address": server.url, "bearer_token": Secret("tok"), "timeout_seconds": 5}
            opened.append(build(SETTINGS(**{**fixed, "rules": {"all": "Tweepy"}, **settings})))
            cursor, found = None, []
            for _ in range(most):
                read = opened[-1].read(cursor)
                cursor = read.cursor
                found += [*read.posts, *read.rejected]
            opened[-1].close()
            assert server.asked[0].headers["authorization"] == "Bearer tok"
        return found

    yield read
    for connector in opened:
        connector.close()


PARAMETERS = (
    *("since_id", "max_results", "next_token", "expansions"),
    *("tweet.fields", "user.fields", "media.fields"),
)


@pytest.mark.parametrize(
    "name", ["test_client_search_recent_tweets", "test_asyncclient_search_recent_tweets"]
)
def test_recorded_searches(name: str, payloads: Path, played: Callable[..., list[Any]]) -> None:
    exchanges = read_exchanges(payloads / "twitter_tweepy" / f"{name}.responses.jsonl")
    told = exchanges[0].body["data"]
    refused = played(Player(exchanges, PARAMETERS), 1)
    # They were recorded by somebody who asked for no author, and nobody's posts are not passed on.
    assert [one.error for one in refused] == ["no post of X: data.author_id is missing or no id"] * 10
    signed = [{**one, "author_id": "12"} for one in told]
    whole = [
        Exchange("GET", exchanges[0].uri, 200, exchanges[0].headers, {**exchanges[0].body, "data": signed})
    ]
    posts = played(Player(whole, PARAMETERS), 1)
    assert {post.id for post in posts} == {f"x:{one['id']}" for one in told}
    assert {post.text for post in posts} == {one["text"] for one in told}
    for post in posts:
        assert post.created_at is not None
        assert f"{post.created_at:%Y-%m-%d}" == "2022-10-07"
        if post.text.startswith("2022-10-07 "):  # a program wrote the time into its posts
            assert abs((post.created_at - datetime.fromisoformat(post.text[:19] + "Z")).total_seconds()) < 3


def test_recorded_posts_of_a_timeline_read_as_they_were_written(payloads: Path) -> None:
    file = payloads / "twitter_tweepy" / "test_client_get_home_timeline.responses.jsonl"
    told = read_exchanges(file)[0].body["data"]
    posts = [parse(msgspec.json.encode({"data": {**one, "author_id": "12"}})) for one in told]
    texts = [post.text for post in posts if post is not None]
    assert len(texts) == len(told)
    assert any("@Twitter < great" in text for text in texts)
    assert not [text for text in texts if "&lt;" in text or "&amp;" in text]


def test_a_recorded_stream(payloads: Path, played: Callable[..., list[Any]]) -> None:
    lines = (payloads / "twitter_v2_stream" / "tweetstream.jsonl").read_bytes().splitlines()
    told = [json.loads(line) for line in lines if line.strip()]

    def answer(asked: Any) -> Answer:
        if asked.path.endswith("/rules"):
            return Answer(wrap=lambda _: b'{"data": [{"id": "1", "value": "Tweepy", "tag": "Toall"}]}')
        assert asked.path == "/2/tweets/search/stream"
        items = [Item(data=one) for one in told]
        return Answer(form="lines", items=items, hold=True, keep_alives=True)

    found = played(answer, 3, mode="stream", fill_gaps=False, tag_prefix="To")
    ours = [one for one in told if one["matching_rules"][0]["tag"].startswith("To")]
    assert 10 < len(ours) < len(told)
    assert {post.id for post in found} == {f"x:{one['data']['id']}" for one in ours}
    by_id = {post.id: post for post in found}
    for one in ours:
        post, writer = by_id[f"x:{one['data']['id']}"], one["includes"]["users"][0]
        assert (post.author.id, post.author.handle) == (f"x:{writer['id']}", writer["username"])
        assert post.author.name == writer["name"].replace("&amp;", "&")
        assert post.created_at == datetime.fromisoformat(one["data"]["created_at"])
        assert post.created_at == (moment_of(int(one["data"]["id"])) or post.created_at).replace(
            microsecond=0
        )
