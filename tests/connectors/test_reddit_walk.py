"""Laws of reading a listing that shows the newest first: nothing is passed over, or the gap is told."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from connectors._reddit.walk import Entry, Gap, Walk, step
from testkit.connectors.reddit import base36

_SAY = st.tuples(st.just("say"), st.integers(0, 60))
_DELETE = st.tuples(st.just("delete"), st.integers(0, 400))
_READ = st.tuples(st.just("read"), st.integers(1, 6))
_CRASH = st.tuples(st.just("crash"), st.integers(0, 1))
_BELOW = st.tuples(st.just("delete below"), st.integers(1, 3))
_LIFE = st.lists(st.one_of(_SAY, _READ, _READ, _DELETE, _BELOW, _CRASH), max_size=40)


class Life:
    """A listing that shows so many things at most, and one who reads it page by page and dies."""

    def __init__(self, size: int, shows: int) -> None:
        self.size = size
        self.shows = shows
        self.said = 0
        self.deleted: set[str] = set()
        self.walk = Walk()
        self.got: set[str] = set()
        self.settled: set[str] = set()
        self.fresh: set[str] = set()
        self.gaps: list[Gap] = []
        self.walks = 0
        self.before: tuple[Walk, set[str]] = self.walk, self.got

    def page(self) -> tuple[list[Entry], bool]:
        listed = [Entry(f"t1_{base36(number + 1)}", float(number + 1)) for number in range(self.said)]
        listed = [one for one in listed if one.name not in self.deleted][-self.shows :][::-1]
        if self.walk.after:
            places = [place for place, one in enumerate(listed) if one.name == self.walk.after[0]]
            listed = listed[places[0] + 1 :] if places else []
        return listed[: self.size], len(listed) > self.size

    def read(self) -> None:
        page, more = self.page()
        self.before = self.walk, self.got
        behind = step(self.walk, page, more, self.settled, 0.0)
        self.walk = behind.walk
        names = {one.name for one in page}
        self.got = self.got | (names - self.settled)
        self.fresh |= names
        if behind.over:
            self.walks += 1
            self.settled, self.fresh = self.settled | self.fresh, set()
        if behind.gap is not None:
            self.gaps.append(behind.gap)

    def crash(self, *, confirmed: bool) -> None:
        if not confirmed:
            self.walk, self.got = self.before
        self.settled, self.fresh = set(), set()

    def do(self, what: str, count: int) -> None:
        if what == "say":
            self.said += count
        elif what == "delete":
            self.deleted.add(f"t1_{base36(count + 1)}")
        elif what == "delete below":
            self.deleted |= set(self.walk.after[:count])
        elif what == "crash":
            self.crash(confirmed=bool(count))
        else:
            for _ in range(count):
                self.read()

    def come_to_an_end(self) -> None:
        goal = self.walks + 2
        for _ in range(2000):
            self.read()
            if self.walks == goal:
                return
        raise AssertionError("a walk never ends")

    @property
    def missing(self) -> set[str]:
        return {f"t1_{base36(number + 1)}" for number in range(self.said)} - self.deleted - self.got


@settings(max_examples=500, deadline=None)
@given(_LIFE, st.integers(3, 12))
def test_all_that_is_listed_comes_whatever_is_deleted_and_whoever_dies(
    life: list[tuple[str, int]], size: int
) -> None:
    one = Life(size, shows=10**6)
    for what, count in life:
        one.do(what, count)
    one.come_to_an_end()
    # Who deletes all that it could go on from, again and again within one walk, can hide from it.
    assert not one.missing or life.count(("delete below", 3)) > 1


@settings(max_examples=500, deadline=None)
@given(_LIFE, st.integers(1, 12))
def test_what_a_listing_no_longer_shows_is_told(life: list[tuple[str, int]], size: int) -> None:
    one = Life(size, shows=50)
    one.do("say", 5)
    one.come_to_an_end()
    for what, count in life:
        one.do(what, count)
    one.come_to_an_end()
    assert one.gaps or not one.missing


def test_a_known_thing_that_is_met_is_no_gap() -> None:
    one = Life(5, shows=50)
    for count in (20, 49, 10, 0, 30):
        one.do("say", count)
        one.come_to_an_end()
        one.crash(confirmed=True)
    assert not one.gaps
    assert not one.missing
    one.do("say", 51)
    one.come_to_an_end()
    assert len(one.missing) == 1
    assert one.gaps[0].taken == 50
