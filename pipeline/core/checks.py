"""Conditions made ready, and how they join: closures over rows, what they are found by, their reasons.

A row is one post: a list that holds the columns which the conditions read, and behind them what was
worked out for one condition and serves the next (the words of a text, a named condition). Rows are
laid out by a :class:`Layout`. Nothing here knows fields or words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from msgspec import Struct

Row = list[Any]
Holds = Callable[[Any], bool]
Reasons = Callable[[Any], list[str]]
Rest = bool | Holds
"""A condition's result, or the test by which it is still to be found out."""

_NOT = "not "


class Key(NamedTuple):
    """The value that the field at the path ``by`` has, or with ``is_word`` a word that is in it."""

    by: str
    value: Any
    is_word: bool = False


class Check(Struct, frozen=True):
    """A condition made ready.

    ``holds`` judges a row. ``reasons`` gives the tests that made it hold, or not, each with the value
    that it saw. ``columns`` are what it reads. ``options`` are sets of keys, of each of which at least
    one must be a row's for the condition to hold; without any, nothing is known beforehand. ``cost``
    orders checks, the cheapest first. ``rest`` gives what is to be asked of every row that has this one's
    traits and signs (:mod:`pipeline.core.traits`); without it that is ``holds``.
    """

    holds: Holds
    reasons: Reasons
    columns: frozenset[str]
    options: tuple[frozenset[Key], ...] = ()
    cost: int = 1
    rest: Callable[[Any], Rest] | None = None

    def left(self, row: Any) -> Rest:
        """What is to be asked of rows that are like this one."""
        return self.rest(row) if self.rest else self.holds


class Layout:
    """Where columns and intermediate results stand in a row. Grows while conditions are made ready.

    Columns count from the front and results from the back, so that both may still grow.
    """

    def __init__(self) -> None:
        self.columns: list[str] = ["post"]
        self._results: dict[object, int] = {}

    def column(self, name: str) -> Callable[[Row], Any]:
        """A function from a row to its value of the column."""
        if name not in self.columns:
            self.columns.append(name)
        at = self.columns.index(name)
        return itemgetter(at)

    def once(self, name: object, work: Callable[[Row], Any]) -> Callable[[Row], Any]:
        """``work``, done at most once a row for all that give it this name. It must not return None."""
        at = self.place(name)

        def result(row: Row) -> Any:
            found = row[at]
            if found is None:
                found = row[at] = work(row)
            return found

        return result

    def place(self, name: object) -> int:
        """Where in a row the result of that name stands; None stands there until it was worked out."""
        return -1 - self._results.setdefault(name, len(self._results))

    def row(self, values: Iterable[Any]) -> Row:
        """The row of one post: its values of ``columns``, in their order, and room for results."""
        return [*values, *[None] * len(self._results)]


def every(parts: Sequence[Check]) -> Check:
    """All of the parts hold."""
    ordered = sorted(parts, key=lambda part: part.cost)

    def reasons(row: Any) -> list[str]:
        failed = next((part for part in parts if not part.holds(row)), None)
        return [reason for part in ([failed] if failed else parts) for reason in part.reasons(row)]

    options = tuple(keys for part in parts for keys in part.options)
    holds = _all_of([part.holds for part in ordered])
    rest = _rest_of(ordered, False, _all_of)
    return Check(holds, reasons, _columns(parts), options, max(part.cost for part in parts), rest)


def _all_of(tests: list[Holds]) -> Holds:
    """Two tests and three, as most rules have, without a loop: it would take longer than the tests."""
    if len(tests) == 1:
        return tests[0]
    if len(tests) == 2:
        one, two = tests
        return lambda row: one(row) and two(row)
    if len(tests) == 3:
        one, two, three = tests
        return lambda row: one(row) and two(row) and three(row)

    def holds(row: Any) -> bool:
        for test in tests:  # noqa: SIM110 - `all` over a generator takes twice as long
            if not test(row):
                return False
        return True

    return holds


def either(parts: Sequence[Check]) -> Check:
    """At least one part holds."""
    ordered = sorted(parts, key=lambda part: part.cost)

    def reasons(row: Any) -> list[str]:
        held = next((part for part in parts if part.holds(row)), None)
        return [reason for part in ([held] if held else parts) for reason in part.reasons(row)]

    options: tuple[frozenset[Key], ...] = ()
    if all(part.options for part in parts):
        # The smallest set of each part: all combinations would be too many to keep.
        smallest = (min(part.options, key=len) for part in parts)
        options = (frozenset(key for keys in smallest for key in keys),)
    holds = _any_of([part.holds for part in ordered])
    rest = _rest_of(ordered, True, _any_of)
    return Check(holds, reasons, _columns(parts), options, max(part.cost for part in parts), rest)


def _any_of(tests: list[Holds]) -> Holds:
    if len(tests) == 1:
        return tests[0]

    def holds(row: Any) -> bool:
        for test in tests:  # noqa: SIM110 - as above
            if test(row):
                return True
        return False

    return holds


def _rest_of(
    parts: Sequence[Check], decides: bool, joined: Callable[[list[Holds]], Holds]
) -> Callable[[Any], Rest]:
    """The rest of parts of which one that is ``decides`` makes the whole so: what the open ones leave."""

    def rest(row: Any) -> Rest:
        tests: list[Holds] = []
        for part in parts:
            left = part.left(row)
            if left is decides:
                return decides
            if not isinstance(left, bool):
                tests.append(left)
        return joined(tests) if tests else not decides

    return rest


def denied(part: Check) -> Check:
    """The part does not hold."""
    test = part.holds

    def reasons(row: Any) -> list[str]:
        return [_denial(reason) for reason in part.reasons(row)]

    def rest(row: Any) -> Rest:
        left = part.left(row)
        return not left if isinstance(left, bool) else lambda row: not left(row)

    return Check(lambda row: not test(row), reasons, part.columns, (), part.cost, rest)


def where_present(column: Callable[[Any], Any], holds: Holds) -> Callable[[Any], Rest]:
    """The rest of a condition that never holds where there is nothing in the column."""
    return lambda row: holds if column(row) else False


def _denial(reason: str) -> str:
    """A test that was asked to fail, told as such: without it a rule would seem to hold by its contrary."""
    return reason.removeprefix(_NOT) if reason.startswith(_NOT) else _NOT + reason


def _columns(parts: Sequence[Check]) -> frozenset[str]:
    return frozenset(column for part in parts for column in part.columns)
