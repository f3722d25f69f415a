"""What a step finds in a whole batch is what it finds in each text by itself, whatever strangers write."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from enrichers import _complaint_sums, _vader_sums, complaint, entities, language, route, sentiment
from enrichers._complaint_scan import Scanner, table_of
from enrichers._signs_batch import TextSigns
from enrichers._vader import NO_VALENCE, NO_WORDS, Vader
from enrichers._vader_batch import BatchVader
from pipeline.core import reading
from pipeline.core.event import Sentiment
from pipeline.core.post import Author, Post
from pipeline.core.reading import Columns, Reading, Vocabulary
from tests.enrichers.test_language import detected

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 11, 22, tzinfo=UTC)
PLAIN = """not good GOOD NOT bad never so this great kind of no least very without doubt the bomb but BUT
isn't D: :) &lt;3 don&#39;t don’t &nbsp; &#10; @united @Larkwell @LarkwellHelp larkwell-fibre
#LarkwellDown #down larkwell Larkwells https://t.co/a?b! www.larkwell.example refund refunds
cancelled lost bag waiting for 3 three days hours internet is down how long why worst service
thanks ! !! ? ?? … — “great” 😡 😂 ❤️ ‼ ｇｏｏｄ 𝗴𝗼𝗼𝗱 ΣΑΣ İstanbul ß ﬁne 東京 ラークウェル
라크웰은 cannot pay payment plan card machine claim here tag friends oxygen care alarm cancel
leaving kündig kündigung"""
TELLING = """good GOOD bad great no NO not never so this least at very VERY kind kinda of without doubt the
shit bomb bad ass kiss death but BUT isn't ISN'T hardly extremely cut mustard hand to mouth or nor plain PLAIN
D: !"""
NASTY = (
    "❤\u200d🔥|🤷\u200d♀|go\u0301od|go\u200bod|\u200d|\u0301|\u00a0|\u205f|\u3000|\x85|\x1c|\x01|\x7f|\ud800"
)
WORDS = (*PLAIN.split(), *NASTY.split("|"), "x" * 70, "good" * 20)
TOKENS = st.sampled_from(WORDS) | st.text(max_size=4)
TEXT = st.lists(
    st.tuples(TOKENS, st.sampled_from([" ", " ", " ", "", "  ", "\n", "\t", "\u00a0", "-", ".", "\u200d"])),
    max_size=14,
).map(lambda parts: "".join(word + between for word, between in parts))
BATCH = st.lists(TEXT, max_size=6)

CUES = st.sampled_from(
    [" ".join(cue.words).replace("#", "3") for cue in Scanner(table_of("en")).cues] + ["not", "?", "!", "@a"]
)
SHAPES: list[dict[str, Any]] = [{}, {"kind": "article"}] + [
    {"kind": "review", "metrics": {"rating": stars}} for stars in range(7)
]
FEELING = st.sampled_from([0.0, 0.0, -0.5, 0.5]) | st.integers(-10_000, 10_000).map(lambda n: n / 10_000)

feelings = sentiment.build(sentiment.SETTINGS())
grievances = complaint.build(complaint.SETTINGS())
names = entities.build(entities.SETTINGS(ROOT / "configs/brands.toml"))
queues = route.build(route.SETTINGS(ROOT / "configs/routing.toml"))
tongue = language.build(language.SETTINGS())
vader = Vader()
assert queues.router
text_signs = TextSigns(queues.router.watch)
typed_already = BatchVader(vader, lambda text: text)
vocabulary = Vocabulary()


@pytest.fixture(autouse=True, scope="module", params=[1, 1000], ids=["all at once", "one by one"])
def rows_however_few(request: pytest.FixtureRequest) -> Iterator[None]:
    """A batch of one is no other than one of a thousand, and sums are the same whichever way."""
    with pytest.MonkeyPatch.context() as patch:
        for sums in (_complaint_sums, _vader_sums):
            patch.setattr(sums, "MANY", request.param)
        for step in (sentiment, complaint):
            patch.setattr(step, "FEW", 1)
        yield


def posts(texts: list[str]) -> list[Post]:
    return [Post(id=f"x:{i}", text=text, author=Author(id="x:a")) for i, text in enumerate(texts)]


@settings(deadline=None)
@given(BATCH)
def test_vader(texts: list[str]) -> None:
    found = typed_already.scores(Reading(texts, vocabulary), texts)
    assert [score or vader.score(text) for text, score in zip(texts, found, strict=True)] == [
        vader.score(text) for text in texts
    ]


@settings(deadline=None, max_examples=400)
@given(st.lists(st.lists(st.sampled_from(TELLING.split()), max_size=7).map(" ".join), max_size=8))
def test_vader_where_words_change_each_other(texts: list[str]) -> None:
    found = typed_already.scores(Reading(texts, vocabulary), texts)
    assert [score or vader.score(text) for text, score in zip(texts, found, strict=True)] == [
        vader.score(text) for text in texts
    ]


def test_vader_leaves_few_texts_over() -> None:
    theirs = SentimentIntensityAnalyzer().polarity_scores
    texts = ["Not good at all!!", "plain words", "", "GREAT service, but the WORST food?!", "the bomb"]
    found = typed_already.scores(Reading(texts), texts)
    assert [score and tuple(score) for score in found] == [
        tuple(theirs(text)[name] for name in ("compound", "pos", "neu", "neg")) for text in texts
    ]
    assert found[1:3] == [NO_VALENCE, NO_WORDS]


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.lists(CUES, max_size=7), st.sampled_from(SHAPES), FEELING), max_size=6))
def test_complaint_where_cues_add_up(told: list[tuple[list[str], dict[str, Any], float]]) -> None:
    batch = [
        Post(id=f"x:{i}", text=" ".join(cues), author=Author(id="x:a"), **shape)
        for i, (cues, shape, _) in enumerate(told)
    ]
    sentiments = [Sentiment(compound, "neutral", 0.0, 1.0, 0.0) for *_, compound in told]
    columns = Columns({"post": batch, "language": [None] * len(batch), "sentiment": sentiments}, vocabulary)
    rows = zip(batch, columns["language"], sentiments, strict=True)
    assert grievances.enrich(columns) == [grievances.judge(*row) for row in rows]


@settings(deadline=None)
@given(BATCH)
def test_chain(texts: list[str]) -> None:
    columns = Columns({"post": posts(texts), "observed": [NOW] * len(texts)}, vocabulary)
    columns["language"] = tongue.enrich(columns)
    assert columns["language"] == [detected(text) for text in texts]
    columns["sentiment"] = feelings.enrich(columns)
    assert columns["sentiment"] == [
        feelings.judge(text) if found.code in ("en", "und") else None
        for text, found in zip(texts, columns["language"], strict=True)
    ]
    columns["complaint"] = grievances.enrich(columns)
    rows = list(zip(columns["post"], columns["language"], columns["sentiment"], strict=True))
    assert columns["complaint"] == [grievances.judge(*row) for row in rows]
    columns["entities"] = names.enrich(columns)
    assert columns["entities"] == [names.judge(post) for post in columns["post"]]
    columns |= {name: [()] * len(texts) for name in ("contacts", "customer")}
    router = queues.router
    assert router
    singly: list[dict[str, Any]] = [
        {name: columns[name][i] for name in router.columns} for i in range(len(texts))
    ]
    signs = text_signs.all_of(columns.reading)
    assert router.route_all(columns, signs) == [router.route(one) for one in singly]


def test_what_was_forgotten_is_learnt_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "REMEMBERED", 3)
    small = Vocabulary()
    for n in range(20):
        texts = [f"not good {n}", "the service is down again", "@larkwell where is my refund?"]
        columns = Columns({"post": posts(texts)}, small)
        columns["language"] = [None] * 3
        columns["sentiment"] = feelings.enrich(columns)
        assert columns["sentiment"] == [feelings.judge(text) for text in texts]
        rows = zip(columns["post"], columns["language"], columns["sentiment"], strict=True)
        assert grievances.enrich(columns) == [grievances.judge(*row) for row in rows]
        assert names.enrich(columns) == [names.judge(post) for post in columns["post"]]


@pytest.mark.parametrize("text", ["not good, is down? ", "GOOD but ", "x", "larkwell 😂 ", "@a "])
def test_time_is_linear_in_the_length_of_a_text(text: str) -> None:
    def seconds(times: int) -> float:
        columns = Columns({"post": posts([text * times]), "language": [None]})
        started = time.process_time()
        columns["sentiment"] = feelings.enrich(columns)
        grievances.enrich(columns)
        names.enrich(columns)
        return time.process_time() - started

    unit = 20_000 // len(text)
    seconds(unit)
    assert min(seconds(8 * unit) for _ in range(3)) < 24 * min(seconds(unit) for _ in range(5)) + 0.01
