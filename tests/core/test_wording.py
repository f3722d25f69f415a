"""Phrases are found as people mean them: whole words, in any case, spelling of quotes and script."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import ConfigError
from pipeline.core.wording import phrase_of, wording_of


@pytest.mark.parametrize(
    ("phrase", "text", "found"),
    [
        ("cancel", "CANCEL it!", True),
        ("cancel", "cancelled", False),
        ("cancel*", "I cancelled", True),
        ("can't pay", "I CAN’T\npay", True),
        ("no internet", "no  internet.", True),
        ("no internet", "no, really: internet", False),
        ("larkwell", "Larkwell’s bill", True),
        ("larkwell", "@larkwellhelp", False),
        ("larkwell", "#Larkwell!", True),
        ("straße", "STRASSE", True),
        ("kündig*", "Kündigungsgrund", True),
        ("没有网络", "我家没有网络了", True),
        ("ネット", "今日はネットが遅い", True),
        ("बिल", "मेरा बिल गलत है", True),
        ("बिल", "बल", False),
        ("فاتورة", "أين فاتورة الشهر", True),
        ("£15", "only 15 left", True),
    ],
)
def test_a_phrase_is_found_as_people_mean_it(phrase: str, text: str, found: bool) -> None:
    assert phrase_of(phrase).is_in(wording_of(text)) is found


@pytest.mark.parametrize("phrase", ["", "  ", "!!!", "🔥", "*"])
def test_a_phrase_without_words_is_refused(phrase: str) -> None:
    with pytest.raises(ConfigError, match="no letter or digit"):
        phrase_of(phrase)


@given(st.text(), st.text())
def test_what_a_phrase_is_filed_under_is_in_every_text_that_has_it(before: str, text: str) -> None:
    try:
        phrase = phrase_of(text)
    except ConfigError:
        return
    wording = wording_of(f"{before} {text} {before}")
    assert phrase.is_in(wording)
    assert not phrase.key or phrase.key in wording.words
