"""Lines that fit whatever strangers wrote, and lengths of time in words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cli.output import cells_of, plain
from pipeline.cli.wrapping import duration, wrapped

texts = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(" \n漢é\u202e"), max_size=200)


@given(texts, st.integers(12, 80))
def test_lines_fit_and_lose_nothing_but_spaces(text: str, width: int) -> None:
    lines = list(wrapped(text, width, "  ", "    "))
    assert all(cells_of(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(plain(text).split())


def test_words_stay_whole_where_they_can() -> None:
    assert list(wrapped("one two three", 10, "", "  ")) == ["one two", "  three"]
    assert list(wrapped("x" * 25, 12, "  ")) == ["  " + "x" * 10, "  " + "x" * 10, "  " + "x" * 5]
    assert list(wrapped(" \n ", 10)) == []


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.4211, "0.421 s"),
        (59.9, "59.9 s"),
        (60, "1 min"),
        (200, "3 min 20 s"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (86400 * 48 + 3 * 3600 + 59, "48 d 3 h"),
    ],
)
def test_a_length_of_time_by_its_two_largest_units(seconds: float, words: str) -> None:
    assert duration(seconds) == words
