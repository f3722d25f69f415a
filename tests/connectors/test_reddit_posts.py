"""What becomes of Reddit's things, made up ones and recorded ones."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connectors.reddit import parse
from pipeline.app.registry import build_connector
from pipeline.core.errors import RejectedError
from pipeline.core.post import NOBODY, Post, decode_post, encode_post
from pipeline.core.protocols import Cursor
from testkit.connectors import reddit as fixture
from testkit.platform.answers import Answer, Asked
from testkit.platform.exchanges import Player, read_exchanges
from testkit.platform.server import PlatformServer

MOMENT = 1_783_175_888.0


def one(thing: dict[str, Any]) -> Post:
    post = parse(msgspec.json.encode(thing))
    assert post is not None
    assert decode_post(encode_post(post)).id == post.id
    return post


def comment(**changes: Any) -> Post:
    return one(fixture.comment(7, MOMENT, **changes))


def submission(**changes: Any) -> Post:
    return one(fixture.submission(9, MOMENT, **changes))


def test_every_field_of_a_comment() -> None:
    post = comment(
        body="It is *late*, /u/Acme_Help! See [this](https://acme.example/a_(b)).", edited=MOMENT + 60
    )
    assert (post.id, post.source, post.kind) == (f"reddit:{fixture.name(7)}", "reddit", "comment")
    assert post.created_at == datetime.fromtimestamp(MOMENT, UTC)
    assert post.edited_at == datetime.fromtimestamp(MOMENT + 60, UTC)
    assert (post.author.id, post.author.handle) == ("reddit:t2_ru", "writer_2")
    assert post.author.url == "https://www.reddit.com/user/writer_2"
    assert post.thread == post.in_reply_to == f"reddit:{fixture.name(6)}"
    link = fixture.name(6)[3:]
    assert post.url == f"https://www.reddit.com/r/parcels/comments/{link}/late/{fixture.name(7)[3:]}/"
    assert post.mentions == ("Acme_Help",)
    assert post.urls == ("https://acme.example/a_(b)",)
    assert post.metrics == {"score": 7}
    assert comment(score_hidden=True).metrics == {}
    assert comment(parent_id=fixture.name(4)).in_reply_to == f"reddit:{fixture.name(4)}"


def test_every_field_of_a_submission() -> None:
    post = submission(selftext="Is it late? See https://acme.example/9.")
    assert post.text == "Parcel 9\n\nIs it late? See https://acme.example/9."
    assert (post.kind, post.thread, post.in_reply_to) == ("post", post.id, "")
    assert post.urls == ("https://acme.example/9", "https://news.example/9")
    assert post.metrics == {"score": 9, "replies": 2}
    assert submission(is_self=True).urls == ()


def test_texts_are_as_they_were_written() -> None:
    assert comment(body="&amp; < ☹ \U0001f600").text == "&amp; < ☹ \U0001f600"
    cut = msgspec.json.encode(fixture.comment(7, MOMENT)).replace(b"My parcel", b"My \\ud83d parcel")
    post = parse(cut)
    assert post is not None
    assert post.text.startswith("My \ufffd parcel number 7")


def test_pictures_galleries_films_and_crossposts() -> None:
    picture = submission(url="https://i.redd.it/a.jpg", post_hint="image")
    assert (picture.urls, picture.media) == ((), ("https://i.redd.it/a.jpg",))
    shown = {name: {"s": {"u": f"https://preview.redd.it/{name}.jpg"}} for name in ("a", "b")}
    gallery = {"gallery_data": {"items": [{"media_id": "b"}, {"media_id": "a"}]}, "media_metadata": shown}
    found = submission(url="https://www.reddit.com/gallery/9", **gallery)
    assert found.media == ("https://preview.redd.it/b.jpg", "https://preview.redd.it/a.jpg")
    film = {"reddit_video": {"fallback_url": "https://v.redd.it/x/DASH_720.mp4"}}
    found = submission(url="https://v.redd.it/x", media=film, secure_media=film)
    assert (found.urls, found.media) == ((), ("https://v.redd.it/x/DASH_720.mp4",))
    parent = {
        "permalink": "/r/other/comments/abc/x/",
        "url": "https://i.redd.it/b.png",
        "selftext": "not mine",
    }
    crosspost = submission(
        crosspost_parent="t3_abc", crosspost_parent_list=[parent], url="/r/other/comments/abc/x/"
    )
    assert crosspost.text == "Parcel 9"
    assert crosspost.urls == ("https://www.reddit.com/r/other/comments/abc/x/",)
    assert crosspost.media == ("https://i.redd.it/b.png",)


@pytest.mark.parametrize(
    "gone",
    [
        fixture.comment(7, MOMENT, author="[deleted]", body="[deleted]", author_fullname=None),
        fixture.comment(7, MOMENT, author="[deleted]"),
        fixture.comment(7, MOMENT, body="[removed]"),
        fixture.comment(7, MOMENT, body="[ Removed by Reddit ]"),
        fixture.submission(7, MOMENT, author="[deleted]", title="[deleted by user]", selftext="[removed]"),
        fixture.submission(7, MOMENT, selftext="[removed]"),
        fixture.submission(7, MOMENT, removed_by_category="copyright_takedown"),
        fixture.submission(7, MOMENT, selftext="[ Removed by Reddit in response to a copyright notice. ]"),
    ],
)
def test_what_is_gone_keeps_no_word_and_no_author(gone: dict[str, Any]) -> None:
    post = one(gone)
    assert post.deleted
    assert post.created_at == datetime.fromtimestamp(MOMENT, UTC)
    assert (post.text, post.author, post.url, post.thread) == ("", NOBODY, "", "")


@pytest.mark.parametrize(
    "body", ["[deleted] my account", "why was it [removed]", "[removed my card]", "[late]"]
)
def test_who_only_speaks_of_deletions_is_not_deleted(body: str) -> None:
    assert not comment(body=body).deleted


def test_a_suspended_author_keeps_his_name_where_reddit_tells_no_number() -> None:
    found = comment(author="gone_soon", author_fullname=None)
    assert (found.author.id, found.author.handle, found.deleted) == ("reddit:u/gone_soon", "gone_soon", False)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"hello", "unreadable"),
        (b"\xff", "unreadable"),
        (b"[" * 100_000, "unreadable"),
        (b"[]", "invalid"),
        (b'{"kind": "t1"}', "invalid"),
        (msgspec.json.encode(fixture.comment(7, MOMENT, name="t3_abc")), "invalid"),
        (msgspec.json.encode(fixture.comment(7, MOMENT, body=None)), "invalid"),
        (msgspec.json.encode(fixture.comment(7, MOMENT, author="a b")), "invalid"),
        (msgspec.json.encode(fixture.submission(9, MOMENT, title=7)), "invalid"),
    ],
)
def test_what_is_no_thing_is_refused(raw: bytes, reason: str) -> None:
    with pytest.raises(RejectedError) as refused:
        parse(raw)
    assert refused.value.reason == reason


@pytest.mark.parametrize("kind", ["more", "t5", "Listing"])
def test_things_of_other_kinds_are_none(kind: str) -> None:
    assert parse(msgspec.json.encode({"kind": kind, "data": {}})) is None


@pytest.mark.parametrize("told", [None, "yesterday", True, -1, 2**70, 1e300, [], {}])
def test_a_time_that_is_none_costs_the_time(told: Any) -> None:
    assert parse(json.dumps(fixture.comment(7, MOMENT, created_utc=told)).encode()).created_at is None  # type: ignore[union-attr]
    assert parse(json.dumps(fixture.comment(7, MOMENT, edited=told)).encode()).edited_at is None  # type: ignore[union-attr]


# ---- what Reddit really answered


@pytest.fixture
def recorded(shared: Path) -> Path:
    return shared / "data" / "payloads" / "reddit_praw"


def _things(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if value.get("kind") in ("t1", "t3") and isinstance(value.get("data"), dict):
            yield value
        for below in value.values():
            yield from _things(below)
    elif isinstance(value, list):
        for below in value:
            yield from _things(below)


def test_recorded_things(recorded: Path) -> None:
    posts: dict[str, Post] = {}
    for file in sorted(recorded.glob("*.responses.jsonl*")):
        raw = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        for line in raw.splitlines():
            for thing in _things(json.loads(line)):
                post = one(thing)
                posts[post.id] = post
    comments = [post for post in posts.values() if post.kind == "comment"]
    assert (len(comments), len(posts) - len(comments)) == (2387, 219)
    live = [post for post in posts.values() if not post.deleted]
    assert len(live) > 2500
    for post in live:
        assert decode_post(encode_post(post)) == post
        assert post.text
        assert post.created_at is not None
        assert post.thread
        assert post.url.startswith("https://www.reddit.com/")
    assert sum(post.edited_at is not None for post in live) > 50
    assert any(post.media for post in live)
    assert sum(bool(post.urls) for post in live) > 200
    assert any(post.author.id.startswith("reddit:t2_") for post in live)


class Recorded:
    """A recorded polling, with the token and the names that the records leave out."""

    def __init__(self, file: Path) -> None:
        self.exchanges = read_exchanges(file)
        self.player = Player(self.exchanges, ignored=("limit", "before", "after"))

    def __call__(self, asked: Asked) -> Answer:
        signing_in = asked.path == "/api/v1/access_token"
        return fixture.Site(lambda: [], {})(asked) if signing_in else self.player(asked)

    @property
    def names(self) -> set[str]:
        return {
            child["data"]["name"]
            for exchange in self.exchanges
            for child in exchange.body["data"]["children"]
        }


@pytest.mark.parametrize(
    ("file", "off", "count"),
    [
        ("TestSubredditStreams.test_comments.responses.jsonl.gz", "submissions", 417),
        ("TestSubredditStreams.test_submissions.responses.jsonl", "comments", None),
    ],
)
def test_a_live_polling_of_everything(
    file: str, off: str, count: int | None, recorded: Path, tmp_path: Path
) -> None:
    site = Recorded(recorded / file)
    assert count in (None, len(site.names))
    with PlatformServer(site) as server:
        (tmp_path / "secret").write_text(fixture.SECRET)
        table = {
            "kind": "reddit",
            "client_secret_file": str(tmp_path / "secret"),
            **fixture.table(server.url),
        }
        table |= {"subreddits": ["all"], "batch": 100, off: False}
        connector = build_connector("mine", table, tmp_path)
        begin = datetime(2016, 12, 1, tzinfo=UTC).timestamp()
        cursor: Cursor | None = {"begin": begin}
        got: dict[str, Post] = {}
        for _ in range(4 * len(site.exchanges)):
            read = connector.read(cursor)
            assert not read.rejected
            got.update((post.id, post) for post in read.posts)
            cursor = read.cursor
            time.sleep(0.051)
        assert got.keys() == {f"reddit:{name}" for name in site.names}
        assert not site.player.unknown
        for post in got.values():
            assert post.created_at is not None
            assert post.created_at.year == 2016
            assert post.deleted or (post.text and post.author.handle and post.url)
        connector.close()
