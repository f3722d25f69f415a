"""Single cells of a file of customers: one normal form, or a reason."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.app.customers.cells import Unreadable, email_of, id_of, since_of, value_of, yes_or_no
from pipeline.app.customers.columns import Column, column_of, columns_of
from pipeline.core.errors import ConfigError


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1,056.00", 1056.0),
        ("1.056,00 €", 1056.0),
        ("€ 1.056,00", 1056.0),
        ("1056", 1056.0),
        ("372.5", 372.5),
        ("12,50", 12.5),
        ("1,056,000", 1056000.0),
        ("1.056.000", 1056000.0),
        ("1 056 000,5", 1056000.5),
        ("1 056", 1056.0),
        ("1'056.00", 1056.0),
        ("USD 1056.00", 1056.0),
        ("1056.00 EUR", 1056.0),
        ("1234.567", 1234.567),
        ("0.125", 0.125),
        (".5", 0.5),
        ("-12.00", -12.0),
        ("−12", -12.0),
        ("\u00a37", 7.0),
        (372, 372.0),
        (1.056, 1.056),
    ],
)
def test_a_value_is_read_as_either_half_of_the_world_writes_it(written: object, value: float) -> None:
    assert value_of(written) == value


@pytest.mark.parametrize(
    "written",
    ["1.056", "1,056", "-999,999", "many", "1e5", "nan", "inf", "1.2.3", "1,05,000", "1.056.00", True],
)
def test_a_value_that_may_mean_two_things_or_nothing_is_refused(written: object) -> None:
    with pytest.raises(Unreadable):
        value_of(written)


@given(st.integers(-(10**9), 10**9), st.integers(0, 99))
def test_every_way_to_write_an_amount_gives_that_amount(whole: int, cents: int) -> None:
    amount = float(f"{whole}.{cents:02}")
    english = f"{whole:,}.{cents:02}"
    for text in (
        english,
        english.translate(str.maketrans(",.", ".,")),
        english.replace(",", ""),
        f"$ {english}",
    ):
        assert value_of(text) == amount


def test_dates_and_consent() -> None:
    assert since_of("2021-03-15") == since_of("2021-03-15T23:59:00+02:00") == date(2021, 3, 15)
    for written in ("15.03.2021", "2021-02-30", "20210315", "2021", "soon"):
        with pytest.raises(Unreadable):
            since_of(written)
    assert [yes_or_no(word) for word in ("YES", " true", "1", True, "no", "False", "0", 0, "")] == (
        [True] * 4 + [False] * 4 + [None]
    )
    with pytest.raises(Unreadable):
        yes_or_no("nein")


def test_ids_and_addresses() -> None:
    assert id_of("  LW-1 ") == "LW-1"
    assert (id_of(7), id_of(7.0)) == ("7", "7")
    for wrong in ("", "  ", "a\tb", "a\0b", "x" * 201, "ß" * 200 + "x" * 200, "👍" * 130, None, True, [1]):
        with pytest.raises(Unreadable):
            id_of(wrong)
    assert email_of(" Ann.B@Example.ORG ") == email_of("mailto:ann.b@example.org") == "ann.b@example.org"
    for wrong in ("ann", "ann@", "@x.org", "ann@localhost", "a b@x.org", "a@b@c.org"):
        with pytest.raises(Unreadable):
            email_of(wrong)


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("ID", Column("id")),
        (" Customer_Number ", Column("id")),
        ("E-Mail", Column("email")),
        ("Email 2", Column("email")),
        ("telephone", Column("phone")),
        ("Twitter", Column("handle", "x")),
        ("X handle", Column("handle", "x")),
        ("x_id", Column("account", "x")),
        ("mastodon.url", Column("handle", "mastodon")),
        ("facebook name", None),
        ("id 2", None),
        ("shoe size", None),
        ("", None),
    ],
)
def test_columns_by_the_names_that_people_give_them(name: str, column: Column | None) -> None:
    assert column_of(name) == column


def test_a_header_needs_ids_and_says_nothing_twice() -> None:
    with pytest.raises(ConfigError, match="no column of customer ids"):
        columns_of(["Ann", "ann@x.org"], "f.csv")
    with pytest.raises(ConfigError, match="`id` and `Customer ID` mean the same"):
        columns_of(["id", "Customer ID"], "f.csv")
    assert columns_of(["id", "email", "email"], "f.csv")[1:] == [Column("email")] * 2
