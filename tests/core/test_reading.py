"""The shared reading of a batch, and what steps learn of its tokens."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core import reading
from pipeline.core.post import Author, Post
from pipeline.core.reading import (
    EDGE,
    START,
    UNREAD,
    Acquaintance,
    Columns,
    Reading,
    Signs,
    Vocabulary,
    reading_of,
)

TEXTS = st.lists(st.text(st.sampled_from("ab \n\u3000\x1f\r\v"), max_size=12), max_size=6)


class Counting(Acquaintance[str]):
    """Counts how often it judges each token, which is its own sign."""

    MARKS = ("", START, UNREAD)

    def signs(self, tokens: list[str]) -> list[str]:
        for token in tokens:
            self.known[token] = self.known.get(token, 0) + 1
        return tokens

    def forget(self) -> None:
        super().forget()
        self.known: dict[str, int] = {}


class Lengths(Signs):
    """Says how long each token is."""

    MARKS = ("", START, "x")

    def signs(self, tokens: list[str]) -> list[str]:
        return [str(len(token)) for token in tokens]


def posts(*texts: str) -> list[Post]:
    return [Post(id=f"x:{i}", text=text, author=Author(id="x:a")) for i, text in enumerate(texts)]


def tokens_of(read: Reading) -> list[str]:
    return list(read.pick(read.log))


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


def test_tokens_too_long_to_remember_leave_the_numbers_of_others_alone() -> None:
    vocabulary, step = Vocabulary(), Counting()
    long = "b" * (reading.LONGEST + 1)
    for n in range(5):
        texts = [f"a{n} {long} {long} c", f"{long}{n} d{n} a{n}"]
        expected = ["", "", START, f"a{n}", UNREAD, UNREAD, "c", "", "", START, UNREAD, f"d{n}", f"a{n}"]
        assert list(step.of_each(Reading(texts, vocabulary))) == [*expected, "", "", START]
    assert max(map(len, step.known)) == reading.LONGEST


def test_a_chain_s_tokens_are_learnt_once_by_each_step_whenever_it_comes() -> None:
    vocabulary, early, late = Vocabulary(), Counting(), Counting()
    for text in ("a b", "b c", "a c"):
        read = Columns({"post": posts(text)}, vocabulary).reading
        early.of_each(read)
    late.of_each(read)
    late.of_each(read)
    assert early.known == late.known == {"a": 1, "b": 1, "c": 1}


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "REMEMBERED", 10)
    vocabulary, step, stray = Vocabulary(), Counting(), Counting()
    for n in range(100):
        step.of_each(Reading([f"word{n}"], vocabulary))
        stray.of_each(Reading([f"word{n}"]))
        assert f"word{n}" in step.known
        assert f"word{n}" in stray.known
        assert len(step.known) <= 10
        assert len(stray.known) <= 10
        assert len(vocabulary.log) <= 11


@given(st.lists(TEXTS, max_size=6))
def test_the_signs_of_texts_are_those_of_their_tokens_whatever_was_met_before(
    batches: list[list[str]],
) -> None:
    vocabulary, step = Vocabulary(), Lengths()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "REMEMBERED", 5)
        for texts in batches:
            expected = START.join(["", *["".join([str(len(t)) for t in text.split()]) for text in texts], ""])
            assert step.joined(Reading(texts, vocabulary)) == expected
            assert step.joined(Reading(texts)) == expected


def test_steps_of_a_batch_share_its_reading_until_the_posts_change() -> None:
    columns = Columns({"post": posts("a")})
    assert reading_of(columns) is reading_of(columns)
    columns["post"] = posts("b")
    assert "b" in tokens_of(reading_of(columns))
    assert "c" in tokens_of(reading_of({"post": posts("c")}))
