"""Struct types of settings, seen as a schema: the flat list of their keys, and types in words.

Works for any frozen msgspec struct, so a section or a part's SETTINGS gets its checks, variables
and documentation from its fields alone. Holds no value and reads nothing.
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from pipeline.core.settings import Secret

PREFIX = "GROUNDSWELL"


class Setting(NamedTuple):
    """One key. ``path`` is dotted, ``variable`` the environment's name for it."""

    path: str
    key: str
    variable: str
    annotation: Any
    default: Any
    meaning: str

    @property
    def secret(self) -> bool:
        """Whether the value must come from the environment or from a file of its own."""
        return bare(self.annotation) is Secret


def settings_of(kind: type[Struct], path: str = "", variable: str = PREFIX) -> Iterator[Setting]:
    """Every key of ``kind`` that a single value fills, depth first, in the order of the fields.

    Tables of tables and lists of tables are left out: a variable cannot reach into them.
    """
    for field in msgspec.structs.fields(kind):
        key = field.encode_name
        at, name = join(path, key), variable_of(variable, key)
        core = bare(field.type)
        if is_struct(core):
            yield from settings_of(core, at, name)
        elif is_single(core):
            yield Setting(at, key, name, field.type, default_of(field), meaning_of(field.type))


def default_of(field: msgspec.structs.FieldInfo) -> Any:
    """The field's default; ``msgspec.NODEFAULT`` where the field is required."""
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default


def join(path: str, key: str) -> str:
    """The dotted path of ``key`` within ``path``."""
    return f"{path}.{key}" if path else key


def variable_of(variable: str, key: str) -> str:
    """The environment's name for ``key`` within the table that ``variable`` stands for."""
    return f"{variable}_{key.replace('-', '_').upper()}"


def bare(annotation: Any) -> Any:
    """The type without its `Annotated` and without `| None`, which TOML cannot say."""
    if get_origin(annotation) is Annotated:
        return bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        rest = [part for part in get_args(annotation) if part is not type(None)]
        if len(rest) == 1:
            return bare(rest[0])
    return annotation


def is_struct(core: Any) -> bool:
    """Whether a bare type is a struct, hence a table with known keys."""
    return isinstance(core, type) and issubclass(core, Struct)


def is_optional(annotation: Any) -> bool:
    """Whether None is among the values."""
    if get_origin(annotation) is Annotated:
        return is_optional(get_args(annotation)[0])
    return type(None) in get_args(annotation)


def item_of(core: Any) -> Any:
    """The annotation of the items of `list[X]` and `tuple[X, ...]`; None for any other bare type."""
    items = get_args(core)
    if get_origin(core) is list or (get_origin(core) is tuple and items[1:] == (...,)):
        return items[0]
    return None


def is_single(core: Any) -> bool:
    """Whether one text can give a value of this bare type: a scalar, or a list of scalars."""
    item = item_of(core)
    if item is not None:
        return item_of(bare(item)) is None and is_single(bare(item))
    return core is not Any and get_origin(core) is not dict and not is_struct(core)


def length_fits(annotation: Any, length: int) -> bool:
    """Whether a list of so many items keeps the bounds in the annotation."""
    info = _described(annotation)[0]
    least, most = getattr(info, "min_length", None), getattr(info, "max_length", None)
    return length >= (least or 0) and (most is None or length <= most)


def meaning_of(annotation: Any) -> str:
    """The description in the annotation, empty where it has none."""
    if get_origin(annotation) is Annotated:
        for note in get_args(annotation)[1:]:
            if isinstance(note, Meta) and note.description:
                return note.description
    return ""


_ARTICLES = {
    "integer": "an integer",
    "number": "a number",
    "list": "a list",
    "table": "a table",
    "path": "the path of a file",
    "secret": "a secret",
    "value": "another kind of value",
}


