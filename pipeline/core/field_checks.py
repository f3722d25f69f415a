"""Checks on one field: comparison, sets, words, patterns, existence; and which values suit which field.

A value that a field can never have is refused: a rule that can never hold would fail in silence.
A field that a post does not have fulfils none of these checks.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, get_args, get_origin
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from pipeline.core.checks import Check, Holds, Key, Rest, where_present
from pipeline.core.condition_text import Test, Value
from pipeline.core.errors import ConfigError
from pipeline.core.event_fields import Field
from pipeline.core.schema import bare, expected, suggestion
from pipeline.core.signs import Signs
from pipeline.core.traits import Traits
from pipeline.core.wording import Phrase, Wording, phrase_of

Regex = Callable[[str], Callable[[str], bool]]
"""Compiles a pattern into a search in linear time; raises ConfigError with what is wrong, and where."""

_ORDER = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_CHEAP, _WORDS, _PATTERN = 1, 4, 20
_SHOWN = 60


class Sight(Struct, frozen=True):
    """A field as a condition sees it: of the whole post, or of one element of a list.

    ``read`` gives its value, or its values where ``many``; ``words`` the wording of each. ``signs``, where
    there are any, tell of the one value which phrases cannot be in it, once they were handed to ``watch``.
    ``traits``, for fields of the post, take up what is asked of the field.
    """

    field: Field
    read: Callable[[Any], Any]
    words: Callable[[Any], tuple[Wording, ...]]
    many: bool
    signs: Callable[[Any], Signs] | None = None
    watch: Callable[[tuple[Phrase, ...]], None] | None = None
    traits: Traits | None = None


def field_check(test: Test, sight: Sight, regex: Regex, zone: ZoneInfo | None) -> Check:
    """The check of a test. Dates without a time begin in ``zone``, else in UTC. Raises ConfigError."""
    if test.operator != "exists" and sight.field.kind == "table":
        raise ConfigError(f"`{test.field}` is a table: ask for a field in it, or whether it `exists`")
    columns = frozenset((sight.field.column,))
    made = _BY_OPERATOR[test.operator](test, sight, regex, zone)
    read, source, rest = sight.read, test.source, made.rest or _rest(made, sight)

    def reasons(row: Any) -> list[str]:
        return [f"{source} ({_shown(read(row))})"]

    return Check(made.holds, reasons, columns, made.options, made.cost, rest)


class _Made(NamedTuple):
    """What a check is made of, as there."""

    holds: Holds
    options: tuple[frozenset[Key], ...]
    cost: int
    rest: Callable[[Any], Rest] | None = None


def _rest(made: _Made, sight: Sight) -> Callable[[Any], Rest] | None:
    """Nothing where the field has one of some values or has not: its traits tell that."""
    field, traits = sight.field, sight.traits
    if traits is None:
        return None
    values = [key.value for keys in made.options for key in keys if not key.is_word]
    if values:
        traits.add(field, values)
        return made.holds
    return where_present(traits.presence(field.column), made.holds) if field.column != "post" else None


def _equal(test: Test, sight: Sight, _: Regex, zone: ZoneInfo | None) -> _Made:
    read, value = sight.read, _suited(test.values[0], sight.field, zone)
    keys = frozenset((Key(sight.field.path, value),))
    if sight.many:
        return _Made(lambda row: value in read(row), (keys,), _CHEAP)
    return _Made(lambda row: read(row) == value, (keys,), _CHEAP)


def _ordered(test: Test, sight: Sight, _: Regex, zone: ZoneInfo | None) -> _Made:
    if sight.field.kind not in ("number", "time"):
        raise ConfigError(
            f"`{test.operator}` compares numbers and times, and `{test.field}` is {_A[sight.field.kind]}"
        )
    read, bound, compare = sight.read, _suited(test.values[0], sight.field, zone), _ORDER[test.operator]
    if sight.many:
        return _Made(
            lambda row: any(one is not None and compare(one, bound) for one in read(row)), (), _CHEAP
        )
    return _Made(lambda row: (value := read(row)) is not None and compare(value, bound), (), _CHEAP)


def _any_of(test: Test, sight: Sight, _: Regex, zone: ZoneInfo | None) -> _Made:
    read = sight.read
    values = frozenset(_suited(value, sight.field, zone) for value in test.values)
    keys = (frozenset(Key(sight.field.path, value) for value in values),)
    if sight.many:
        return _Made(lambda row: not values.isdisjoint(read(row)), keys, _CHEAP)
    return _Made(lambda row: read(row) in values, keys, _CHEAP)


def _all_of(test: Test, sight: Sight, _: Regex, zone: ZoneInfo | None) -> _Made:
    if not sight.many:
        raise ConfigError(f"`{test.field}` has one value only, which cannot be all of several: use `in`")
    read = sight.read
    values = frozenset(_suited(value, sight.field, zone) for value in test.values)
    keys = tuple(frozenset((Key(sight.field.path, value),)) for value in values)
    return _Made(lambda row: values.issubset(read(row)), keys, _CHEAP)


def _contains_any(test: Test, sight: Sight, _: Regex, __: ZoneInfo | None) -> _Made:
    phrases, words = _phrases(test, sight), sight.words
    keys = frozenset(_key(phrase, sight) for phrase in phrases)
    options = (keys,) if all(key.value for key in keys) else ()
    if sight.signs:
        rest = _any_signed(phrases, sight.signs, sight.read, words)
        return _Made(_asked_at_once(rest), options, _WORDS, rest)
    return _Made(lambda row: any(one.is_in(text) for text in words(row) for one in phrases), options, _WORDS)


def _any_signed(
    phrases: tuple[Phrase, ...],
    signs: Callable[[Any], Signs],
    read: Callable[[Any], str],
    words: Callable[[Any], tuple[Wording, ...]],
) -> Callable[[Any], Rest]:
    """Whether one of the phrases is there: as a rule the signs tell, and the text is not cut into words."""
    decisive = frozenset(phrase.sign for phrase in phrases if phrase.alone)
    longer = [(phrase.sign, phrase) for phrase in phrases if not phrase.alone]

    def rest(row: Any) -> Rest:
        seen = signs(row)
        if not seen:
            return False
        if not decisive.isdisjoint(seen):
            return True
        likely = [phrase for sign, phrase in longer if sign in seen]
        return bool(likely) and (lambda row: is_one_there(likely, row))

    def is_one_there(likely: list[Phrase], row: Any) -> bool:
        text = read(row)
        for phrase in likely:  # noqa: SIM110 - a generator takes longer than most of what it asks
            if phrase.may_be_in(text) and phrase.is_in(words(row)[0]):
                return True
        return False

    return rest


def _asked_at_once(rest: Callable[[Any], Rest]) -> Holds:
    def holds(row: Any) -> bool:
        left = rest(row)
        return left if isinstance(left, bool) else left(row)

    return holds


def _contains_all(test: Test, sight: Sight, _: Regex, __: ZoneInfo | None) -> _Made:
    phrases, words = _phrases(test, sight), sight.words
    keys = [_key(phrase, sight) for phrase in phrases]
    options = tuple(frozenset((key,)) for key in keys if key.value)

    def holds(row: Any) -> bool:
        return all(any(one.is_in(text) for text in words(row)) for one in phrases)

    if not (signs := sight.signs):
        return _Made(holds, options, _WORDS)
    needed = frozenset(phrase.sign for phrase in phrases)
    return _Made(holds, options, _WORDS, lambda row: holds if needed <= signs(row) else False)


def _key(phrase: Phrase, sight: Sight) -> Key:
    return Key(sight.field.path, phrase.sign if sight.signs else phrase.key, is_word=True)


def _matches(test: Test, sight: Sight, regex: Regex, _: ZoneInfo | None) -> _Made:
    _only_texts(test, sight)
    search, read = regex(str(test.values[0])), sight.read
    if sight.many:
        return _Made(lambda row: any(search(one) for one in read(row)), (), _PATTERN)
    return _Made(lambda row: (value := read(row)) is not None and search(value), (), _PATTERN)


def _exists(_: Test, sight: Sight, __: Regex, ___: ZoneInfo | None) -> _Made:
    read = sight.read
    # An event leaves out what is empty, so an empty text is a missing one, but 0 and false are values.
    return _Made(lambda row: (value := read(row)) is not None and value not in _EMPTY, (), _CHEAP)


def _yes(_: Test, sight: Sight, __: Regex, ___: ZoneInfo | None) -> _Made:
    read = sight.read
    return _Made(lambda row: read(row) is True, (frozenset((Key(sight.field.path, True),)),), _CHEAP)


_EMPTY: tuple[Any, ...] = ("", (), [], {})
_A = {"text": "a text", "yes or no": "true or false", "number": "a number", "time": "a time"}
_BY_OPERATOR: dict[str, Callable[[Test, Sight, Regex, ZoneInfo | None], _Made]] = {
    "=": _equal,
    **dict.fromkeys(_ORDER, _ordered),
    "any of": _any_of,
    "all of": _all_of,
    "contains any of": _contains_any,
    "contains all of": _contains_all,
    "matches": _matches,
    "exists": _exists,
    "yes": _yes,
}


def _phrases(test: Test, sight: Sight) -> tuple[Phrase, ...]:
    _only_texts(test, sight)
    wrong = next((value for value in test.values if not isinstance(value, str)), None)
    if wrong is not None:
        raise ConfigError(f"words to look for stand in quotes, got {_literal(wrong)}")
    phrases = tuple(phrase_of(str(value)) for value in test.values)
    if sight.watch and sight.signs:
        sight.watch(phrases)
    return phrases


def _only_texts(test: Test, sight: Sight) -> None:
    if sight.field.kind != "text":
        raise ConfigError(f"`{test.field}` is {_A[sight.field.kind]}, and only texts have words in them")


def _suited(value: Value, field: Field, zone: ZoneInfo | None) -> Any:
    """The value as the field's type has it; ConfigError where the field can never have it."""
    if field.kind == "time":
        return _moment(value, field, zone)
    try:
        return msgspec.convert(value, field.annotation)
    except msgspec.ValidationError:
        core = bare(field.annotation)
        hint = ""
        if get_origin(core) is Literal and isinstance(value, str):
            hint = suggestion(value, get_args(core))
        raise ConfigError(
            f"`{field.path}` is never {_literal(value)}: it is {expected(field.annotation)}"
            + (hint if "mean" in hint else "")
        ) from None


def _moment(value: Value, field: Field, zone: ZoneInfo | None) -> datetime:
    try:
        moment = datetime.fromisoformat(str(value))
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone or UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ConfigError(
            f"`{field.path}` is a time, and {_literal(value)} is none:"
            ' write it like "2026-11-22" or "2026-11-22T18:00:00Z"'
        ) from None


def _literal(value: Value) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    return str(value).lower()


def _shown(value: Any) -> str:
    """A value for a person, at most a line of it."""
    if value is None or value in _EMPTY:
        return "it has none"
    if isinstance(value, list | tuple):
        return "it has " + _cut(", ".join(_one(each) for each in value))
    return f"it is {_one(value)}"


def _one(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, str):
        return f'"{_cut(" ".join(value.split()))}"'
    return "there" if isinstance(value, Struct | dict) else _literal(value)


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
