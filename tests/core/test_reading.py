"""The shared reading of a batch, and what steps learn of its tokens."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pipeline.core import reading
from pipeline.core.post import Author, Post
from pipeline.core.reading import (
    EDGE,
    START,
    UNREAD,
    Columns,
    Reading,
    reading_of,
)

TEXTS = st.lists(st.text(st.sampled_from("ab \n\u3000\x1f\r\v"), max_size=12), max_size=6)


def posts(*texts: str) -> list[Post]:
    return [Post(id=f"x:{i}", text=text, author=Author(id="x:a")) for i, text in enumerate(texts)]


def tokens_of(read: Reading) -> list[str]:
    return [read.log[number] for number in read.numbers]


@given(TEXTS)
def test_the_tokens_of_each_text_stand_between_marks(texts: list[str]) -> None:
    tokens = tokens_of(Reading(texts))
    starts = [i for i, token in enumerate(tokens) if token == START]
    found = [tokens[start + 1 : end - 2] for start, end in pairwise(starts)]
    assert found == [text.split() for text in texts]
    assert all(tokens[start - 2 : start] == [EDGE, EDGE] for start in starts)


def test_a_token_too_long_to_remember_is_marked() -> None:
    read = Reading(["a " + "b" * (reading.LONGEST + 1), "b" * reading.LONGEST])
    assert (read[3], read[4]) == ("a", UNREAD)
    assert read[-4] == "b" * reading.LONGEST
    assert max(map(len, read.log)) == reading.LONGEST


def test_steps_of_a_batch_share_its_reading_until_the_posts_change() -> None:
    columns = Columns({"post": posts("a")})
    assert reading_of(columns) is reading_of(columns)
    columns["post"] = posts("b")
    assert "b" in tokens_of(reading_of(columns))
    assert "c" in tokens_of(reading_of({"post": posts("c")}))
