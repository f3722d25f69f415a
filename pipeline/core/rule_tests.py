"""Tests of rules, as they stand beside them in ``routing_test.toml``: an event's fields, and where it goes.

A test names only the fields that matter to it; all others are as if nothing had been said or found.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from pipeline.core.conversion import whole_file
from pipeline.core.errors import ConfigError, raise_problems
from pipeline.core.event import Event
from pipeline.core.event_fields import NOT_YET, event_fields
from pipeline.core.post import Post
from pipeline.core.routing import Router, Way
from pipeline.core.schema import bare, in_words, is_optional, is_struct, item_of, suggestion


class TestTable(Struct, frozen=True, kw_only=True):
    """``[[tests]]``. ``queues`` and ``rules`` are what is expected, in the order of the rules."""

    name: Annotated[str, Meta(min_length=1)]
    event: dict[str, Any]
    queues: list[str] | None = None
    rules: list[str] | None = None

    def __post_init__(self) -> None:
        if self.queues is None and self.rules is None:
            raise ValueError("expected `queues` or `rules`: where the event must go")


class TestFile(Struct, frozen=True, kw_only=True):
    """The whole file."""

    tests: tuple[TestTable, ...] = ()


class RuleTest(Struct, frozen=True):
    """One test, its event spread into columns."""

    name: str
    columns: dict[str, Any]
    queues: list[str] | None
    rules: list[str] | None


class Result(Struct, frozen=True):
    """What came of a test; ``way`` tells how the rules came to it."""

    name: str
    passed: bool
    expected: str
    got: str
    way: Way


def read_rule_tests(raw: bytes, origin: str) -> list[RuleTest]:
    """The tests of a file's content; ConfigError that begins with ``origin`` and lists every problem."""
    file = whole_file(TestFile, raw, origin)
    tests, problems = [], []
    for number, table in enumerate(file.tests):
        try:
            columns = columns_from(table.event)
        except ConfigError as error:
            problems.append(f'tests[{number}] "{table.name}": {error}')
            continue
        tests.append(RuleTest(table.name, columns, table.queues, table.rules))
    raise_problems(problems, origin)
    return tests


def run_rule_tests(router: Router, tests: list[RuleTest]) -> list[Result]:
    """The result of each test, in order."""
    return [_run(router, test) for test in tests]


def _run(router: Router, test: RuleTest) -> Result:
    way = router.explain(test.columns)
    queues, rules = [route.queue for route in way.routes], [route.rule for route in way.routes]
    wanted = [
        (what, want, got)
        for what, want, got in (("queues", test.queues, queues), ("rules", test.rules, rules))
        if want is not None
    ]
    return Result(
        test.name,
        all(want == got for _, want, got in wanted),
        "; ".join(f"{what} {_listed(want)}" for what, want, _ in wanted),
        "; ".join(f"{what} {_listed(got)}" for what, _, got in wanted),
        way,
    )


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "none"


def columns_from(said: dict[str, Any]) -> dict[str, Any]:
    """All columns of an event of which only some fields are said, by the names that rules use for them.

    Raises ConfigError for a name that is no field, and a value that the field cannot have.
    """
    top = {path.partition(".")[0] for path in event_fields()}
    for name in said:
        if name not in top:
            raise ConfigError(f"event.{name}: there is no such field{suggestion(name, top)}")
    columns: dict[str, Any] = {"observed": None}
    for field in msgspec.structs.fields(Event):
        if field.name in NOT_YET or field.name == "post":
            continue
        if field.name in said:
            columns[field.name] = _value(said[field.name], field.type, f"event.{field.name}")
        else:
            columns[field.name] = () if item_of(bare(field.type)) else None
    columns["post"] = _post({name: value for name, value in said.items() if name not in columns})
    return columns


def _post(said: dict[str, Any]) -> Post:
    source = said.get("source", "test")
    given = {"id": f"{source}:1", "text": "", "author": {}, **said}
    author = given["author"]
    if isinstance(author, dict):
        given["author"] = {"id": f"{source}:author", **author}
    post: Post = _value(given, Post, "event")
    return post


def _value(said: Any, annotation: Any, at: str) -> Any:
    """What was said as the type wants it, with nothing said in place of what is missing."""
    try:
        return msgspec.convert(_whole(said, annotation, at), annotation)
    except msgspec.ValidationError as error:
        message, _, path = str(error).rpartition(" - at `$")
        place = f"{at}{path.rstrip('`')}" if message else at
        raise ConfigError(f"{place}: {message or error}") from None


def _whole(said: Any, annotation: Any, at: str) -> Any:
    core, item = bare(annotation), item_of(bare(annotation))
    if item is not None and isinstance(said, list):
        return [_whole(one, item, f"{at}[{number}]") for number, one in enumerate(said)]
    if not is_struct(core) or not isinstance(said, dict):
        return said
    fields = {field.name: field for field in msgspec.structs.fields(core)}
    for name in said:
        if name not in fields:
            raise ConfigError(f"{at}.{name}: there is no such field{suggestion(name, fields)}")
    return {
        name: _whole(said[name], field.type, f"{at}.{name}") if name in said else _nothing(field.type)
        for name, field in fields.items()
        if name in said or field.required
    }


def _nothing(annotation: Any) -> Any:
    """The value of a field of which nothing was said."""
    if is_optional(annotation):
        return None
    kind = in_words(annotation)[0]
    return {"integer": 0, "number": 0.0, "true or false": False}.get(kind, "")
