"""What steps learn of the tokens of a batch, by their numbers."""

from __future__ import annotations

from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrichers._codes import Coded, owners_of, starts_of
from pipeline.core import reading
from pipeline.core.reading import Reading, Vocabulary

TEXTS = st.lists(st.text(st.sampled_from("ab \n\u3000\x1f\r\v"), max_size=12), max_size=6)
EDGE, START, UNREAD = 0, 1, 2
BETWEEN = [EDGE, EDGE, START]


class Counting(Coded):
    """Counts how often it judges each token. The code of one is its length, and ten more."""

    def judged(self, tokens: list[str]) -> list[int]:
        for token in tokens:
            self.times[token] = self.times.get(token, 0) + 1
        return [len(token) + 10 for token in tokens]

    def forget(self) -> None:
        super().forget()
        self.times: dict[str, int] = {}


def coded(texts: list[str]) -> list[int]:
    """What `Counting` is to find."""
    each = [[*BETWEEN, *[len(token) + 10 for token in text.split()]] for text in texts]
    return [*chain.from_iterable(each), *BETWEEN]


@given(st.lists(TEXTS, max_size=6))
def test_the_codes_of_texts_are_those_of_their_tokens_whatever_was_met_before(
    batches: list[list[str]],
) -> None:
    vocabulary, step = Vocabulary(), Counting()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "REMEMBERED", 5)
        for texts in batches:
            assert step.codes(Reading(texts, vocabulary)).tolist() == coded(texts)
            assert step.codes(Reading(texts)).tolist() == coded(texts)


@given(TEXTS)
def test_each_token_is_of_the_text_that_it_stands_in(texts: list[str]) -> None:
    codes = Counting().codes(Reading(texts))
    owners = owners_of((codes >= 10).nonzero()[0], starts_of(codes)).tolist()
    assert owners == [number for number, text in enumerate(texts) for _ in text.split()]


def test_tokens_too_long_to_remember_leave_the_codes_of_others_alone() -> None:
    vocabulary, step = Vocabulary(), Counting()
    long = "b" * (reading.LONGEST + 1)
    for n in range(5):
        texts = [f"a{n} {long} {long} c", f"{long}{n} d{n}{n} a{n}"]
        expected = [*BETWEEN, 12, UNREAD, UNREAD, 11, *BETWEEN, UNREAD, 13, 12, *BETWEEN]
        assert step.codes(Reading(texts, vocabulary)).tolist() == expected
    assert max(map(len, step.times)) == reading.LONGEST


def test_a_chain_s_tokens_are_learnt_once_by_each_step_whenever_it_comes() -> None:
    vocabulary, early, late = Vocabulary(), Counting(), Counting()
    for text in ("a b", "b c", "a c"):
        read = Reading([text], vocabulary)
        early.codes(read)
    late.codes(read)
    late.codes(read)
    assert early.times == late.times == {"a": 1, "b": 1, "c": 1}


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "REMEMBERED", 10)
    vocabulary, step, stray = Vocabulary(), Counting(), Counting()
    for n in range(100):
        step.codes(Reading([f"word{n}"], vocabulary))
        stray.codes(Reading([f"word{n}"]))
        assert f"word{n}" in step.times
        assert f"word{n}" in stray.times
        assert len(step.times) <= 10
        assert len(stray.times) <= 10
        assert len(vocabulary.log) <= 11
