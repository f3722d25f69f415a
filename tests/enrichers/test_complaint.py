"""The step `complaint`: what its rules promise, its shape as a step, and that it explains itself."""

from __future__ import annotations

import gc
import math
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enrichers import complaint, sentiment
from enrichers._complaint_rules import CATEGORIES, FAMILIES, OTHER, digest
from enrichers._complaint_scan import LANGUAGES, Group, Scanner, Table, table_of
from enrichers.complaint import REVISION, SETTINGS, Explanation
from pipeline.core.event import Complaint, Language, Sentiment
from pipeline.core.post import Author, Post

step = complaint.build(SETTINGS())
scorer = sentiment.build(sentiment.SETTINGS())
EN = Language("en", 1.0)
DIGEST = "86909449"
"""Of the rules and words of this REVISION. Where it differs: raise REVISION, then put the new one here."""


def post(text: str, **fields: Any) -> Post:
    return Post(id="x:1", text=text, author=Author(id="x:a"), **fields)


def felt(compound: float) -> Sentiment:
    return Sentiment(compound, "neutral", 0.0, 1.0, 0.0)


def judged(text: str, language: str = "en", **fields: Any) -> Complaint:
    """As the chain would have it: with the sentiment of the text where it is English."""
    feeling = scorer.judge(text) if language == "en" else None
    found = step.judge(post(text, **fields), Language(language, 1.0), feeling)
    assert found is not None
    return found


def explained(text: str, compound: float = 0.0, language: str = "en") -> Explanation:
    found = step.explain(post(text), Language(language, 1.0), felt(compound))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "category"),
    [
        # The first three are those that VADER calls neutral and positive.
        ("not working, still waiting 3 days for refund", "outage"),
        ("great, another outage", "outage"),
        ("@acme refund please, you charged me twice", "billing"),
        ("@acme my internet has been down since 7, third time this week", "outage"),
        ("I ordered 2 weeks ago and it still hasn't arrived", "delivery"),
        ("@acme the box arrived damaged and half the parts are missing", "quality"),
        ("been on hold for 50 minutes and then they hung up on me", "service"),
        ("you locked me out of my account and nobody answers", "account"),
        ("worst experience ever, cancelling my contract", "cancellation"),
        ("another price rise? so expensive for what it is", "price"),
        ("thanks for nothing @acme, driver was rude", "service"),
        ("@acme why can't I log in, tried three times", "account"),
        ("I don’t recommend them, the app does not work", "outage"),
        ("absolute shambles, I want to speak to the ombudsman", "other"),
    ],
)
def test_complaints_and_what_they_are_about(text: str, category: str) -> None:
    found = judged(text)
    assert found.is_complaint, explained(text)
    assert found.category == category


@pytest.mark.parametrize(
    "text",
    [
        "",
        "good morning everyone",
        "@acme perfect, thank you so much!",
        "@acme do you deliver to Spain?",
        "no problems at all with the new router, never had an outage",
        "not a complaint, just curious what the light means",
        "50% off everything this weekend, buy now https://shop.example",
        "I'm not working today lol",
        "all sorted now, thanks for the quick response",
        "my broken heart",
        "Great service, would recommend!",
    ],
)
def test_other_posts(text: str) -> None:
    found = judged(text)
    assert not found.is_complaint, explained(text)
    assert found.category == ""


@pytest.mark.parametrize(
    ("language", "text", "category"),
    [
        ("de", "Seit drei Tagen kein Internet und niemand geht ans Telefon", "outage"),
        ("de", "Ihr habt zweimal abgebucht, ich will mein Geld zurück", "billing"),
        ("de", "Stoerung seit gestern, die App funktioniert nicht", "outage"),
        ("es", "Llevo tres semanas esperando y nadie contesta, pésimo servicio", "service"),
        ("es", "sin internet otra vez, me doy de baja", "outage"),
        ("es", "me cobraron dos veces, exijo un reembolso", "billing"),
        ("fr", "Troisième panne cette semaine, plus d’internet depuis hier", "outage"),
        ("fr", "toujours pas reçu mon colis, depuis deux semaines", "delivery"),
        ("fr", "Vous m'avez facturé deux fois, remboursez", "billing"),
    ],
)
def test_the_other_languages_with_words(language: str, text: str, category: str) -> None:
    found = judged(text, language)
    assert (found.is_complaint, found.category) == (True, category), explained(text, language=language)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("de", "Vielen Dank, läuft wieder, toller Service"),
        ("de", "Hat jemand Erfahrung mit Glasfaser?"),
        ("es", "¿Alguien sabe si hay cobertura en el pueblo?"),
        ("es", "Muchas gracias, todo perfecto"),
        ("fr", "Merci beaucoup, service au top"),
        ("fr", "Quelqu'un sait combien ça coûte ?"),
    ],
)
def test_other_posts_in_other_languages(language: str, text: str) -> None:
    assert not judged(text, language).is_complaint


