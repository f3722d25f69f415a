"""E-mail addresses and customer numbers of texts, one by one and many at once."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import ConfigError
from pipeline.identity.contacts import EMAIL_SIGN, MOST, PHONE_SIGN, Numbers, Texts, find_emails
from pipeline.identity.phones import find_phones


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ann@b.com", ["ann@b.com"]),
        ("Mail Ann.B+x@mail.example. Thanks", ["ann.b+x@mail.example"]),
        ("mailto:ann@b.com", ["ann@b.com"]),
        ("<a href='mailto:ann@b.com'>", ["ann@b.com"]),
        ("&lt;ann@b.com&gt;", ["ann@b.com"]),
        ("ann@b.com,bob@c.com;ann@b.com", ["ann@b.com", "bob@c.com"]),
        ("o'brien@x.com", ["o'brien@x.com"]),
        ("'ann@b.com'", ["ann@b.com"]),
        ("ann@müller.de", ["ann@xn--mller-kva.de"]),
        ("**ann@b.com**", ["ann@b.com"]),
        *(
            (text, [])
            for text in (
                "", "@", "@ann", "@ann@inst.example", "x@ann@inst.example", "ann@b.com@c", "ann@b", "a@b.c",
                "https://user:pass@host.com/", "https://ann@host.com", "https://video.example/@ann.b",
                "jürgen@b.com", "o’brien@x.com", "ann@b..com", "ann@-b.com", "ann @ b.com", "x@1.2.3.4",
            )
        ),
    ],
)  # fmt: skip
def test_addresses_of_a_text(text: str, found: list[str]) -> None:
    assert find_emails(text) == found


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("LW-[0-9]{6}", "my no. is lw-123456, or LW-123457!", ["lw-123456", "LW-123457"]),
        ("LW-[0-9]{6}", "xLW-123456 LW-1234567 ÄLW-123456 LW-123456_", []),
        ("AB|ABC", "ABC", ["ABC"]),
        ("[0-9]{6}", "123456 1234567 654321", ["123456", "654321"]),
        (r"\ALW-1", "LW-1 LW-1", ["LW-1"]),
        ("(a)(b)", "ab", ["ab"]),
        ("x.+", "x" * 1000, []),
    ],
)
def test_numbers_of_a_text(pattern: str, text: str, found: list[str]) -> None:
    numbers = Numbers(pattern)
    assert numbers.find(text) == found
    if found:
        assert 1 in numbers.suspects(Texts(["before", text, "after"]))


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(", "missing"),
        ("[0-9]*", "empty text"),
        ("(?=x)", "wrong"),
        (r"(a)\1", "wrong"),
        ("a" * 600, "at most"),
    ],
)
def test_a_pattern_that_is_wrong_is_refused(pattern: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Numbers(pattern)


LONG = {
    "signs": "a@" * 500_000,
    "short": "a@a." * 250_000,
    "dots": "a." * 500_000 + "@b.com",
    "domain": "a@" + "b." * 500_000,
    "dashes": "a@b-" * 250_000,
    "handles": "@" * 1_000_000,
    "domains": ("a@" + "b." * 120 + " ") * 4000,
    "digits": "1" * 1_000_000,
    "addresses": "a@b.com " * 125_000,
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_a_megabyte_is_read_in_no_time(text: str) -> None:
    began = time.process_time()
    assert len(find_emails(text)) <= MOST
    Numbers("LW-[0-9]{6}").find(text)
    Numbers("(?:[a-z0-9]+)+").find(text)
    texts = Texts([text])
    texts.with_a(EMAIL_SIGN)
    texts.with_a(PHONE_SIGN)
    assert time.process_time() - began < 6.0


PIECES = st.lists(
    st.sampled_from(
        ["ann@b.com", "@ann", "+12025550104", "2025550104", "LW-1", " ", "\n", "call ", "ü", "x", "-"]
    )
).map("".join)


@given(st.lists(PIECES, max_size=8))
def test_many_texts_at_once_leave_none_out(texts: list[str]) -> None:
    numbers, many = Numbers("lw-[0-9]"), Texts(texts)
    mails, phones, others = many.with_a(EMAIL_SIGN), many.with_a(PHONE_SIGN), numbers.suspects(many)
    for i, text in enumerate(texts):
        assert i in mails or not find_emails(text)
        assert i in phones or not find_phones(text, "US")
        assert i in others or not numbers.find(text)
