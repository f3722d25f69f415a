"""Our VADER is vaderSentiment's, to the last digit, and takes time in proportion to the text."""

from __future__ import annotations

import gzip
import json
import random
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vaderSentiment.vaderSentiment import (
    BOOSTER_DICT,
    NEGATE,
    SENTIMENT_LADEN_IDIOMS,
    SPECIAL_CASES,
    SentimentIntensityAnalyzer,
)

from enrichers._vader import Score, Vader

# One text in seven of the 130,911, as vaderSentiment takes its time; all were equal when this was written.
STRIDE = 7

theirs = SentimentIntensityAnalyzer()
ours = Vader()


def expected(text: str) -> Score:
    scores = theirs.polarity_scores(text)
    return Score(scores["compound"], scores["pos"], scores["neu"], scores["neg"])


def shared_texts(shared: Path) -> list[str]:
    texts: set[str] = set()
    for path in [
        shared / "data/replay/posts.jsonl.gz",
        *sorted((shared / "data/labelled").glob("*.jsonl.gz")),
    ]:
        with gzip.open(path) as lines:
            texts.update(text for line in lines if isinstance(text := json.loads(line).get("text"), str))
    return sorted(texts)


def test_equal_on_real_texts(shared: Path) -> None:
    texts = shared_texts(shared)
    assert len(texts) > 100_000
    different = [text for text in texts[::STRIDE] if ours.score(text) != expected(text)]
    assert different[:5] == []


EMOJI = [emoji for emoji in theirs.emojis if len(emoji) == 1]
# The words that the rules treat in a way of their own; phrases also cut into words, so that they come broken.
RULED = (
    ["but", "BUT", "no", "No", "never", "so", "this", "without", "doubt", "least", "at", "very", "or", "nor"]
    + ["kind", "of", "sort", "just", "enough", "n't", "DIDN'T", "isn't", "xn'ty", "the", "TO", "I", "i'm"]
    + list(BOOSTER_DICT)
    + NEGATE
    + [word for phrase in SPECIAL_CASES for word in phrase.split()] * 2
    + list(SPECIAL_CASES)
    + list(SENTIMENT_LADEN_IDIOMS)
)
NOISE = [
    ":)",
    ":-D",
    "!",
    "!!!",
    "?",
    "??",
    "?????",
    "...",
    "-",
    "'",
    '"',
    "(",
    "’",
    "”",
    "@:",
    "&lt;3",
    "#fail",
    "\u200b",
]
NOISE += [
    "word",
    "Table",
    "USA",
    "ΑΣ",
    "İa",
    "ß",
    "ŉ",
    "Kelvin",
    "不好",
    "👍🏽",
    "❤️",
    "👩‍👩‍👧",
    "\u00a0",
    "\x85",
    "\x00",
    "\u2028",
    "🇩🇪",
    "→",
    "㈱",
    "🅂",
]
LEXICON = sorted(theirs.lexicon)
# Few valences, so that equal ones meet: vaderSentiment adjusts the first of equal ones around a "but".
FEW = ["good", "good", "bad", "great", "love", "hate", "fine", "worst", "kind", "no", "shit", "die", "heart"]
# Half of each is the valence of another: 3, 2, 1.5, 1 and their opposites.
FEW += ["xoxo", "thx", "fav", "advanced", "betrayed", "adverse", "abandoned", "alone", "but", "but"]
SPACES = [" "] * 12 + ["", "  ", "\n", "\t", "\u3000"]

word = st.one_of(
    st.sampled_from(LEXICON),
    st.sampled_from(FEW),
    st.sampled_from(RULED),
    st.sampled_from(NOISE),
    st.sampled_from(EMOJI),
    st.text(max_size=4),
)


def shaped(text: str, shape: int) -> str:
    return (text, text, text, text.upper(), text.title(), text + "!", f"({text}),")[shape]


@st.composite
def composed(draw: st.DrawFn) -> str:
    parts = draw(st.lists(st.tuples(word, st.integers(0, 6), st.sampled_from(SPACES)), max_size=25))
    return "".join(shaped(text, shape) + space for text, shape, space in parts)


@settings(max_examples=400, deadline=None)
@given(composed())
def test_equal_on_composed_texts(text: str) -> None:
    assert ours.score(text) == expected(text)


def test_equal_on_very_many_composed_texts() -> None:
    """As above in another mixture, without hypothesis' care for small examples but thirty times as many."""
    dice = random.Random(20261122)
    pools = [LEXICON, FEW, FEW, RULED, RULED, NOISE, EMOJI]
    for _ in range(12_000):
        text = "".join(
            shaped(dice.choice(dice.choice(pools)), dice.randrange(7)) + dice.choice(SPACES)
            for _ in range(dice.randrange(18))
        )
        assert ours.score(text) == expected(text), repr(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "!!! ???",
        "good but good but good bad good",
        "xoxo but thx thx fav advanced fav",
        "so good but so good and not bad, but bad bad bad",
        "it is never so good",
        "never so this good",
        "without a doubt good",
        "no doubt good",
        "no good no",
        "at least good, very least good, the least good",
        "least good",
        "yeah right good bad ass the bomb",
        "it was the kiss of death for him",
        "GOOD good",
        "GOOD BAD",
        "VERY good and KIND OF bad and kind of GOOD",
        "😂lol 😂 good❤",
    ],
)
def test_equal_on_chosen_texts(text: str) -> None:
    assert ours.score(text) == expected(text)


def seconds(text: str, runs: int) -> float:
    """The best of some runs, in CPU time: other work on the machine should not count."""
    times = []
    for _ in range(runs):
        began = time.process_time()
        ours.score(text)
        times.append(time.process_time() - began)
    return min(times)


@pytest.mark.parametrize(
    ("phrase", "size"),
    [
        ("not very good, VERY Bad but the bomb! kind of no ", 1_000_000),
        ("good but bad ", 100_000),
        ("ok ", 100_000),
        ("x", 100_000),
        ("😡", 100_000),
        ("\u200d❤️", 100_000),
    ],
)
def test_time_is_in_proportion_to_the_text(phrase: str, size: int) -> None:
    """Each text is ten times the one before: 10 would be linear, 100 quadratic, as vaderSentiment is."""
    texts = [(phrase * (size // len(phrase) + 1))[: size // part] for part in (1000, 100, 10, 1)]
    took = [seconds(text, runs) for text, runs in zip(texts, (5, 5, 3, 2), strict=True)]
    # A millisecond of grace: so short a time may hold a collection of garbage.
    assert took[2] < 30 * took[1] + 0.001
    assert took[3] < 30 * took[2] + 0.001
    assert took[3] < 5
