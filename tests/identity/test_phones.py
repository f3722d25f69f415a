"""Telephone numbers: their normal form, and what in a text is one."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.identity.phones import MOST, e164, find_phones, is_region


@pytest.mark.parametrize(
    ("written", "region", "normal"),
    [
        ("+12025550104", "", "+12025550104"),
        ("(202) 555-0104", "US", "+12025550104"),
        ("202.555.0104", "US", "+12025550104"),
        ("1-202-555-0104", "US", "+12025550104"),
        ("2025550104", "US", "+12025550104"),
        ("202 555 0104 ext 5", "US", "+12025550104"),
        ("011 44 20 7946 0104", "US", "+442079460104"),
        ("0044 20 7946 0104", "GB", "+442079460104"),
        ("020 7946 0104", "GB", "+442079460104"),
        ("+44 (0)20 7946 0104", "", "+442079460104"),
        ("+4901711234567", "", "+491711234567"),
        ("+39 06 12345678", "", "+390612345678"),
        ("1-800-FLOWERS", "US", "+18003569377"),
        *((text, "US", "") for text in ("", "abc", "555-0104", "+", "+0123456789", "1" * 1_000_000, "=1+1")),
        ("+1202555010", "", ""),
        ("202-555-0104", "", ""),
    ],
)
def test_numbers_in_their_normal_form(written: str, region: str, normal: str) -> None:
    assert e164(written, region) == normal


def test_regions() -> None:
    assert is_region("US")
    assert not is_region("XX")
    assert not is_region("")


@pytest.mark.parametrize(
    ("text", "region", "found"),
    [
        ("call me at 202-555-0104 please", "US", ["+12025550104"]),
        ("my number is (202) 555-0104.", "US", ["+12025550104"]),
        ("call 2025550104", "US", ["+12025550104"]),
        ("tel:+12025550104", "", ["+12025550104"]),
        ("Phone:202-555-0104", "US", ["+12025550104"]),
        ("202-555-0104x12", "US", ["+12025550104"]),
        ("24/7 202-555-0104", "US", ["+12025550104"]),
        ("at 10:30 202-555-0104", "US", ["+12025550104"]),
        ("202 555 0104 202 555 0199", "US", ["+12025550104", "+12025550199"]),
        ("+44 20 7946 0104, +44 20 7946 0105", "", ["+442079460104", "+442079460105"]),
        ("030/1234567", "DE", ["+49301234567"]),
        ("01 23 45 67 89", "FR", ["+33123456789"]),
        ("ring 600 123 456", "ES", ["+34600123456"]),
    ],
)
def test_numbers_of_a_text(text: str, region: str, found: list[str]) -> None:
    assert find_phones(text, region) == found
    assert find_phones(f"{text} {text}", region) in (found, [])


@pytest.mark.parametrize("region", ["", "US", "DE", "GB", "ES"])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "on 2017-11-05 10:30, or 12/05/2015, or 05.12.2015",
        "2014-2018 and 2015 2016 2017",
        "$1 234 567 890 and 1 234 567 890 EUR",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "https://x.com/a/status/570301130888122368",
        "https://shop.example/2025550104?id=2025550105",
        "192.168.100.200",
        "LW-1234567890",
        "1,234,567,8901",
        "order 2025550104",
        "confirmation number 2025550104",
        "2677000230",
        "@116450 @115886",
        "#2025550104",
        "112-1234567-1234567",
        "tracking 9400 1000 0000 0000 0000 00",
        "AA6082 7days 40min",
    ],
)
def test_what_is_no_number(text: str, region: str) -> None:
    assert find_phones(text, region) == []


def test_without_a_region_only_the_international_form_counts() -> None:
    assert find_phones("call 202-555-0104", "") == []


def test_a_list_of_numbers_is_cut() -> None:
    text = " ; ".join(f"+1202555{number:04d}" for number in range(100))
    assert len(find_phones(text, "US")) == MOST


@pytest.mark.parametrize(
    "text",
    [
        "1" * 1_000_000,
        "1 " * 500_000,
        "1234567 x " * 100_000,
        "(1" * 500_000,
        "+" * 1_000_000,
        "12345-" * 160_000,
        "1   " * 250_000,
        "202-555-010 x " * 70_000,
    ],
)
def test_a_megabyte_is_read_in_no_time(text: str) -> None:
    began = time.process_time()
    find_phones(text, "US")
    find_phones(text, "DE")
    assert time.process_time() - began < 3.0


@given(st.text(st.sampled_from("0123456789 +-()./,:ax$€@#"), max_size=60), st.sampled_from(["", "US", "DE"]))
def test_whatever_is_found_is_in_normal_form(text: str, region: str) -> None:
    for number in find_phones(text, region):
        assert e164(number, "") == number
