"""The law of what is remembered: each write is known or found by a search, however late the refresh."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import RetryableError
from sinks._homes import Homes


class Shelf:
    """An index that shows what was written once it is refreshed."""

    def __init__(self) -> None:
        self.written: set[str] = set()
        self.searchable: set[str] = set()
        self.refreshes = 0
        self.away = False

    def refresh(self) -> None:
        if self.away:
            raise RetryableError("away")
        self.refreshes += 1
        self.searchable = set(self.written)


@given(
    capacity=st.integers(0, 12),
    steps=st.lists(st.sampled_from(["write", "room", "take over", "away", "back"]), max_size=60),
)
def test_no_write_is_forgotten_before_a_search_finds_it(capacity: int, steps: list[str]) -> None:
    shelf = Shelf()
    homes = Homes(capacity, shelf.refresh)
    for number, step in enumerate(steps):
        if step == "write":
            shelf.written.add(f"x:{number}")
            homes.remember([(f"x:{number}", "index")])
        elif step in ("away", "back"):
            shelf.away = step == "away"
        else:
            try:
                homes.make_room() if step == "room" else homes.refresh()
            except RetryableError:
                assert shelf.away
        assert homes.known(shelf.written).keys() | shelf.searchable == shelf.written


def test_what_is_written_during_a_refresh_stays() -> None:
    shelf = Shelf()
    during: Iterator[str] = iter(["x:late"])

    def refresh() -> None:
        shelf.refresh()
        for id in during:
            homes.remember([(id, "index")])

    homes = Homes(2, refresh)
    homes.remember([("x:1", "index")])
    for _ in range(2):
        homes.make_room()
    assert "x:late" in homes.known(["x:late"])


@pytest.mark.parametrize("capacity", [2, 100])
def test_memory_is_bounded_and_refreshes_are_few(capacity: int) -> None:
    shelf = Shelf()
    homes = Homes(capacity, shelf.refresh)
    ids = [f"x:{number}" for number in range(1000)]
    for id in ids:
        homes.make_room()
        homes.remember([(id, "index")])
        assert len(homes.known(ids)) <= max(capacity, 2)
    assert shelf.refreshes <= 1000 // (capacity // 2)
