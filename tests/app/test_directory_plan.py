"""Where the builder of the directory begins: on from where it stood, or anew where somebody may have gone
unseen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pipeline.app.directory.plan import LONGEST_GAP, starts

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ENDS = {0: (0, 100), 1: (40, 50), 2: (0, 0)}
LATELY = NOW - timedelta(hours=3)


def test_a_new_directory_begins_at_the_start() -> None:
    assert starts({}, ENDS, None, NOW) == ({0: 0, 1: 40, 2: 0}, "")


@pytest.mark.parametrize("positions", [{0: 100, 1: 50}, {0: 7, 1: 40}, {0: 1}, {1: 45, 2: 0}])
def test_it_goes_on_where_it_stood(positions: dict[int, int]) -> None:
    begin, why = starts(positions, ENDS, LATELY, NOW)
    assert why == ""
    assert begin == {0: 0, 1: 40, 2: 0} | positions


@pytest.mark.parametrize(
    ("positions", "fresh_at", "says"),
    [
        ({0: 101}, LATELY, "made anew"),
        ({0: 5, 2: 1}, LATELY, "made anew"),
        ({0: 5, 3: 1}, LATELY, "made anew"),
        ({0: 5, 1: 39}, LATELY, "records are gone"),
        ({0: 5}, None, "broken off"),
        ({0: 5}, NOW - LONGEST_GAP - timedelta(seconds=1), "forgotten who went"),
    ],
)
def test_it_begins_anew_where_what_it_has_may_be_wrong(
    positions: dict[int, int], fresh_at: datetime | None, says: str
) -> None:
    begin, why = starts(positions, ENDS, fresh_at, NOW)
    assert begin == {0: 0, 1: 40, 2: 0}
    assert says in why
