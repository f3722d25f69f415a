"""From the words of conditions to checks: fields are looked up, names resolved, loops among names refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

from msgspec import Struct

from pipeline.core.checks import Check, Layout, Rest, Row, denied, either, every, where_present
from pipeline.core.condition_text import (
    KEYWORDS,
    Either,
    Element,
    Every,
    Named,
    Node,
    Not,
    Test,
    parse_condition,
    place,
)
from pipeline.core.errors import ConfigError
from pipeline.core.event_fields import (
    NOT_YET,
    Field,
    element_fields,
    event_fields,
    field_at,
    read_element,
    read_field,
)
from pipeline.core.field_checks import Regex, Sight, field_check
from pipeline.core.schema import suggestion
from pipeline.core.signs import Signs, SignWatch
from pipeline.core.traits import Traits
from pipeline.core.week import Week, week_of
from pipeline.core.wording import Wording, wording_of

OBSERVED = "observed"
"""The column of the times at which the log took posts in."""

TEXT = "text"
"""The path of the field that has signs."""

SIGNS = "signs"
"""The name of the result that is a row's signs."""

_ELEMENT_COST = 5
_WEEK_COST = 2


class Terms(Struct, frozen=True):
    """What a routing file has names for: conditions, and times of week (``hours``), and its own zone."""

    conditions: Mapping[str, str] = {}
    hours: Mapping[str, str] = {}
    zone: str = ""

    def week(self, text: str) -> Week:
        """The times of week of that name, or that ``text`` describes. Raises ConfigError."""
        if text in self.hours:
            return week_of(self.hours[text], self.zone)
        try:
            return week_of(text, self.zone)
        except ConfigError as error:
            hint = suggestion(text, self.hours)
            raise ConfigError(f"{error}{hint}" if "mean" in hint else str(error)) from None


