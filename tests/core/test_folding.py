"""Folded texts: what counts as the same, and that every place leads back to the original."""

from __future__ import annotations

import itertools
import sys
import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core import folding
from pipeline.core.folding import PARTING, Folded, fold, fold_all_readings, fold_plain, plain_words

# Characters that change their length, vanish, join with others or part words, among plain ones.
AWKWARD = (
    "aZ é.’'ßİıſﬁŉΣς\u0301\u0345\u200b\u200d\ufe0f\xad\ufeff #＃&;"
    "@_\n\t\xa0😡東がカ\u3099ﾞ한\u1161กิ²™Ⓛ𝗟ﷺ\ud800"
)
texts = st.text(st.sampled_from(AWKWARD) | st.characters(), max_size=40) | st.lists(
    st.sampled_from(["&amp;", "Larkwell", " ", "\n\n", "#LarkDown7", "라크웰은", "東京", "Ом"]), max_size=8
).map("".join)


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Larkwell’s ‘Hub’ ʼn", "larkwell's 'hub' 'n"),
        ("STRASSE Straße", "strasse strasse"),
        ("İstanbul ISTANBUL", "istanbul istanbul"),
        ("ﬁbre ＡＴ＆Ｔ 𝗟𝗮𝗿𝗸 Ⓛark", "fibre at&t lark lark"),
        ("AT&amp;T &lt;3 &copy; &", "at&t <3 &copy; &"),
        ("Lark\u200bwe\xadll\ufe0f\u200d", "larkwell"),
        ("cafe\u0301 café", "café café"),
        ("Port \t Wenlow\xa0Rd\nx", "port wenlow rd x"),
        ("Port\n\nWenlow", "port\nwenlow"),
        ("Larkwell™ Larkwell²", "larkwell™ larkwell²"),
        ("Larkwellが東京", f"larkwell{PARTING}が{PARTING}東{PARTING}京"),
        ("か\u3099 ｶﾞ が ガ", "が ガ が ガ"),
        ("Larkwellом 5Билайн", f"larkwell{PARTING}ом 5билайн"),
        ("\ud800", "\ufffd"),
    ],
)
def test_what_folds_to_what(text: str, folded: str) -> None:
    assert fold(text).text == folded


def test_a_plain_character_is_its_casefold_and_every_other_is_looked_at() -> None:
    """The coarse class of special characters leaves out none, whatever this Python's tables say."""
    for character in map(chr, range(sys.maxunicode + 1)):
        if character not in "’‘" and not folding._IRREGULAR.search(character):
            assert folding._folded(character) == character.casefold(), hex(ord(character))
            assert len(character.casefold()) == 1, hex(ord(character))


def test_every_character_that_joins_the_one_before_it_is_taken_with_it() -> None:
    for character in map(chr, range(sys.maxunicode + 1)):
        parts = unicodedata.decomposition(character).split()
        for code in parts[1:] if parts and parts[0][0] != "<" else ():
            assert folding.is_mark(chr(int(code, 16))) or folding._JOINS.match(chr(int(code, 16)))


@settings(max_examples=400, deadline=None)
@given(texts)
def test_composed_and_decomposed_texts_fold_alike(text: str) -> None:
    text = text.replace("\ud800", "")
    composed, decomposed = (fold(unicodedata.normalize(form, text)).text for form in ("NFC", "NFD"))
    assert composed == decomposed


def places(folded: Folded) -> list[tuple[int, int]]:
    """The spans of the original behind each place of the text itself that has one."""
    found = []
    for place in range(folded.length):
        begin, end = folded.begin(place), folded.end(place + 1)
        if begin is not None and end is not None and folded.text[place] != PARTING:
            found.append((begin, end))
    return found


@settings(max_examples=400, deadline=None)
@given(texts)
def test_places_lead_back_to_the_original_in_order(text: str) -> None:
    folded = fold(text)
    assert len(folded.text) == folded.length
    spans = places(folded)
    assert spans == sorted(spans)
    for begin, end in spans:
        assert 0 <= begin < end <= len(text)
        alone = fold(text[begin:end]).text
        assert alone in folded.text
    for (_, end), (begin, _) in itertools.pairwise(spans):
        assert end <= begin


@settings(max_examples=400, deadline=None)
@given(st.text(st.characters(max_codepoint=127), max_size=60))
def test_the_short_way_for_plain_texts_is_the_same(text: str) -> None:
    words = plain_words(text)
    if words is not None:
        long = fold(text)
        assert (words, fold_plain(text, words).text) == (long.words, long.text)
        assert len(words) == len(text)


@settings(max_examples=400, deadline=None)
@given(texts)
def test_other_readings_lead_back_as_well(text: str) -> None:
    folded = fold_all_readings(text)
    assert folded.words.startswith(fold(text).words)
    for word in set(folded.words[folded.length :].split()):
        place = folded.words.index(f" {word}", folded.length) + 1
        begin, end = folded.begin(place), folded.end(place + len(word))
        assert begin is not None
        assert end is not None
        assert fold(text[begin:end]).words.replace(" ", "") == word.replace(" ", "")


@pytest.mark.parametrize(
    ("tag", "words"),
    [
        ("#LarkwellDown", "larkwell down larkwelldown"),
        ("#UKLarkwell2026", "uk larkwell 2026 uklarkwell uklarkwell2026 larkwell2026"),
        ("#larkwell_down", "larkwell down larkwell down"),
        ("＃ÜberLarkwell", "über larkwell überlarkwell"),
        ("#larkwelldown", ""),
        ("#LARKWELLDOWN", ""),
        ("#larkwell", ""),
    ],
)
def test_the_words_of_tags(tag: str, words: str) -> None:
    folded = fold_all_readings(f"x {tag}!")
    assert " ".join(folded.words[folded.length :].split()) == words


@pytest.mark.parametrize(
    "unit", ["a ", "é’ ", "東", "#aB", "라은", "&amp;", "  ", "e\u0301", "_", "\u200b", "@a", "क्"]
)
def test_time_is_linear(unit: str) -> None:
    def seconds(count: int) -> float:
        text = unit * (count // len(unit))
        began = time.process_time()
        fold_all_readings(text)
        return time.process_time() - began

    short = min(seconds(20_000) for _ in range(3))
    assert min(seconds(160_000) for _ in range(3)) < 40 * short + 0.05
