"""The step `sentiment`: the faults of spelling that it mends, its settings, and its shape as a step."""

from __future__ import annotations

import html
import re
import string
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from enrichers import sentiment
from enrichers._typed import _EMOJI, _SOMEONE, _SOMEWHERE, Typist
from enrichers._vader import Score, Vader
from pipeline.core.event import Language, Sentiment
from pipeline.core.post import Author, Post

step = sentiment.build(sentiment.SETTINGS())
raw = sentiment.build(sentiment.SETTINGS(normalise=False))
vader = Vader()
typist = Typist(vader.emojis)
EN = Language("en", 1.0)


def compound(text: str) -> float:
    return step.judge(text).compound


@pytest.mark.parametrize(
    ("sent", "typed"),
    [
        ("I don’t like it", "I don't like it"),
        ("I don‘t, don´t, donʼt, don′t, don＇t like it", "I don't, don't, don't, don't, don't like it"),
        ("I don`t like it", "I don't like it"),
        ("I don&#39;t like it, I don&#x27;t, I don&rsquo;t", "I don't like it, I don't, I don't"),
        ("“great” and «great»", '"great" and "great"'),
        ("great…", "great..."),
        ("great—thanks", "great - thanks"),
        ("great –", "great -"),
        ("&lt;3 &amp; &gt;:(", "<3 & >:("),
        ("goo\u200bd, good\u200f, \ufeffgood, go\u00adod, \u202agood\u202c", "good, good, good, good, good"),
        ("good\x00, bad\x08bad, bad\x9f", "good , bad bad, bad "),
        ("𝗴𝗼𝗼𝗱 ｇｏｏｄ ｇｒｅａｔ！", "good good great!"),
        ("really‼ what⁉", "really!! what!?"),
        ("@united thanks @Love: ok", f"{_SOMEONE} thanks {_SOMEONE}: ok"),
        ("see https://t.co/a?b http://x.y/?z", f"see {_SOMEWHERE} {_SOMEWHERE}"),
        ("❤️", " red heart "),
        ("👋🏽", " waving hand "),
        ("😂lol😂", " face with tears of joy lol face with tears of joy "),
        ("❤️‍🔥", " red heart "),  # no words of its own: those of its first part
        ("🤷🏽‍♀️", " woman shrugging "),
        ("👩‍❤️‍👨", " couple with heart: woman, man "),
        ("🇩🇪", "🇩🇪"),
    ],
)
def test_what_is_sent_becomes_what_one_would_have_typed(sent: str, typed: str) -> None:
    assert typist.typed(sent) == typed


@pytest.mark.parametrize(
    "text", ["a&b;c & d &nosuch; &notable; &;", "a@", "x` `y", "π ≠ é ñ", "不好 ありがとう"]
)
def test_what_is_no_fault_stays(text: str) -> None:
    assert typist.typed(text) == text


@pytest.mark.parametrize(
    ("text", "label", "before"),
    [
        ("I don’t like it", "negative", "positive"),
        ("love it ❤️", "positive", "positive"),
        ("❤️‍🔥", "positive", "negative"),
        ("@united when does it open", "neutral", "positive"),
        ("&lt;3", "positive", "neutral"),
        ("“Great”", "positive", "neutral"),
        ("📦thanks", "positive", "neutral"),
        ("the\u200b worst\u200b", "negative", "neutral"),
        ("is it open?? https://a.b/?x", "neutral", "neutral"),
    ],
)
def test_the_faults_change_the_label_no_longer(text: str, label: str, before: str) -> None:
    assert step.judge(text).label == label
    if before != label:  # without normalising the fault is there, or the row tests nothing
        assert raw.judge(text).label == before


@pytest.mark.parametrize("mark", ["\ufe0f", "\ufe0e", "🏻", "🏿"])
def test_glyph_marks_change_no_score(mark: str) -> None:
    for emoji in "❤👍😡☹😂":
        assert step.judge(f"ok {emoji}{mark}fine") == step.judge(f"ok {emoji} fine")


