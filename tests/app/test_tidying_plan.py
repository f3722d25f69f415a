"""What is to be done with each month: once, in the right order, and nothing with what is somebody else's."""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec.structs import replace

from pipeline.app.tidying.plan import MOST_SEGMENTS, tasks
from pipeline.core.retention import RetentionSettings, expiry
from sinks.months import Index

NOW = datetime(2026, 11, 22, 14, tzinfo=UTC)
SETTINGS = RetentionSettings(months=6, close_after_months=2)


def index(name: str, **but: object) -> Index:
    plain = Index(
        name=f"p-posts-{name}", uuid="u", posts=1000, replaced=0, segments=7, closed=False, blocked=False
    )
    return replace(plain, **but)


def planned(*indices: Index, merged: bool = False, settings: RetentionSettings = SETTINGS) -> list[str]:
    known = {one.name: one.uuid for one in indices} if merged else {}
    found = tasks(indices, settings, expiry(settings, 30, NOW), known, NOW)
    return [f"{task.what} {task.index[8:]}" for task in found]


def test_old_months_are_dropped_middle_ones_closed_and_young_ones_left() -> None:
    months = [index(name) for name in ("2026.04", "2026.05", "2026.08", "2026.09", "2026.11", "undated")]
    wanted = ["drop 2026.04", "close 2026.05", "merge 2026.05", "close 2026.08", "merge 2026.08"]
    assert planned(*months) == wanted


def test_without_settings_nothing_is_done() -> None:
    none = RetentionSettings(close_after_months=0)
    assert planned(index("2010.01"), settings=none) == []
    assert planned(index("2010.01"), settings=RetentionSettings()) == ["close 2010.01", "merge 2010.01"]


def test_a_month_that_is_done_is_left_alone_until_much_of_it_was_replaced() -> None:
    done = index("2026.08", closed=True, blocked=True, segments=1)
    assert planned(done, merged=True) == []
    assert planned(replace(done, segments=3), merged=True) == [], "a few late edits are not worth a merge"
    assert planned(replace(done, segments=MOST_SEGMENTS + 1), merged=True) == ["merge 2026.08"]
    assert planned(replace(done, segments=2, replaced=51), merged=True) == ["merge 2026.08"]
    assert planned(replace(done, segments=3), merged=False) == ["merge 2026.08"], "an index made anew"


def test_a_month_that_was_opened_is_closed_again() -> None:
    assert planned(index("2026.08", segments=2), merged=True) == ["close 2026.08"]


def test_what_somebody_else_blocked_is_not_claimed() -> None:
    assert planned(index("2026.08", blocked=True, segments=1)) == []
