"""The laws of the step `entities`: spans, overlaps, and a cost that does not grow with the names."""

from __future__ import annotations

import gc
import itertools
import sys
import time
import unicodedata
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enrichers import _names_batch
from enrichers._names import Names, Span
from enrichers.entities import EntitiesEnricher, longest
from pipeline.core.brands import BrandEntity, Brands, Guarded
from pipeline.core.event import Entity
from pipeline.core.folding import fold, fold_all_readings
from pipeline.core.post import Author, Post, decode_post
from pipeline.core.reading import Reading

CONFIGS = Path(__file__).parents[2] / "configs"


def step(*brands: tuple[str, str]) -> EntitiesEnricher:
    """The step for brands of an id and an alias each."""
    return EntitiesEnricher(
        Brands(tuple(BrandEntity(id=i, name=i, kind="brand", aliases=(alias,)) for i, alias in brands))
    )


def found(enricher: EntitiesEnricher, text: str) -> list[Entity]:
    (answer,) = enricher.enrich({"post": [Post(id="x:1", text=text, author=Author(id="x:a"))]})
    assert all(text[entity.start : entity.end] == entity.text for entity in answer)
    return list(answer)


ALIASES = [
    "Larkwell",
    "Larkwell Go",
    "Go Lark",
    "ß",
    "AT&T",
    "東京",
    "京都",
    "ラーク",
    "라크웰",
    "café",
    "İz",
    "T-Mob",
    "ﬁbre X",
]
ANY = step(*((f"b{i}", alias) for i, alias in enumerate(ALIASES)))
NOISE = [
    "\u200b",
    "\u0301",
    "😡",
    "👩‍👩‍👧",
    "\ufe0f",
    " ",
    "  ",
    "\n",
    "#",
    "@",
    "_",
    "’s",
    "é",
    "x",
    "가",
    "の",
    "&amp;",
    "https://",
    ".",
]
jumble = st.lists(
    st.sampled_from(ALIASES + [alias.upper() for alias in ALIASES] + NOISE) | st.characters(), max_size=12
).map("".join)


@settings(max_examples=500, deadline=None)
@given(jumble)
def test_laws_of_the_spans(text: str) -> None:
    """A span folds to a name of its entity; spans do not overlap; what lost, lost to one at least as long."""
    words = {f"b{i}": fold(alias).words for i, alias in enumerate(ALIASES)}
    answer = found(ANY, text)
    for entity in answer:
        assert fold(entity.text).words.replace(" ", "") == words[entity.id].replace(" ", "")
    for one, two in itertools.pairwise(sorted(answer, key=lambda entity: entity.start)):
        assert one.end <= two.start
    for lost in Names(Brands(ANY._entities)).find(text, "x", ()):
        assert any(
            kept.start < lost.end
            and lost.start < kept.end
            and (kept.end - kept.start, -kept.start) >= (lost.end - lost.start, -lost.start)
            for kept in answer
        )


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(ALIASES), st.sampled_from(["upper", "lower", "NFD", "NFC", "NFKC"]), st.data())
def test_dress_and_neighbours_do_not_move_a_span(alias: str, dress: str, data: st.DataObject) -> None:
    name = unicodedata.normalize(dress, alias) if dress[0] == "N" else getattr(alias, dress)()
    around = st.lists(st.sampled_from(["\u200b", "\ufeff", "😡", "👩‍👩‍👧", " ", "\n", "“", "—", "❤️"])).map(
        "".join
    )
    before, behind = data.draw(around), data.draw(around)
    cut = data.draw(st.integers(1, len(name)))
    joined = cut == len(name) or unicodedata.combining(name[cut]) or "\u1160" <= name[cut] <= "\u11ff"
    name = name if joined else f"{name[:cut]}\u200b{name[cut:]}"
    text = before + name + behind
    assert Span(len(before), len(before) + len(name), 0)[:2] in [
        (entity.start, entity.end) for entity in found(ANY, text)
    ]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 8), st.integers(0, 3)), max_size=12))
def test_longest_keeps_as_a_plain_search_does(drawn: list[tuple[int, int, int]]) -> None:
    spans = sorted({Span(start, start + length, entity) for start, length, entity in drawn})
    kept = longest(spans, 30)
    expected: list[Span] = []
    for span in sorted(spans, key=lambda one: (one.start - one.end, one)):
        if all(span[:2] == one[:2] or span.end <= one.start or one.end <= span.start for one in expected):
            expected.append(span)
    assert list(itertools.chain.from_iterable(kept)) == sorted(expected)


def plenty(count: int) -> EntitiesEnricher:
    syllables = [
        a + b for a in ("b", "d", "g", "k", "l", "m", "n", "r", "z", "qu") for b in ("a", "e", "i", "o", "u")
    ]
    words = map("".join, itertools.product(syllables, repeat=4))
    return step(
        *((f"n{i}", f"{word}x {word[::-1]}") for i, word in enumerate(itertools.islice(words, count)))
    )