def test_our_own_posts_and_languages_without_words_get_no_judgement() -> None:
    text = "Our service is down again, we are sorry. Refund, outage, ombudsman!"
    ours, theirs = post(text, direction="outbound"), post(text)
    columns: dict[str, list[Any]] = {
        "post": [ours, theirs, theirs, theirs, theirs, theirs],
        "language": [EN, EN, Language("pl", 1.0), Language("und", 0.0), None, Language("zh", 1.0)],
        "sentiment": [felt(-0.9), felt(-0.9), None, None, None, None],
    }
    found = step.enrich(columns)
    assert [judgement is not None for judgement in found] == [False, True, False, True, True, False]
    assert step.explain(ours, EN, None) is None


def test_posts_with_alike_cues_are_judged_together_as_they_are_alone() -> None:
    """A cue twice, and two cues of the same family and category, are not worth the same."""
    alike: dict[tuple[str, str], list[str]] = {}
    for cue in Scanner(table_of("en")).cues:
        if cue.negation != "required":
            words = " ".join(cue.words).replace("#", "3")
            alike.setdefault((cue.family, cue.category), []).append(words)
    texts = [f"{one}. {other}." for first, *more in alike.values() for one in more for other in (one, first)]
    for turn in (texts, texts[::-1]):
        posts = [post(text) for text in turn]
        columns: dict[str, list[Any]] = {
            "post": posts,
            "language": [EN] * len(posts),
            "sentiment": [None] * len(posts),
        }
        together = complaint.build(SETTINGS()).enrich(columns)
        assert together == [step.judge(one, EN, None) for one in posts]


def test_urgency_says_how_soon() -> None:
    def urgency(text: str) -> float:
        return judged(text).urgency

    alarm = "my mum's falls alarm is on that line and it is down"
    assert urgency(alarm) > urgency("my line is down") > urgency("lovely weather") == 0
    assert urgency("no internet, our business is losing money, we had to close") > 0.4
    assert urgency("third time I ask, my solicitor will sue you") > 0.4
    # No complaint, and yet somebody should answer soon.
    asks = judged("I can't pay all of it this month, could I have a payment plan?")
    assert not asks.is_complaint
    assert asks.urgency >= 0.15


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Still WAITING for my Refund", "still waiting for my refund"),
        ("it isn’t working, I can’t log in", "it isn't working, I can't log in"),
        ("it isn&#39;t working &amp; broken", "it isn't working and broken"),
        ("𝗿𝗲𝗳𝘂𝗻𝗱 please", "refund please"),
        ("re\u200bfund please", "refund please"),
        ("my bro\xadken phone", "my broken phone"),
        ("outage😡", "outage 😡"),
        ("#outage", "outage"),
        ("no-show", "no show"),
        ("no\u00a0reply", "no reply"),
    ],
)
def test_spelling_does_not_matter(left: str, right: str) -> None:
    one, other = explained(left), explained(right)
    assert (one.probability, one.category) == (other.probability, other.category)
    assert [cue.cue for cue in one.cues] == [cue.cue for cue in other.cues] != []


def test_a_not_reaches_its_clause_and_no_further() -> None:
    def cues(text: str) -> list[str]:
        return [cue.cue for cue in explained(text).cues]

    assert cues("it is not broken") == []
    assert cues("no, broken") == ["broken"]
    assert cues("it is loading") == []
    assert cues("it is just not loading") == ["not loading"]
    assert cues("this is not. loading") == []
    assert cues("I was not that impressed") == ["not impressed"]
    assert cues("why can't I log in") == ["why can't", "not log in"]


def test_stars_and_articles_count() -> None:
    text = "Fibre from Acme in Tarnbridge"
    bad = judged(text, kind="review", metrics={"rating": 1})
    good = judged(text, kind="review", metrics={"rating": 5})
    none = judged(text, kind="review", metrics={"rating": 40})
    assert bad.is_complaint
    assert bad.probability > none.probability > good.probability
    news = "Outage at Acme: thousands without internet"
    assert judged(news, kind="article").probability < judged(news).probability


PIECES = """
great, thanks love lol 😡 :( but very rude no problem not working refund please never again? again broken!
@acme my order is down free still waiting 3 days can't log in http://a.b the and
"""
words = st.lists(st.sampled_from(PIECES.split()), max_size=20).map(" ".join)
FOR = [
    "Refund.",
    "Still waiting for 3 weeks.",
    "It is not working.",
    "Rude staff.",
    "Cancel my contract.",
    "I will call the ombudsman.",
    "My insulin.",
]


@settings(max_examples=300, deadline=None)
@given(words, st.sampled_from(FOR), st.floats(-1, 1))
def test_one_more_sentence_for_it_never_lowers_anything(text: str, more: str, compound: float) -> None:
    before, after = explained(text, compound), explained(f"{text}. {more}", compound)
    assert after.probability >= before.probability
    assert after.urgency >= before.urgency


@settings(max_examples=300, deadline=None)
@given(words)
def test_asking_for_a_refund_never_lowers_it_either(text: str) -> None:
    """Although VADER finds "please" friendly; promised for the first thing said about money."""
    if not any(cue.family == "money" for cue in explained(text).cues):
        assert judged(f"{text}. Refund please").probability >= judged(text).probability


