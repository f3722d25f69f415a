"""Times of week: their form, midnight, and the two nights a year on which the clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import ConfigError
from pipeline.core.week import DAYS, week_of

BERLIN = "Europe/Berlin"
ZONES = (BERLIN, "Europe/London", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC")

minutes = st.integers(0, 24 * 60 - 1)
moments = st.datetimes(datetime(2024, 1, 1), datetime(2027, 1, 1)).map(
    lambda naive: naive.replace(tzinfo=UTC)
)


def clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("spec", "inside", "outside"),
    [
        (
            "mon-fri 08:00-18:00",
            ["2026-11-20T08:00+01:00", "2026-11-20T17:59+01:00"],
            ["2026-11-20T18:00+01:00"],
        ),
        ("mon-fri 08:00-18:00", ["2026-07-20T06:00Z"], ["2026-07-20T05:59Z", "2026-11-21T12:00Z"]),
        ("fri-mon", ["2026-11-20T00:00+01:00", "2026-11-23T23:59+01:00"], ["2026-11-24T00:00+01:00"]),
        ("sat 10:00-14:00, sun 12:00-13:00", ["2026-11-22T12:00+01:00"], ["2026-11-22T11:00+01:00"]),
        ("mon wed 09:00-10:00", ["2026-11-18T09:30+01:00"], ["2026-11-17T09:30+01:00"]),
        ("Monday-Friday 09:00-24:00", ["2026-11-20T23:59+01:00"], ["2026-11-21T00:00+01:00"]),
        # Past midnight belongs to the day on which it begins, also over the end of the week.
        ("sun 22:00-06:00", ["2026-11-23T05:59+01:00", "2026-11-22T22:00+01:00"], ["2026-11-22T05:00+01:00"]),
        ("22:00-06:00", ["2026-11-18T23:00+01:00", "2026-11-18T03:00+01:00"], ["2026-11-18T12:00+01:00"]),
    ],
)
def test_a_spec_says_what_it_seems_to(spec: str, inside: list[str], outside: list[str]) -> None:
    week = week_of(spec, BERLIN)
    assert all(week.contains(at(moment)) for moment in inside)
    assert not any(week.contains(at(moment)) for moment in outside)
    assert week_of(f"{spec} {BERLIN}", "UTC") == week


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("mon-fri 08:00-18:00", "names no time zone"),
        ("mon-fry 08:00-18:00 Europe/Berlin", "`mon-fry` in .* is no day"),
        ("mon-fri 8-18 Europe/Berlin", "`8-18` in .* is no span of times"),
        ("mon-fri 08:00-25:00 Europe/Berlin", "outside the day"),
        ("mon-fri 08:00-17:75 Europe/Berlin", "outside the day"),
        ("mon 08:00-08:00 UTC", "has no length"),
        ("mon 08:00-09:00, UTC", "empty part"),
        ("mon Europe/Berln", "did you mean `Europe/Berlin`"),
        ("mon ../../etc/passwd", "is no time zone"),
        ("", "names no time zone"),
    ],
)
def test_a_bad_spec_is_refused_in_words(spec: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        week_of(spec)


@given(moments, minutes, minutes, st.integers(0, 6), st.sampled_from(ZONES))
def test_a_span_and_the_rest_of_the_week_are_each_others_opposite(
    moment: datetime, begin: int, end: int, day: int, zone: str
) -> None:
    if begin == end:
        return
    span = week_of(f"{DAYS[day]} {clock(begin)}-{clock(end)} {zone}")
    local = moment.astimezone(span.zone)
    minute = local.hour * 60 + local.minute
    if begin < end:
        expected = local.weekday() == day and begin <= minute < end
    else:
        expected = (local.weekday() == day and minute >= begin) or (
            local.weekday() == (day + 1) % 7 and minute < end
        )
    assert span.contains(moment) == expected


# Nights on which clocks go forward and back, and one on which they do not.
NIGHTS = (
    "2026-03-28T20:00Z",
    "2026-10-24T20:00Z",
    "2026-04-04T10:00Z",
    "2026-10-03T10:00Z",
    "2026-06-10T20:00Z",
)


@given(
    st.sampled_from(NIGHTS),
    st.tuples(minutes, minutes).filter(lambda ends: ends[0] != ends[1]),
    st.integers(1, 1500),
    st.integers(0, 90),
    st.sampled_from(ZONES),
)
def test_a_promise_runs_only_while_the_wall_clock_is_within_the_hours(
    night: str, ends: tuple[int, int], promised: int, late: int, zone: str
) -> None:
    begin, end = ends
    week = week_of(f"{clock(begin)}-{clock(end)} {zone}")
    start = at(night) + timedelta(minutes=late)
    due = week.after(start, promised)
    # Counted minute by minute, as somebody with a watch and an office would.
    counted, now = 0, start
    while counted < promised and now < due + timedelta(days=400):
        counted += week.contains(now)
        now += timedelta(minutes=1)
        if now - start > timedelta(days=60):
            return  # a promise of many days with little open time: not worth the counting
    assert due == now


def test_an_hour_that_comes_twice_counts_twice_and_one_that_never_comes_not_at_all() -> None:
    night = week_of(f"02:00-03:00 {BERLIN}")
    assert night.after(at("2026-10-24T23:00Z"), 120) == at("2026-10-25T02:00Z")
    assert night.after(at("2026-03-28T23:00Z"), 60) == at("2026-03-30T01:00Z")


def test_the_ends_of_the_calendar_are_in_no_window() -> None:
    assert not week_of("mon-sun America/New_York").contains(datetime.min.replace(tzinfo=UTC))