@pytest.mark.parametrize("before", ["", "(", ".", "a", "#x", "#X9"])
@pytest.mark.parametrize(
    "tag", ["larkwell", "LARKWELL", "Larkwell", "LarkWell", "larkwellDown", "Down9larkwell"]
)
@pytest.mark.parametrize("behind", ["", "!", "_", "_down", "9", "#larkwell", "!larkwell", "é"])
def test_tags_in_a_batch_name_what_they_name_alone(before: str, tag: str, behind: str) -> None:
    one = Post(id="x:1", text=f"see {before}#{tag}{behind}", author=Author(id="x:a"))
    enricher = step(("b", "Larkwell"), ("w", "well"))
    assert enricher.enrich({"post": [one]}) == [enricher.judge(one)]


WORDS = """@acme @Acme @acme. @acme-x (@acme) x@acme u/acme #acme #AcmeDown acme Acme acme's acme@x.example
https://acme.example Rocket rocket's shop Rocket-Shop #RocketShop Bolt bolt Bank of -of- The & Co Co. 東 京"""
SAID = st.lists(
    st.tuples(
        st.sampled_from(WORDS.split()),
        st.sampled_from([" ", " ", "  ", "\n", "\u2003", "", "\u200b"]),
    ),
    max_size=8,
).map(lambda parts: "".join(word + between for word, between in parts))
KINDS_OF_NAMES = EntitiesEnricher(
    Brands(
        (
            BrandEntity(id="a", name="a", kind="brand", aliases=("Acme",), handles=("acme",)),
            BrandEntity(id="b", name="b", kind="brand", aliases=("ACME",), hashtags=("acme",)),
            BrandEntity(id="s", name="s", kind="brand", aliases=("Rocket Shop",)),
            BrandEntity(id="r", name="r", kind="brand", aliases=("Rocket",)),
            BrandEntity(id="o", name="o", kind="brand", aliases=("Bank of Acme", "The Shop", "of the Bank")),
            BrandEntity(id="c", name="c", kind="brand", aliases=("Bank & Co.", "Co. Shop", "Acme 東 京")),
            BrandEntity(
                id="g", name="g", kind="brand", guarded=(Guarded(aliases=("Bolt",), near=("shop", "acme")),)
            ),
        )
    )
)


@settings(max_examples=1000, deadline=None)
@given(st.lists(SAID, max_size=4), st.sampled_from(["x", "mail"]))
def test_tokens_met_before_name_what_they_name_in_the_whole_text(texts: list[str], source: str) -> None:
    posts = [Post(id=f"{source}:{i}", text=text, author=Author(id="x:a")) for i, text in enumerate(texts)]
    assert KINDS_OF_NAMES.enrich({"post": posts}) == [KINDS_OF_NAMES.judge(post) for post in posts]


def test_an_odd_last_character_is_a_names_as_well_where_a_tag_is_read_word_by_word() -> None:
    assert [one.text for one in found(KINDS_OF_NAMES, "#AcmeDown @acme\u200b")] == ["Acme", "Acme", "@acme"]


@pytest.mark.parametrize("text", ["#YorkCity is new", "#CityNew york", "new #BigYork", "#BigNew #YorkBig"])
def test_no_name_goes_from_the_text_into_the_words_of_a_tag(text: str) -> None:
    assert not found(step(("n", "New York"), ("b", "bignew york")), text)


def best(enrichers: Iterable[EntitiesEnricher], posts: list[Post]) -> list[float]:
    """Seconds of each, the least of several turns, one after the other so that a busy machine slows both."""
    times = [[1e9] for _ in enrichers]
    for _ in range(9):
        for taken, enricher in zip(times, enrichers, strict=True):
            began = time.process_time()
            enricher.enrich({"post": posts})
            taken.append(time.process_time() - began)
    return [min(taken) for taken in times]


def test_a_hundred_thousand_names_cost_no_more_than_a_hundred() -> None:
    """1.0 to 1.1 when this was written."""
    few, many = plenty(100), plenty(100_000)
    texts = (CONFIGS / "demo" / "posts.jsonl").read_bytes().splitlines()
    posts = [one for one in map(decode_post, texts) if not one.deleted] * 5
    gc.collect()
    gc.freeze()
    try:
        short, long = best([few, many], posts)
    finally:
        gc.unfreeze()
    assert long < 1.3 * short


def test_words_of_a_name_are_no_reason_to_look_closer_unless_they_stand_side_by_side() -> None:
    """With 100,000 aliases made of everyday words that would be every text, four times the cost of 100."""
    watch = _names_batch.NameWatch((), [("new", "york")])
    texts = [
        "york new",
        "new, york",
        "new\u200b york",
        "#NewYork",
        "a new-york b",
        "newyork",
        "new",
    ]
    assert set(watch.suspects(Reading(texts))) == {2, 3, 4}


def test_signs_that_are_of_no_word_part_words_and_change_nothing() -> None:
    signs = [chr(code) for code in range(sys.maxunicode + 1) if _names_batch._NO_WORD.match(chr(code))]
    assert len(signs) > 700
    for sign in signs:
        assert fold(f"a{sign}b").words == "a b"
        assert fold_all_readings(f"#AcmeDown{sign}b").words.split()[:2] == ["acmedown", "b"]
