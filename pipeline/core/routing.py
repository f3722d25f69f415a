"""Which queues a post goes to: rules in their order, each with a condition made ready beforehand.

Pure, and fast with many rules: a rule is asked only where a post has the value or the word without
which its condition cannot hold. Where rules come from is :mod:`pipeline.core.routing_file`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from pipeline.core.checks import Check, Holds, Key, Layout, Row
from pipeline.core.event import Event, Route
from pipeline.core.post import Post
from pipeline.core.signs import Signs, SignWatch
from pipeline.core.traits import Traits
from pipeline.core.week import Week
from pipeline.core.wording import Wording

DEFAULT_RULE = "default"
"""Stands in ``Route.rule`` where no rule held and the default queue took the post."""

Routes = tuple[Route, ...]

_Rest = list[tuple[Holds, Route | None]]
"""What is still to be asked of rules that may hold, in order, and where each leads."""

_WORD_COST = 20
"""Cutting a text into words takes about as long as asking so many rules."""

_REMEMBERED = 10_000
"""Kinds of posts, by traits and signs, of which is known what is to be asked of them: some 10 MB."""


class Queue(Struct, frozen=True, kw_only=True):
    """``hours`` are when people work in it, None for always. ``priority`` 1 is the most pressing."""

    name: str
    priority: int
    hours: Week | None = None
    first_response_minutes: int | None = None
    about: str = ""

    def due_at(self, arrived: datetime) -> datetime | None:
        """When the first response is due, in UTC, by the minutes within ``hours``; None without a promise.

        Raises OverflowError where the calendar ends before.
        """
        if self.first_response_minutes is None:
            return None
        if self.hours is None:
            return arrived + timedelta(minutes=self.first_response_minutes)
        return self.hours.after(arrived, self.first_response_minutes)


class Rule(Struct, frozen=True):
    """``route`` is where a post goes for which ``check`` holds; None: nowhere, and no later rule is asked."""

    id: str
    check: Check
    route: Route | None


class Step(Struct, frozen=True):
    """One rule on the way: whether it held, and the tests that decided, each with the value it saw."""

    rule: str
    held: bool
    reasons: tuple[str, ...] = ()
    queue: str = ""


class Way(Struct, frozen=True):
    """How a post came to its routes; the last step is where the reading of the rules ended."""

    routes: Routes
    steps: tuple[Step, ...]


class Seeing(Struct, frozen=True):
    """How the values of a field, or the words of its texts, are taken from a row. ``signs`` are words too,
    beforehand known to matter."""

    values: Callable[[Row], Any]
    words: Callable[[Row], tuple[Wording, ...]]
    many: bool
    signs: Callable[[Row], Signs] | None = None


class Told(Struct, frozen=True):
    """What is told of posts before any rule is asked: their ``traits``, and by ``watch`` the signs of texts,
    which stand in the rows under the name of ``signs``."""

    traits: Traits
    watch: SignWatch
    signs: object


class Rules(Struct, frozen=True):
    """What one file says. ``version`` changes whenever anything in it does."""

    rules: tuple[Rule, ...]
    queues: dict[str, Queue]
    default: Route | None
    first_only: bool
    version: str


class Router:
    """The rules of one file, ready for posts. One thread at a time may route whole batches."""

    def __init__(self, rules: Rules, layout: Layout, see: Callable[[str], Seeing], told: Told) -> None:
        """``layout`` is that of the rules' checks, ``see`` gives the way to a field by its path."""
        self.rules = rules.rules
        self.queues = rules.queues
        self.version = rules.version
        self._first_only = rules.first_only
        self._default: Routes = (rules.default,) if rules.default else ()
        self._index = _Index([rule.check.options for rule in self.rules], see)
        self._layout = layout
        self._told = told
        self._known: dict[tuple[Any, ...], Routes | _Rest] = {}
        self._signs = layout.place(told.signs)
        self._room = layout.row(())

    @property
    def watch(self) -> SignWatch:
        """Tells the signs of texts."""
        return self._told.watch

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the rules read, ``post`` first: fields of Event, and perhaps ``observed``."""
        return tuple(self._layout.columns)

    def readers(self, column: str) -> list[str]:
        """The ids of the rules that read a column."""
        return [rule.id for rule in self.rules if column in rule.check.columns]

    def route(self, columns: Mapping[str, Any]) -> Routes:
        """The routes of one post by its value of each of ``columns``, in the order of the rules.

        At most one a queue; none for deletions and for posts of our own accounts. A column may be None
        where a step found nothing.
        """
        row = self._layout.row(columns[name] for name in self._layout.columns)
        return self._ask(row, self._rest(row))

    def route_all(self, columns: Mapping[str, Sequence[Any]], signs: Sequence[Signs | None]) -> list[Routes]:
        """The routes of each post of a batch; see `route`. ``signs`` are those that its text holds for
        ``watch``, None where they are not known."""
        kinds = zip(signs, map(_is_exempt, columns["post"]), *self._told.traits.of_all(columns), strict=True)
        rows = zip(*(columns[name] for name in self._layout.columns), strict=True)
        known, found = self._known, []
        for kind, values in zip(kinds, rows, strict=True):
            rest = known.get(kind)
            if rest.__class__ is not tuple:
                row = [*values, *self._room]
                row[self._signs] = kind[0]
                rest = self._ask(row, self._learn(kind, row) if rest is None else rest)
            found.append(rest)
        return found

    def _learn(self, kind: tuple[Any, ...], row: Row) -> Routes | _Rest:
        """The rest for rows of a kind of which this is the first."""
        rest = self._rest(row)
        # Where signs are not known, or tell not all, rows of the same kind may have other words.
        if kind[0] is not None and not self._index.asks_words:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[kind] = rest
        return rest

    def _ask(self, row: Row, rest: Routes | _Rest) -> Routes:
        if isinstance(rest, tuple):
            return rest
        if not self._first_only:
            return self._taken(route for holds, route in rest if holds(row))
        for holds, route in rest:
            if holds(row):
                return (route,) if route else ()
        return self._default

    def _rest(self, row: Row) -> Routes | _Rest:
        """What is still to be asked of each row with the same traits and signs; if nothing, its routes."""
        if _is_exempt(row[0]):
            return ()
        rest: _Rest = []
        for number in self._index.candidates(row):
            check, route = self.rules[number].check, self.rules[number].route
            left = check.left(row)
            if left is True:
                rest.append((_certain, route))
                if self._first_only or route is None:
                    break
            elif left is not False:
                rest.append((left, route))
        if all(holds is _certain for holds, _ in rest):
            return self._taken(route for _, route in rest)
        return rest

    def _taken(self, held: Iterable[Route | None]) -> Routes:
        """The routes of a post by those of the rules that hold, in order."""
        found: list[Route] = []
        for route in held:
            if route is None:
                return tuple(found)
            if self._first_only:
                return (route,)
            if all(route.queue != other.queue for other in found):
                found.append(route)
        return tuple(found) if found else self._default

    def explain(self, columns: Mapping[str, Any]) -> Way:
        """`route` with its reasons, from asking all rules one by one: slow, and the same result."""
        row = self._layout.row(columns[name] for name in self._layout.columns)
        if _is_exempt(row[0]):
            told = "a deletion" if row[0].deleted else "a post of our own account"
            return Way((), (Step("", True, (f"{told} is never routed",)),))
        steps: list[Step] = []
        found: list[Route] = []
        for rule in self.rules:
            held = rule.check.holds(row)
            queue = rule.route.queue if held and rule.route else ""
            steps.append(Step(rule.id, held, tuple(rule.check.reasons(row)), queue))
            if held and rule.route and all(rule.route.queue != other.queue for other in found):
                found.append(rule.route)
            if held and (self._first_only or rule.route is None):
                return Way(tuple(found), tuple(steps))
        if found:
            return Way(tuple(found), tuple(steps))
        last = Step(DEFAULT_RULE, bool(self._default), (), self._default[0].queue if self._default else "")
        return Way(self._default, (*steps, last))


def columns_of(event: Event) -> dict[str, Any]:
    """An event's own columns, as `Router.route` takes them."""
    return {**msgspec.structs.asdict(event), "observed": event.processed_at}


