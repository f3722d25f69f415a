"""What becomes of Jetstream's events: posts, edits, deletions, and what is none."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.bluesky import parse
from pipeline.core.errors import RejectedError
from pipeline.core.post import Post, decode_post, encode_post
from pipeline.core.version import version_of
from testkit.connectors import bluesky as jetstream

MOMENT = 1_783_175_888.25


def raw(record: Mapping[str, Any] | None = None, number: int = 3, **commit: Any) -> bytes:
    return msgspec.json.encode(jetstream.event(number, MOMENT, record, **commit))


def one(record: Mapping[str, Any] | None = None, **commit: Any) -> Post:
    post = parse(raw(record, **commit))
    assert post is not None
    assert decode_post(encode_post(post)) is not None
    return post


def test_every_field_of_a_post() -> None:
    told = jetstream.record(12, MOMENT) | {"langs": ["en-GB", "cy"]}
    post = parse(raw(told, number=12))
    assert post is not None
    assert post.id == f"bluesky:at://{jetstream.did(12 % 5)}/app.bsky.feed.post/{jetstream.key(12)}"
    assert (post.source, post.kind, post.lang) == ("bluesky", "reply", "en-GB")
    assert post.text == "My parcel number 12 is late ☹ #late @acme acme.example/help"
    assert post.created_at == datetime.fromtimestamp(MOMENT, UTC)
    assert post.edited_at is None
    assert post.collected_at is not None
    assert abs(post.collected_at - datetime.now(UTC)) < timedelta(minutes=1)
    assert post.url == f"https://bsky.app/profile/{jetstream.did(12 % 5)}/post/{jetstream.key(12)}"
    assert post.author.id == f"bluesky:{jetstream.did(12 % 5)}"
    assert post.in_reply_to == f"bluesky:{jetstream.uri(8)}"
    assert post.thread == f"bluesky:{jetstream.uri(4)}"
    assert post.mentions == (jetstream.did(9),)
    assert post.hashtags == ("late", "parcels")
    quoted = f"https://bsky.app/profile/{jetstream.did(1)}/post/{jetstream.key(1)}"
    assert post.urls == ("https://acme.example/help", quoted)
    picture = f"https://cdn.bsky.app/img/feed_fullsize/plain/{jetstream.did(12 % 5)}/bafypicture@jpeg"
    assert post.media == (picture,)


def test_cards_and_films() -> None:
    post = one({"text": "", "embed": {"external": {"uri": "https://a.example/", "title": "A"}}})
    assert (post.kind, post.urls, post.media) == ("post", ("https://a.example/",), ())
    film = {"$type": "app.bsky.embed.video", "video": {"ref": {"$link": "bafyfilm"}}}
    assert one({"text": "see", "embed": film}).media == (
        f"https://video.bsky.app/watch/{jetstream.did(3)}/bafyfilm/playlist.m3u8",
    )


def test_a_deletion_names_the_post_and_nothing_else() -> None:
    post = one(operation="delete")
    assert post.deleted
    assert post.id == one({"text": "x"}).id
    assert version_of(post) > version_of(one({"text": "x"}, operation="update"))


def test_an_edit_carries_the_time_of_its_revision_which_all_hosts_tell_alike() -> None:
    made = datetime(2026, 7, 4, 14, 38, 7, 500_000, UTC)
    rev = jetstream.tid(int(made.timestamp() * 1_000_000))
    edit = one({"text": "x"}, operation="update", rev=rev)
    assert edit.edited_at == made
    assert one({"text": "x"}, operation="update", rev="?").edited_at == datetime.fromtimestamp(MOMENT, UTC)


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("2031-01-01T00:00:00Z", datetime(2031, 1, 1, tzinfo=UTC)),
        ("1999-01-01T02:00:00+02:00", datetime(1999, 1, 1, tzinfo=UTC)),
        ("yesterday", None),
        (17, None),
        ("0001-01-01T00:00:00+14:00", None),
    ],
)
def test_the_time_is_as_told_or_none(told: Any, kept: datetime | None) -> None:
    assert one({"text": "x", "createdAt": told}).created_at == kept


@pytest.mark.parametrize(
    "commit",
    [
        {"collection": "app.bsky.feed.like"},
        {"collection": "app.bsky.feed.like", "operation": "delete"},
        {"collection": ""},
    ],
)
def test_events_of_other_things_are_none(commit: dict[str, Any]) -> None:
    assert parse(raw({"text": "x"}, **commit)) is None
    assert parse(b'{"kind": "identity", "did": "did:plc:a", "time_us": 1}') is None


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"hello", "unreadable"),
        (b"\xff\xfe", "unreadable"),
        (b'{"commit": {"record": ' + b"[" * 100_000, "unreadable"),
        (b"[]", "invalid"),
        (raw({"text": 5}), "invalid"),
        (raw({}), "invalid"),
        (raw(None), "invalid"),
        (raw({"text": "x"}, operation="replace"), "invalid"),
        (raw({"text": "x"}, rkey="a b"), "invalid"),
        (raw({"text": "x"}, rkey=""), "invalid"),
    ],
)
def test_what_is_no_event_is_refused(frame: bytes, reason: str) -> None:
    with pytest.raises(RejectedError) as refused:
        parse(frame)
    assert refused.value.reason == reason


@given(st.integers(0, 2**53 - 1))
def test_revisions_are_read_as_they_are_written(micros: int) -> None:
    from connectors._bluesky.jetstream import _moment_of

    found = _moment_of(jetstream.tid(micros), 0) - datetime(1970, 1, 1, tzinfo=UTC)
    assert found // timedelta(microseconds=1) == micros


def test_production_events(shared: Path) -> None:
    file = shared / "data" / "payloads" / "bluesky_jetstream" / "expected_v1.jsonl"
    lines = file.read_bytes().splitlines()
    posts = [post for post in map(parse, lines) if post is not None]
    live = [post for post in posts if not post.deleted]
    assert (len(lines), len(live), len(posts) - len(live)) == (152, 17, 1)
    assert len({post.id for post in posts}) == 18
    for post in live:
        assert decode_post(encode_post(post)) == post
        assert post.created_at is not None
        assert post.created_at.year == 2026
        assert (post.kind == "reply") == bool(post.in_reply_to) == bool(post.thread)
    assert sum(bool(post.lang) for post in live) >= 15
    assert any(post.media for post in live)
    assert any(post.hashtags for post in live)
    assert any(post.urls for post in live)
