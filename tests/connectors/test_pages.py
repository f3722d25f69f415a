"""Reading a page of JSON and sorting out its items; what a platform says may still be asked."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from connectors._pages import item_of, limits_of, page_of, sort_out
from pipeline.core.errors import RejectedError, RetryableError
from pipeline.core.post import Author, Post
from pipeline.core.protocols import Limit
from pipeline.core.rejection import payload_of

NOW = datetime(2026, 11, 22, 10, 0, 0, tzinfo=UTC)


class Told(Struct):
    number: int
    text: str = ""


class Page(Struct):
    items: list[msgspec.Raw]


def parse(raw: bytes) -> Post | None:
    told = item_of(raw, Told)
    return Post(id=f"s:{told.number}", text=told.text, author=Author(id="s:a")) if told.text else None


def test_the_good_are_taken_the_bad_refused_and_the_rest_passed_over() -> None:
    page = page_of(b'{"items":[{"number":1,"text":"a"},{"number":"2"},{"number":3}],"more":1}', Page, "it")
    posts, rejected = sort_out(page.items, parse, "it", NOW)
    assert [(post.id, post.collected_at) for post in posts] == [("s:1", NOW)]
    assert [(one.origin, one.stage, payload_of(one)) for one in rejected] == [
        ("it", "collect", b'{"number":"2"}')
    ]
    assert "number" in rejected[0].error


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"items": 1}', b'{"items": [1', b"\xff", b"[" * 10_000])
def test_a_page_that_cannot_be_read_is_asked_for_again(body: bytes) -> None:
    with pytest.raises(RetryableError, match="the board cannot be read"):
        page_of(body, Page, "the board")


@given(st.binary(max_size=60))
def test_an_item_is_read_or_refused(raw: bytes) -> None:
    with contextlib.suppress(RejectedError):
        assert isinstance(item_of(raw, Told), Told)


@pytest.mark.parametrize(
    ("headers", "limits"),
    [
        ({}, []),
        ({"X-RateLimit-Remaining": "many"}, []),
        ({"X-RateLimit-Remaining": "9" * 500}, []),
        ({"X-RateLimit-Remaining": "3"}, [Limit("requests", 3)]),
        (
            {"x-rate-limit-limit": "450", "x-rate-limit-remaining": "0", "x-rate-limit-reset": "1795341690"},
            [Limit("requests", 0, 450, 90.0)],
        ),
        ({"RateLimit-Limit": "100", "RateLimit-Reset": "7"}, [Limit("requests", None, 100, 7.0)]),
    ],
)
def test_limits_are_read_as_platforms_write_them(headers: dict[str, str], limits: list[Limit]) -> None:
    assert limits_of(headers, NOW) == limits