@settings(max_examples=200, deadline=None)
@given(words, st.floats(-1, 1), st.floats(-1, 1))
def test_a_worse_sentiment_never_lowers_it(text: str, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert explained(text, low).probability >= explained(text, high).probability


ANY = st.text(max_size=80) | words | st.text(alphabet=st.sampled_from("İiß&;#39amp refundﬀ’😡\u200b .?@/:ht"))


@settings(max_examples=500, deadline=None)
@given(ANY, st.sampled_from(LANGUAGES), st.floats(-1, 1))
def test_any_text_is_judged_and_explained_alike(text: str, code: str, compound: float) -> None:
    language, feeling = Language(code, 1.0), felt(compound)
    found, why = step.judge(post(text), language, feeling), step.explain(post(text), language, feeling)
    assert found is not None
    assert why is not None
    assert msgspec.json.decode(msgspec.json.encode(found), type=Complaint) == found
    assert (found.probability, found.urgency) == (why.probability, why.urgency)
    assert found.is_complaint == (why.probability >= why.threshold)
    assert found.category == (why.category if found.is_complaint else "")
    assert why.category in (*CATEGORIES, OTHER)
    total = sum(value for _, value in why.parts)
    assert why.probability == round(1 / (1 + math.exp(-total)), 4)
    parts = dict(why.parts)
    for family in {cue.family for cue in why.cues}:
        weights = [cue.weight for cue in why.cues if cue.family == family]
        assert math.isclose(sum(weights), parts.get(family, 0.0))


@settings(max_examples=500, deadline=None)
@given(ANY, st.sampled_from(LANGUAGES))
def test_every_word_is_found_in_its_place(text: str, code: str) -> None:
    scanner = Scanner(table_of(code))
    spans = scanner.spans(text)
    assert len(spans) == len(scanner.read(text).words)
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert spans == sorted(spans)


def test_the_spans_are_those_of_the_original_text() -> None:
    text = "İstanbul &amp; co: https://a.b/refund?x I can’t log in 😡! No\u200b reply, 𝗿𝗲𝗳𝘂𝗻𝗱"
    assert [
        (cue.text, text[cue.start : cue.end] == cue.text, cue.family) for cue in explained(text).cues
    ] == [
        ("can’t log in", True, "failure"),
        ("😡", True, "anger"),
        ("No\u200b reply", True, "service"),
        ("𝗿𝗲𝗳𝘂𝗻𝗱", True, "money"),
    ]


@pytest.mark.parametrize(
    "text", ["\ud800", "\x00" * 1000, "?" * 100_000, "not " * 100_000, "# " * 1000, "&#xD800;"]
)
def test_odd_texts_are_judged(text: str) -> None:
    assert 0 <= explained(text).probability <= 1


def test_ten_times_the_text_takes_ten_times_as_long() -> None:
    """Of all that could grow faster: words that many cues share, negators, cues that overlap.

    A word of a text too long for the processor's cache takes up to three times as long, and the collector of
    garbage has to look through all that other tests have left.
    """

    def seconds(text: str) -> float:
        start = time.process_time()
        step.judge(post(text), EN, None)
        return time.process_time() - start

    sentence = "no no not still waiting for 3 days again and again, is it not down again? "
    short, long = sentence * 2_800, sentence * 28_000
    assert len(long) > 2_000_000
    gc.disable()
    try:
        assert min(seconds(long) for _ in range(3)) < 45 * min(seconds(short) for _ in range(3))
    finally:
        gc.enable()


@pytest.mark.parametrize("code", LANGUAGES)
def test_the_tables_hold_what_the_rules_know(code: str) -> None:
    table = table_of(code)
    assert {group.family for group in table.groups} <= set(FAMILIES)
    assert {group.category for group in table.groups} <= {"", *CATEGORIES}
    # Each language has words for all that a complaint is made of.
    assert {group.family for group in table.groups} >= set(FAMILIES) - {"help", "nothing"}


def test_a_phrase_stands_in_a_table_once() -> None:
    for phrases in ("refund, money back, Refund", "refund, , x", "#"):
        with pytest.raises(ValueError, match="is empty or stands there twice"):
            Scanner(Table((Group("money", phrases),), "not", "two"))


def test_rules_do_not_change_without_a_new_revision() -> None:
    assert digest([table_of(code) for code in LANGUAGES]) == DIGEST, (
        f"rules or words changed: raise REVISION ({REVISION}) in enrichers/complaint.py, then set DIGEST here"
    )


def test_the_version_names_revision_and_settings() -> None:
    assert step.version == f"rules+{REVISION}"
    assert complaint.build(SETTINGS(threshold=0.7)).version == f"rules+{REVISION}.0.7"


def test_the_threshold_is_a_setting() -> None:
    strict = complaint.build(SETTINGS(threshold=0.99))
    found = strict.judge(post("refund please"), EN, None)
    assert found is not None
    assert (found.is_complaint, found.category) == (False, "")