class Conditions:
    """Makes conditions ready for the rows of one layout. ``zone`` is that of dates in conditions."""

    def __init__(self, terms: Terms, regex: Regex, layout: Layout, zone: ZoneInfo | None = None) -> None:
        self._terms = terms
        self._regex = regex
        self._layout = layout
        self._zone = zone
        self.watch = SignWatch()
        self.traits = Traits(layout)
        self._named: dict[str, Check] = {}
        self._under_way: list[str] = []

    def check(self, text: str) -> Check:
        """The check of a condition. Raises ConfigError with the place in it and what is wrong there."""
        return self._of(parse_condition(text), text, None)

    def named(self, name: str) -> Check:
        """The check of the condition of that name, of which each row works out the result once.

        Raises ConfigError for its faults, and where it needs itself, with the names on the way.
        """
        if name in self._under_way:
            circle = [*self._under_way[self._under_way.index(name) :], name]
            raise ConfigError(f"the condition `{name}` needs itself: {' → '.join(circle)}")
        if name not in self._named:
            self._under_way.append(name)
            try:
                check = self.check(self._terms.conditions[name])
            finally:
                self._under_way.pop()
            self._named[name] = self._once(name, check)
        return self._named[name]

    def _once(self, name: str, check: Check) -> Check:
        holds = self._layout.once(("condition", name), check.holds)

        def rest(row: Row) -> Rest:
            left = check.left(row)
            return left if isinstance(left, bool) else holds

        asked = self._layout.once(("rest", name), rest)
        return Check(holds, check.reasons, check.columns, check.options, check.cost, asked)

    def words(self, field: Field) -> Callable[[Row], tuple[Wording, ...]]:
        """A function from a row to the wording of each text of the field, worked out once a row."""
        read = read_field(field, self._layout.column(field.column))
        if field.many:
            return self._layout.once(
                ("words", field.path), lambda row: tuple(wording_of(text) for text in read(row))
            )
        return self._layout.once(("words", field.path), lambda row: (wording_of(read(row) or ""),))

    def signs(self, field: Field) -> Callable[[Row], Signs] | None:
        """A function from a row to the signs of the field's text; None for all fields but the post's text,
        for which whole batches are looked through beforehand."""
        if field.path != TEXT:
            return None
        words = self.words(field)
        return self._layout.once(SIGNS, lambda row: self._signs(words(row)[0]))

    def _signs(self, wording: Wording) -> Signs:
        signs = self.watch.of_words(wording.words)
        return signs | {""} if wording.run else signs

    def _of(self, node: Node, text: str, within: Element | None) -> Check:
        match node:
            case Every(parts):
                return every([self._of(part, text, within) for part in parts])
            case Either(parts):
                return either([self._of(part, text, within) for part in parts])
            case Not(part):
                return denied(self._of(part, text, within))
        try:
            if isinstance(node, Element):
                return self._element(node, text, within)
            return self._leaf(node, within)
        except _PlacedError:
            raise
        except ConfigError as error:
            raise _PlacedError(f"{place(text, node.at)}: {error}") from None

    def _leaf(self, node: Test | Named, within: Element | None) -> Check:
        if isinstance(node, Named):
            return self._name(node.name, node.at, within)
        if node.operator == "within":
            return self._posted(node, within)
        return field_check(node, self._sight(node.field, within), self._regex, self._zone)

    def _name(self, name: str, at: int, within: Element | None) -> Check:
        if within is None and name in self._terms.conditions:
            return self.named(name)
        known = [] if within else list(self._terms.conditions)
        sight = self._sight(name, within, known)
        if sight.field.kind != "yes or no":
            raise ConfigError(
                f"expected a comparison after `{name}`, such as `=`, `in`, `contains`, `exists`"
            )
        return field_check(Test(name, "yes", (), name, at), sight, self._regex, self._zone)

    def _posted(self, test: Test, within: Element | None) -> Check:
        if within:
            raise ConfigError(f"`posted` is about the whole post: move it out of `any {within.field} (…)`")
        name = str(test.values[0])
        week = self._terms.week(name)
        post, observed = self._layout.column("post"), self._layout.column(OBSERVED)

        def moment(row: Row) -> datetime | None:
            said: datetime | None = post(row).created_at or post(row).collected_at or observed(row)
            return said

        holds = self._layout.once(
            ("week", name), lambda row: (when := moment(row)) is not None and week.contains(when)
        )

        def reasons(row: Row) -> list[str]:
            when = moment(row)
            told = f"{when.astimezone(week.zone):%a %H:%M} there" if when else "it has no time"
            return [f"{test.source} ({told})"]

        return Check(holds, reasons, frozenset(("post", OBSERVED)), (), _WEEK_COST)

    def _element(self, node: Element, text: str, within: Element | None) -> Check:
        field = field_at(node.field)
        lists = [name for name, one in event_fields().items() if one.many and not one.inner]
        if within or field is None or field.path not in lists:
            raise ConfigError(
                f"`any … ( )` looks into the elements of {' or '.join(f'`{name}`' for name in lists)},"
                f" and `{node.field}` is none of these"
            )
        part = self._of(node.part, text, node)
        read, test = read_field(field, self._layout.column(field.column)), part.holds

        def reasons(row: Row) -> list[str]:
            elements = read(row) or ()
            found = [element for element in elements if test(element)]
            if found:
                return [f"{node.source} ({'; '.join(part.reasons(found[0]))})"]
            return [f"{node.source} (none of {len(elements)})"]

        def holds(row: Row) -> bool:
            return any(map(test, read(row) or ()))

        columns, present = frozenset((field.column,)), self.traits.presence(field.column)
        rest = where_present(present, holds)
        return Check(holds, reasons, columns, part.options, _ELEMENT_COST, rest)

    def _sight(self, name: str, within: Element | None, others: list[str] | None = None) -> Sight:
        """The field of that name, of the post or of the element under way. Raises ConfigError."""
        if within is not None:
            fields = element_fields(within.field)
            if name not in fields:
                raise ConfigError(
                    f"an element of `{within.field}` has no field `{name}`{suggestion(name, fields)}"
                )
            read = read_element(fields[name])
            return Sight(fields[name], read, lambda one: (wording_of(read(one) or ""),), many=False)
        field = field_at(name)
        if field is None:
            _unknown(name, others or [])
        column = self._layout.column(field.column)
        words: Any = self.words(field) if field.kind == "text" else None
        signs, watch = self.signs(field), self.watch.add
        return Sight(field, read_field(field, column), words, field.many, signs, watch, self.traits)


class _PlacedError(ConfigError):
    """One that says already where in the condition it is."""


def _unknown(name: str, others: list[str]) -> NoReturn:
    top = name.partition(".")[0]
    if top in NOT_YET:
        raise ConfigError(f"`{name}` is not known yet when a post is routed")
    if name.startswith("post."):
        raise ConfigError(
            f"`{name}` is called `{name.removeprefix('post.')}` here, as in `groundswell query`"
        )
    known = [*event_fields(), *others]
    if any(field.startswith(f"{top}.") for field in known):
        known = [field for field in known if field.startswith(f"{top}.")]
    raise ConfigError(f"there is no field `{name}`{suggestion(name, known)}")


def refuse_name(name: str) -> str:
    """Why a condition cannot have this name; empty where it can."""
    if field_at(name) is not None:
        return "is the name of a field of the event"
    return "is a word of the conditions themselves" if name.lower() in KEYWORDS else ""
