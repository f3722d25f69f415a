"""The daily work deletes nothing by a clock that jumped or a number that was mistyped."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pipeline.app.tidying.caution import ASTRAY, LONGEST_PAUSE, demand_right_clock, demand_usual
from pipeline.app.tidying.plan import Task, tasks
from pipeline.app.tidying.record import Record, is_taken
from pipeline.core.errors import FatalError
from pipeline.core.retention import RetentionSettings, expiry
from sinks.months import Index

NOW = datetime(2026, 11, 22, 4, tzinfo=UTC)
YESTERDAY = NOW - timedelta(days=1)


def planned(months: int, now: datetime = NOW) -> list[Task]:
    """What is to be done with the months from 2025.11 to 2026.11, of which 12 are over."""
    names = [f"p-posts-2025.{month}" for month in (11, 12)] + [f"p-posts-2026.{m:02}" for m in range(1, 12)]
    held = [
        Index(name=name, uuid="u", posts=9, replaced=0, segments=1, closed=False, blocked=False)
        for name in names
    ]
    settings = RetentionSettings(months=months)
    return tasks(held, settings, expiry(settings, 30, now), {}, now)


def demand(
    now: datetime, last: datetime | None, found: list[Task], *, months: int = 12, sweeps: bool = False
) -> None:
    demand_usual(now, last, found, expiry(RetentionSettings(months=months), 30, now), sweeps=sweeps)


def test_a_month_in_its_turn_is_dropped() -> None:
    assert [task.index for task in planned(11) if task.what == "drop"] == ["p-posts-2025.11"]
    demand(NOW, YESTERDAY, planned(11))
    demand(NOW, None, planned(11))
    demand(NOW, YESTERDAY, planned(10))


def test_a_mistyped_number_of_months_drops_nothing() -> None:
    with pytest.raises(FatalError, match=r"11 months .* retention.months .* `groundswell tidy`"):
        demand(NOW, YESTERDAY, planned(1))


@pytest.mark.parametrize("days", [20, 31, 62, 366, 3650])
def test_a_clock_that_jumped_ahead_drops_nothing(days: int) -> None:
    later = NOW + timedelta(days=days)
    for months in (12, 13):
        if any(task.what == "drop" for task in planned(months, later)):
            with pytest.raises(FatalError, match="nothing is dropped or closed by itself"):
                demand(later, NOW, planned(months, later))
    with pytest.raises(FatalError, match="mend the clock"):
        demand_right_clock(later, [later, NOW])
    with pytest.raises(FatalError, match="mend the clock"):
        demand_right_clock(NOW, [later])


def test_what_lies_in_no_month_is_kept_from_a_clock_that_jumped_too() -> None:
    later = NOW + timedelta(days=400)
    with pytest.raises(FatalError, match="is the clock right"):
        demand(later, NOW, [], sweeps=True)
    with pytest.raises(FatalError, match="is the clock right"):
        demand(later, NOW, [], months=0, sweeps=True)
    demand(NOW + timedelta(days=60), NOW, [], months=0, sweeps=True)
    demand(NOW, YESTERDAY, [], sweeps=True)
    demand(NOW, None, [], sweeps=True)


def test_where_nothing_is_deleted_nothing_is_asked() -> None:
    """Closing does no harm: what comes late opens a month."""
    later = NOW + timedelta(days=400)
    demand(later, NOW, planned(0, later), months=0)


def test_what_is_usual_is_told_from_what_is_not_by_days() -> None:
    demand(NOW, NOW - LONGEST_PAUSE, planned(11))
    with pytest.raises(FatalError, match="is the clock right"):
        demand(NOW, NOW - LONGEST_PAUSE - timedelta(days=1), planned(11))
    demand_right_clock(NOW, [NOW - ASTRAY, NOW + ASTRAY])
    demand_right_clock(NOW, [])


@pytest.mark.parametrize(
    ("began", "taken"),
    [
        (NOW, True),
        (NOW - timedelta(hours=4), True),
        (YESTERDAY, False),
        # Another worker's clock, a little ahead at midnight.
        (NOW + timedelta(hours=20), True),
        # A clock that was a year ahead when it was tidied, and was mended: not until then.
        (NOW + timedelta(days=366), False),
    ],
)
def test_a_day_is_taken_once_and_no_clock_takes_a_year(began: datetime, taken: bool) -> None:
    assert is_taken(Record(began_at=began), NOW) is taken
