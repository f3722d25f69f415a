"""Records of the schema before are read as if they were of this one; older and later ones are refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import Struct

from pipeline.core.wire import Reader


class Second(Struct, frozen=True):
    """In the first schema `body` was called `text`, and `stars` were out of ten and might be a text."""

    body: str
    stars: int = 0
    schema: int = 1

    def __post_init__(self) -> None:
        if self.schema > 2:
            raise ValueError("later: upgrade Groundswell")


def before(table: dict[str, Any]) -> dict[str, Any]:
    return {"body": table["text"], "stars": int(table.get("stars", 0)) // 2}


READ = Reader(Second, 2, before)


@pytest.mark.parametrize(
    "raw",
    [b'{"body":"a","stars":3,"schema":2}', b'{"text":"a","stars":"6"}', b'{"text":"a","stars":7,"schema":1}'],
)
def test_own_and_the_one_before_read_alike(raw: bytes) -> None:
    assert READ(raw) == Second("a", 3, 2)


def test_what_fits_both_forms_is_turned_as_well() -> None:
    read = Reader(Second, 2, lambda table: {**table, "stars": table["stars"] // 2})
    assert read(b'{"body":"a","stars":6}') == Second("a", 3, 2)
    assert read(b'{"body":"a","stars":6,"schema":2}') == Second("a", 6, 2)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b'{"body":"a","schema":3}', "upgrade Groundswell"),
        (b'{"body":1,"schema":2}', "Expected `str`"),
        (b'{"text":1}', "Expected `str`"),
        (b"[]", "Expected `object`"),
    ],
)
def test_all_else_is_refused(raw: bytes, words: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=words):
        READ(raw)


def test_two_back_is_too_far() -> None:
    with pytest.raises(msgspec.ValidationError, match="go through the versions between"):
        Reader(Second, 3)(b'{"body":"a"}')
    assert Reader(Second, 3)(b'{"body":"a","schema":2}') == Second("a", 0, 2)


def test_broken_json_is_told_as_such() -> None:
    with pytest.raises(msgspec.DecodeError):
        READ(b'{"body":')