def test_the_placeholders_carry_nothing() -> None:
    for word in (_SOMEONE, _SOMEWHERE):
        assert step.judge(word).compound == 0
        assert step.judge(f"{word}:").compound == 0
        assert step.judge(f"not {word} good") == step.judge("not xyzzy good")


def test_every_emoji_of_the_lexicon_is_found() -> None:
    pattern = re.compile(_EMOJI)
    assert [emoji for emoji in vader.emojis if len(emoji) == 1 and not pattern.match(emoji)] == []
    assert [emoji for emoji in vader.emojis if "\u200d" in emoji and typist.typed(emoji) == emoji] == []


plain = st.text(alphabet=sorted(set(string.printable) - set("&@`\x0b\x0c:")), max_size=60)


@settings(max_examples=200, deadline=None)
@given(plain)
def test_plain_text_is_left_alone(text: str) -> None:
    assert typist.typed(text) == text


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_judged_within_bounds(text: str) -> None:
    judged = step.judge(text)
    assert msgspec.json.decode(msgspec.json.encode(judged), type=Sentiment) == judged
    assert abs(judged.positive + judged.neutral + judged.negative - 1) <= 0.002


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.sampled_from("ab <>&\"'!?:)3"), max_size=40))
def test_escaping_changes_no_score(text: str) -> None:
    assert step.judge(html.escape(text)) == step.judge(text)


def test_without_normalising_the_scores_are_those_of_the_package() -> None:
    text = "I don’t like it 😂lol, @united ❤️ &lt;3 but “great”"
    scores = SentimentIntensityAnalyzer().polarity_scores(text)
    judged = raw.judge(text)
    assert (judged.compound, judged.positive, judged.neutral, judged.negative) == (
        scores["compound"],
        scores["pos"],
        scores["neu"],
        scores["neg"],
    )


@pytest.mark.parametrize("text", ["", " \n\t", "\u200b\ufeff", "\x00\x01"])
def test_nothing_said_is_neutral(text: str) -> None:
    assert step.judge(text) == sentiment.SILENT


@pytest.mark.parametrize(
    "text", ["\ud800", "\u202egood", "\x00" * 1000, "a" * 1_000_000, "❤️‍" * 10_000, "&#xD800;"]
)
def test_odd_texts_are_judged(text: str) -> None:
    assert step.judge(text).label in ("positive", "neutral", "negative")


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (0.0501, "positive"),
        (0.05, "positive"),
        (0.0499, "neutral"),
        (0.0, "neutral"),
        (-0.0499, "neutral"),
        (-0.05, "negative"),
        (-0.0501, "negative"),
    ],
)
def test_the_thresholds_belong_to_the_labels(
    monkeypatch: pytest.MonkeyPatch, value: float, label: str
) -> None:
    monkeypatch.setattr(Vader, "score", lambda _self, _text: Score(value, 0.1, 0.8, 0.1))
    assert step.judge("x").label == label


def posts(*texts: str) -> list[Post]:
    return [Post(id=f"x:{n}", text=text, author=Author(id="x:a")) for n, text in enumerate(texts)]


def test_other_languages_get_no_score() -> None:
    columns: dict[str, list[Any]] = {
        "post": posts("die Lieferung", "I love it", "love", "no", "die"),
        "language": [Language("de", 0.9), EN, Language("und", 0.0), Language("es", 1.0), None],
    }
    labels = [judged and judged.label for judged in step.enrich(columns)]
    assert labels == [None, "positive", "positive", None, "negative"]
    everything = sentiment.build(sentiment.SETTINGS(languages=()))
    assert [judged.label for judged in everything.enrich(columns) if judged] == [
        "negative",
        "positive",
        "positive",
        "negative",
        "negative",
    ]


def test_the_version_names_package_revision_and_settings() -> None:
    assert step.version == f"vaderSentiment-3.3.2+{sentiment.REVISION}"
    versions = {
        sentiment.build(options).version
        for options in (
            sentiment.SETTINGS(),
            sentiment.SETTINGS(normalise=False),
            sentiment.SETTINGS(languages=()),
            sentiment.SETTINGS(languages=("en",)),
        )
    }
    assert len(versions) == 4
