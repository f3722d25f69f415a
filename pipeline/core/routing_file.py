"""The form of ``routing.toml``, strictly read: every problem at once, each with its place.

docs/routing.md explains the file to those who write it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, Struct

from pipeline.core.case_work import VERBS
from pipeline.core.checks import Check, Layout
from pipeline.core.conditions import SIGNS, Conditions, Terms, refuse_name
from pipeline.core.conversion import quoted_key, whole_file
from pipeline.core.errors import ConfigError, raise_problems
from pipeline.core.event import Route
from pipeline.core.event_fields import field_at, read_field
from pipeline.core.field_checks import Regex
from pipeline.core.routing import DEFAULT_RULE, Queue, Router, Rule, Rules, Seeing, Told
from pipeline.core.schema import suggestion
from pipeline.core.week import zone_of

REVISION = 1
"""Goes up with every change in the reading of rules that may route a post differently."""

# A queue is part of a topic's name, a rule of a line of the log.
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_NAME_SHAPE = "has at most 64 lower-case letters, digits, `_` and `-`, a letter or digit first"

Priority = Annotated[int, Meta(ge=1, le=9)]


class QueueTable(Struct, frozen=True, kw_only=True):
    """``[queues.NAME]``."""

    priority: Priority = 5
    hours: str = ""
    first_response_minutes: Annotated[int, Meta(ge=1, le=527_040)] | None = None
    about: str = ""


class RuleTable(Struct, frozen=True, kw_only=True):
    """``[[rules]]``."""

    id: str
    when: Annotated[str, Meta(min_length=1)]
    queue: str = ""
    priority: Priority | None = None
    ignore: bool = False
    about: str = ""

    def __post_init__(self) -> None:
        if self.ignore == bool(self.queue):
            raise ValueError("expected either `queue` or `ignore = true`")
        if self.ignore and self.priority:
            raise ValueError("`priority` is that in a queue, and `ignore` sends to none")


class RoutingFile(Struct, frozen=True, kw_only=True):
    """The whole file."""

    mode: Literal["first", "all"] = "first"
    default: str = ""
    timezone: str = ""
    hours: dict[str, str] = {}
    conditions: dict[str, str] = {}
    queues: dict[str, QueueTable] = {}
    rules: tuple[RuleTable, ...] = ()


def read_routing(raw: bytes, origin: str, regex: Regex) -> Router:
    """The router of a file's content. ``origin`` begins the message of the ConfigError that lists every
    problem; ``regex`` compiles the patterns of ``matches``."""
    file = whole_file(RoutingFile, raw, origin)
    building = _Building(file, regex)
    router = building.router()
    raise_problems(building.problems, origin)
    return router


class _Building:
    """One file on its way to a router. ``problems`` grows as it goes."""

    def __init__(self, file: RoutingFile, regex: Regex) -> None:
        self.problems: list[str] = []
        self._file = file
        zone: ZoneInfo | None = None
        terms = Terms(file.conditions, file.hours, file.timezone)
        if file.timezone:
            try:
                zone = zone_of(file.timezone)
            except ConfigError as error:
                self.problems.append(f"timezone: {error}")
                terms = Terms(file.conditions, file.hours, "UTC")  # that each use of it is not told as well
        self._terms = terms
        self._layout = Layout()
        self._conditions = Conditions(terms, regex, self._layout, zone)

    def router(self) -> Router:
        """The router, of no use where there were problems."""
        self._names()
        queues = {name: self._queue(name, table) for name, table in self._file.queues.items()}
        default = None
        if self._file.default and self._known("default", self._file.default):
            default = Route(self._file.default, queues[self._file.default].priority, DEFAULT_RULE)
        seen: dict[str, int] = {}
        rules = [
            rule
            for number, table in enumerate(self._file.rules)
            if (rule := self._rule(number, table, queues, seen)) is not None
        ]
        said = Rules(tuple(rules), queues, default, self._file.mode == "first", _version(self._file))
        told = Told(self._conditions.traits, self._conditions.watch, SIGNS)
        return Router(said, self._layout, self._see, told)

    def _names(self) -> None:
        """Judges the names that the file gives, and what they stand for."""
        for name in self._file.hours:
            self._judge(f"hours.{quoted_key(name)}", lambda name=name: self._terms.week(name))
        for name in self._file.conditions:
            at = f"conditions.{quoted_key(name)}"
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{0,63}", name):
                self.problems.append(
                    f"{at}: a name begins with a letter and has letters, digits, `_` and `-`"
                )
            elif reason := refuse_name(name):
                self.problems.append(f"{at}: `{name}` {reason}: choose another name")
            else:
                self._judge(at, lambda name=name: self._conditions.named(name))

    def _queue(self, name: str, table: QueueTable) -> Queue:
        at = f"queues.{quoted_key(name)}"
        if not _NAME.fullmatch(name):
            self.problems.append(f"{at}: the name of a queue {_NAME_SHAPE}")
        elif name in VERBS:
            self.problems.append(
                f"{at}: `{name}` is a word of the command `groundswell queue`: choose another name"
            )
        hours = self._judge(f"{at}.hours", lambda: self._terms.week(table.hours)) if table.hours else None
        return Queue(
            name=name,
            priority=table.priority,
            hours=hours,
            first_response_minutes=table.first_response_minutes,
            about=table.about,
        )

    def _rule(
        self, number: int, table: RuleTable, queues: Mapping[str, Queue], seen: dict[str, int]
    ) -> Rule | None:
        at = f'rules[{number}] "{table.id}"'
        if not _NAME.fullmatch(table.id):
            self.problems.append(f"{at}: the id of a rule {_NAME_SHAPE}")
        elif table.id == DEFAULT_RULE:
            self.problems.append(f"{at}: this id stands for the default queue: choose another")
        elif table.id in seen:
            self.problems.append(f"{at}: rules[{seen[table.id]}] has the same id: choose another")
        seen.setdefault(table.id, number)
        check: Check | None = self._judge(f"{at}.when", lambda: self._conditions.check(table.when))
        if table.ignore:
            return Rule(table.id, check, None) if check else None
        if not self._known(f"{at}.queue", table.queue) or check is None:
            return None
        priority = table.priority or queues[table.queue].priority
        return Rule(table.id, check, Route(table.queue, priority, table.id))

    def _known(self, at: str, queue: str) -> bool:
        if queue in self._file.queues:
            return True
        hint = suggestion(queue, self._file.queues) or f": add a table [queues.{quoted_key(queue)}]"
        self.problems.append(f"{at}: there is no queue `{queue}`{hint}")
        return False

    def _judge(self, at: str, work: Any) -> Any:
        try:
            return work()
        except ConfigError as error:
            problem = f"{at}: {error}"
            # A fault in a named condition is met again by each rule that needs it.
            if not any(known.endswith(f": {error}") for known in self.problems):
                self.problems.append(problem)
            return None

    def _see(self, path: str) -> Seeing:
        field = field_at(path)
        assert field is not None  # keys are made of fields that were found
        values = read_field(field, self._layout.column(field.column))
        conditions = self._conditions
        return Seeing(values, conditions.words(field), field.many, conditions.signs(field))


def _version(file: RoutingFile) -> str:
    """Revision and a digest of what the file says; comments and the order of tables do not count."""
    said = msgspec.json.encode(file, order="sorted")
    return f"{REVISION}.{hashlib.sha256(said).hexdigest()[:12]}"