def _certain(_: Row) -> bool:
    return True


def _is_exempt(post: Post) -> bool:
    return post.deleted or post.direction == "outbound"


class _Table(NamedTuple):
    """The rules to ask by the values, or by the words, of one field; ``see`` takes these from a row."""

    see: Callable[[Row], Any]
    rules: dict[Any, list[int]]
    vocabulary: frozenset[Any]


class _Index:
    """Which rules are worth asking for a row; the others cannot hold."""

    def __init__(self, options: Sequence[Sequence[frozenset[Key]]], see: Callable[[str], Seeing]) -> None:
        common = Counter(key for sets in options for keys in sets for key in keys)
        # A text with signs need not be cut into words.
        signed = frozenset(by for by in {key.by for key in common if key.is_word} if see(by).signs)

        def has_words(keys: frozenset[Key]) -> bool:
            return any(key.is_word and key.by not in signed for key in keys)

        # Where one rule needs the words of texts anyhow, they cost the others nothing.
        forced = any(sets and all(map(has_words, sets)) for sets in options)
        word_cost = 0 if forced else _WORD_COST
        self._always: list[int] = []
        tables: dict[tuple[str, bool], dict[Any, list[int]]] = {}
        for number, sets in enumerate(options):
            if not sets:
                self._always.append(number)
                continue
            for key in min(sets, key=lambda keys: _cost(keys, common) + word_cost * has_words(keys)):
                tables.setdefault((key.by, key.is_word), {}).setdefault(key.value, []).append(number)
        # By what `see` gives: one value, several, signs, the wordings of texts.
        self._single: list[_Table] = []
        self._many: list[_Table] = []
        self._signed: list[_Table] = []
        self._worded: list[_Table] = []
        for (by, is_word), found in tables.items():
            self._file(see(by), is_word, found)

    def _file(self, seeing: Seeing, is_word: bool, rules: dict[Any, list[int]]) -> None:
        vocabulary = frozenset(rules)
        if is_word and seeing.signs:
            self._signed.append(_Table(seeing.signs, rules, vocabulary))
        elif is_word:
            self._worded.append(_Table(seeing.words, rules, vocabulary))
        else:
            tables = self._many if seeing.many else self._single
            tables.append(_Table(seeing.values, rules, vocabulary))

    @property
    def asks_words(self) -> bool:
        """Whether the words of texts without signs decide which rules are asked."""
        return bool(self._worded)

    def candidates(self, row: Row) -> Iterable[int]:
        """The numbers of the rules to ask, in order."""
        found: list[int] = []
        for see, rules, _ in self._single:
            if hit := rules.get(see(row)):
                found += hit
        for see, rules, _ in self._many:
            for value in see(row):
                if value in rules:
                    found += rules[value]
        for see, rules, vocabulary in self._signed:
            for word in vocabulary & see(row):
                found += rules[word]
        for see, rules, vocabulary in self._worded:
            for wording in see(row):
                for word in vocabulary & wording.words:
                    found += rules[word]
        if not found:
            return self._always
        if len(found) == 1 and not self._always:
            return found
        return sorted({*found, *self._always})


def _cost(keys: frozenset[Key], common: Mapping[Key, int]) -> int:
    """How many rules are asked along with this one at worst."""
    return max(common[key] for key in keys)