def expected(annotation: Any) -> str:
    """What a value must be, for a message: "an integer from 1 to 1000"."""
    kind, bounds = in_words(annotation)
    return f"{_ARTICLES.get(kind, kind)} {bounds}".rstrip()


def in_words(annotation: Any) -> tuple[str, str]:
    """The type and its bounds in words, such as ("integer", "from 1 to 1000"); bounds may be empty."""
    core = bare(annotation)
    if core in (Path, Secret):
        return core.__name__.lower(), ""
    if is_struct(core) or get_origin(core) is dict:
        return "table", ""
    if get_origin(core) is Literal:  # msgspec would sort the words
        return "one of", ", ".join(str(word) for word in get_args(core))
    info, shape = _described(annotation)
    item = item_of(core)
    if item is not None:
        return "list", ", ".join(
            filter(None, ["of " + _ITEMS.get(in_words(item)[0], "values"), _lengths(info)])
        )
    kind, bounds = _scalar_in_words(info)
    return kind, shape or bounds


def _scalar_in_words(info: Any) -> tuple[str, str]:
    match info:
        case msgspec.inspect.IntType():
            return "integer", _range(info)
        case msgspec.inspect.FloatType():
            return "number", _range(info)
        case msgspec.inspect.BoolType():
            return "true or false", ""
        case msgspec.inspect.StrType(pattern=pattern):
            lengths = _lengths(info)
            matching = f"matching `{pattern}`" if pattern is not None else ""
            return "text", " ".join(filter(None, [lengths and f"of {lengths} characters", matching]))
    return "value", ""


_ITEMS = {"integer": "integers", "number": "numbers", "text": "texts", "path": "paths", "table": "tables"}


def _described(annotation: Any) -> tuple[Any, str]:
    """What msgspec knows of the type, without `| None`, and the shape of a text in words."""
    info = msgspec.inspect.type_info(annotation)
    shape = ""
    while isinstance(info, msgspec.inspect.Metadata | msgspec.inspect.UnionType):
        if isinstance(info, msgspec.inspect.Metadata):
            shape = shape or (info.extra or {}).get("shape", "")
            info = info.type
        elif len(rest := [one for one in info.types if not isinstance(one, msgspec.inspect.NoneType)]) == 1:
            info = rest[0]
        else:
            break
    return info, shape


def _range(info: msgspec.inspect.IntType | msgspec.inspect.FloatType) -> str:
    if info.ge is not None and info.le is not None:
        return f"from {info.ge} to {info.le}"
    parts = [
        f"{words} {bound}"
        for words, bound in (
            ("at least", info.ge),
            ("above", info.gt),
            ("at most", info.le),
            ("below", info.lt),
        )
        if bound is not None
    ]
    return " and ".join(parts)


def _lengths(info: Any) -> str:
    least = f"{info.min_length} or more" if info.min_length else ""
    most = f"at most {info.max_length}" if info.max_length is not None else ""
    return " and ".join(filter(None, [least, most]))


def suggestion(word: str, known: Iterable[str]) -> str:
    """The end of a message on an unknown word: the nearest known words, or else all of them."""
    words = sorted(set(known))
    distances = {other: _distance(word.lower(), other.lower()) for other in words if len(word) < 200}
    least = min(distances.values(), default=0)
    # A third of the letters wrong is about where a person no longer sees a slip of the finger.
    if distances and least <= max(1, len(word) // 3):
        nearest = " or ".join(f"`{other}`" for other in words if distances[other] == least)
        return f", did you mean {nearest}?"
    if not words:
        return ""
    return "; known are " + ", ".join(f"`{other}`" for other in words)


def _distance(one: str, two: str) -> int:
    """Optimal string alignment: insertions, deletions, replacements, swaps of neighbours."""
    before: list[int] = []
    row = list(range(len(two) + 1))
    for i, a in enumerate(one, 1):
        before, last, row = row, before, [i]
        for j, b in enumerate(two, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == two[j - 2] and one[i - 2] == b:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1]
