"""What a post must be: every row of bad input, with what its sender is told."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import RejectedError
from pipeline.core.post import MAX_POST_BYTES, Author, Post, decode_post, encode_post, stub

GOOD: dict[str, Any] = {"id": "x:1", "text": "hello", "author": {"id": "x:a"}}


def line(**changes: Any) -> bytes:
    return json.dumps({**GOOD, **changes}).encode()


@pytest.mark.parametrize(
    ("raw", "reason", "says"),
    [
        (b"", "unreadable", "no valid JSON"),
        (b"{", "unreadable", "no valid JSON"),
        (b"\xff\xfe{}", "unreadable", "no valid JSON"),
        (b'{"a":' * 100_000, "unreadable", "no valid JSON"),
        (line() + b" trailing", "unreadable", "trailing"),
        (b"[1]", "invalid", "object"),
        (b'"text"', "invalid", "object"),
        (b"null", "invalid", "object"),
        (line(id=None), "invalid", "$.id"),
        (line(id=""), "invalid", "$.id"),
        (line(id=5), "invalid", "$.id"),
        (line(id="no-source"), "invalid", "$.id"),
        (line(id="x:"), "invalid", "$.id"),
        (line(id="x:has space"), "invalid", "$.id"),
        (line(id="x:" + "é" * 300), "invalid", "512 bytes"),
        (b'{"text":"t","author":{"id":"x:a"}}', "invalid", "id"),
        (b'{"id":"x:1","author":{"id":"x:a"}}', "invalid", "`text`"),
        (b'{"id":"x:1","text":"t"}', "invalid", "author.id is missing"),
        (line(author={}), "invalid", "author.id is missing"),
        (line(author={"id": 7}), "invalid", "$.author.id"),
        (line(text=7), "invalid", "$.text"),
        (line(text=None), "invalid", "$.text"),
        (line(source="y"), "invalid", "begin with its source"),
        (line(kind="song"), "invalid", "$.kind"),
        (line(created_at="2026-01-01T00:00:00"), "invalid", "timezone"),
        (line(created_at="yesterday"), "invalid", "RFC3339"),
        (line(created_at=1700000000), "invalid", "$.created_at"),
        (line(created_at="0001-01-01T00:00:00+14:00"), "invalid", "calendar"),
        (line(edited_at="2026-13-01T00:00:00Z"), "invalid", "$.edited_at"),
        (line(metrics={"likes": "many"}), "invalid", "$.metrics"),
        (line(metrics={"likes": 2**64}), "invalid", "$.metrics"),
        (line(author={"id": "x:a", "followers": "12"}), "invalid", "$.author.followers"),
        (line(schema=99), "invalid", "upgrade"),
        (b'{"id":"x:1","text":"' + b"a" * MAX_POST_BYTES + b'","author":{"id":"x:a"}}', "too_big", "bytes"),
    ],
)
def test_refused_with_the_field_named(raw: bytes, reason: str, says: str) -> None:
    with pytest.raises(RejectedError) as refusal:
        decode_post(raw)
    assert refusal.value.reason == reason
    assert says in str(refusal.value)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (line(text=""), ""),
        (line(text="a" * 1_000_000), "a" * 1_000_000),
        (line(text="\x00\x07\x1b[31m"), "\x00\x07\x1b[31m"),
        (line(text="zero\u200bwidth \u202eright to left\u200f"), "zero\u200bwidth \u202eright to left\u200f"),
        (rb'{"id":"x:1","text":"cut \ud83d","author":{"id":"x:a"}}', "cut \ufffd"),
        (rb'{"id":"x:1","text":"\udc00 \ud83d\ude00","author":{"id":"x:a"}}', "\ufffd \U0001f600"),
        (b'{"id":"x:1","text":"raw \xed\xa0\x80","author":{"id":"x:a"}}', "raw \ufffd"),
        (line(text="t", surprise={"deep": [1]}, another=None), "t"),
    ],
)
def test_taken_as_it_is(raw: bytes, text: str) -> None:
    post = decode_post(raw)
    assert post.text == text
    assert decode_post(encode_post(post)) == post


@pytest.mark.parametrize("created", ["1969-07-20T20:17:40Z", "2100-01-01T00:00:00Z"])
def test_dates_out_of_range_are_kept(created: str) -> None:
    assert decode_post(line(created_at=created)).created_at == datetime.fromisoformat(created)


def test_times_come_back_in_utc() -> None:
    post = decode_post(line(created_at="2026-11-22T13:00:00+01:00"))
    assert post.created_at == datetime(2026, 11, 22, 12, tzinfo=UTC)
    assert b'"2026-11-22T12:00:00Z"' in encode_post(post)


def test_a_deletion_needs_only_its_id_and_keeps_nothing_that_was_said() -> None:
    assert decode_post(b'{"id":"x:1","deleted":true}') == Post(id="x:1", text="", deleted=True)
    for nonsense in ({"created_at": "yesterday"}, {"text": 5}, {"author": "me"}, {"kind": "song"}):
        assert decode_post(line(deleted=True, **nonsense)).deleted, "a no counts whatever else is wrong"
    full = line(
        deleted=True, created_at="2026-11-22T12:00:00Z", url="https://x.example/1", hashtags=["secret"]
    )
    kept = decode_post(full)
    assert kept == stub(Post(id="x:1", text="", created_at=datetime(2026, 11, 22, 12, tzinfo=UTC)))
    assert b"hello" not in encode_post(kept)
    assert b"secret" not in encode_post(kept)


NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
TIMES = st.none() | st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))


@given(
    st.builds(
        Post,
        id=st.from_regex(r"[a-z]{1,5}:[!-~]{1,30}", fullmatch=True),
        text=NAMES,
        lang=NAMES,
        created_at=TIMES,
        collected_at=TIMES,
        edited_at=TIMES,
        author=st.builds(
            Author, id=st.just("x:a"), handle=NAMES, name=NAMES, followers=st.none() | st.integers(0)
        ),
        hashtags=st.lists(NAMES, max_size=3).map(tuple),
        metrics=st.dictionaries(NAMES, st.integers(-(2**63), 2**63 - 1), max_size=3),
    ).filter(lambda post: post.author.followers is None or post.author.followers < 2**63)
)
def test_round_trip(post: Post) -> None:
    assert decode_post(encode_post(post)) == post
