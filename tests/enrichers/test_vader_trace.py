"""The explanation of a score adds up to that score, on real texts and on made ones, and names its causes."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrichers import sentiment
from enrichers._vader import Vader
from enrichers._vader_trace import Change, Hit, trace
from pipeline.core.event import Language
from pipeline.core.post import Author, Post

DEMO = Path(__file__).parents[2] / "configs" / "demo" / "posts.jsonl"
vader = Vader()
step = sentiment.build(sentiment.SETTINGS())


def demo_texts() -> list[str]:
    return [text for line in DEMO.read_text().splitlines() if (text := json.loads(line).get("text"))]


def shared_texts(shared: Path) -> list[str]:
    texts: list[str] = []
    for path in sorted((shared / "data/labelled").glob("*.jsonl.gz")):
        with gzip.open(path) as lines:
            texts += [text for line in lines if isinstance(text := json.loads(line).get("text"), str)]
    return texts[::17]


def disagreeing(texts: list[str]) -> list[str]:
    found = []
    for text in texts:
        told = trace(vader, text)
        if told.score != vader.score(text) or told.compound != told.score.compound:
            found.append(text)
    return found


def test_the_words_of_the_demo_add_up() -> None:
    texts = demo_texts()
    assert len(texts) > 300
    assert sum(bool(trace(vader, text).hits) for text in texts) > 200
    assert disagreeing(texts) == []


def test_the_words_of_real_texts_add_up(shared: Path) -> None:
    texts = shared_texts(shared)
    assert len(texts) > 2000
    assert disagreeing(texts)[:5] == []


WORDS = [
    *(
        "good",
        "GOOD",
        "bad",
        "love",
        "hate",
        "no",
        "not",
        "never",
        "so",
        "this",
        "but",
        "least",
        "without",
        "doubt",
    ),
    *(
        "very",
        "VERY",
        "kind",
        "of",
        "sort",
        "hardly",
        "isn't",
        "great",
        "the",
        "shit",
        "bad",
        "ass",
        "!",
        "!!!",
    ),
    *("??", ":)", "😂", "or", "nor", "enough", "just", "to", "die", "for", "yeah", "right"),
]


@given(st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join))
def test_the_words_of_any_text_add_up(text: str) -> None:
    assert disagreeing([text]) == []


@given(st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join))
def test_each_step_starts_where_the_one_before_ended(text: str) -> None:
    for hit in trace(vader, text).hits:
        at = hit.lexicon
        for change in hit.changes:
            # "no" as a word before takes the lexicon's valence anew.
            assert change.before in (at, 0.0)
            at = change.after
        assert at == hit.valence


def causes(text: str) -> list[tuple[str, list[tuple[str, str]]]]:
    return [(hit.word, [(c.cause, c.by) for c in hit.changes]) for hit in trace(vader, text).hits]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a good day", [("good", [])]),
        ("not a good day", [("good", [("negation", "not")])]),
        ("a very good day", [("good", [("booster", "very")])]),
        ("a hardly good day", [("good", [("dampener", "hardly")])]),
        ("a GOOD day", [("GOOD", [("capitals", "good")])]),
        ("never so good", [("good", [("booster", "so"), ("never so", "never so")])]),
        ("good but bad", [("good", [("but", "before but")]), ("bad", [("but", "after but")])]),
        ("it was the shit", [("shit", [("phrase", "the shit")])]),
        ("no good", [("no", [("joined", "good")]), ("good", [("negation", "no")])]),
        ("it was sort of good", [("good", [("dampener", "sort of")])]),
        ("the least good day", [("good", [("negation", "least")])]),
        ("nothing to see", []),
    ],
)
def test_causes_are_named(text: str, told: list[tuple[str, list[tuple[str, str]]]]) -> None:
    assert causes(text) == told


def test_marks_push_the_way_the_words_go() -> None:
    assert trace(vader, "bad!!").emphasis == -0.584
    assert trace(vader, "good!!").emphasis == 0.584
    assert trace(vader, "good").emphasis == 0


def test_a_hit_holds_numbers_of_the_lexicon() -> None:
    (hit,) = trace(vader, "not good").hits
    assert hit == Hit("good", 1.9, 1.9 * -0.74, (Change("negation", "not", 1.9, 1.9 * -0.74),))


def test_the_step_explains_what_it_scores_and_nothing_else() -> None:
    post = Post(id="x:1", text="I don’t like it 😂", author=Author(id="x:a"))
    told = step.explain(post, Language("en", 1.0))
    assert told is not None
    assert told.compound == step.judge(post.text).compound
    assert [hit.word for hit in told.hits] == ["like", "tears", "joy"]
    assert [step.emoji_of(post.text, hit.word) for hit in told.hits] == ["", "😂", "😂"]
    assert step.explain(post, Language("de", 1.0)) is None
