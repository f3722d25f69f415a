"""The fields of an event that a rule may read, by the names that the index and `query` use for them.

All of it follows from the types of Event and Post: a field added there can be read at once. Fields of
the post stand without ``post.`` (``text``, ``author.followers``), as in docs/fields.md.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import Any, Literal, get_origin

import msgspec
from msgspec import Struct

from pipeline.core.event import Event
from pipeline.core.schema import bare, in_words, is_struct, item_of

Kind = Literal["text", "number", "yes or no", "time", "table"]

# Only known once the routes are, or of no use before.
NOT_YET = ("routes", "versions", "index", "version", "processed_at", "schema")


class Field(Struct, frozen=True):
    """``column`` is the event's own field, ``inner`` the attributes below it or below its elements.

    ``many`` says that one post may have several values. ``annotation`` is the type of one value. An
    ``open`` field is a table of numbers by any name, ``key`` the name in it.
    """

    path: str
    column: str
    inner: tuple[str, ...]
    kind: Kind
    annotation: Any
    many: bool = False
    key: str = ""


@cache
def event_fields() -> dict[str, Field]:
    """Every readable field by its path; tables and lists of tables among them."""
    found: dict[str, Field] = {}
    for field in msgspec.structs.fields(Event):
        if field.name in NOT_YET:
            continue
        core, item = bare(field.type), item_of(bare(field.type))
        if field.name == "post":
            _add_struct(found, core, "", Field("", "post", (), "table", core))
            continue
        top = Field(field.name, field.name, (), "table", item or core, many=item is not None)
        found[field.name] = top
        _add_struct(found, bare(item) if item else core, field.name, top)
    return found


def _add_struct(found: dict[str, Field], kind: type[Struct], path: str, above: Field) -> None:
    for field in msgspec.structs.fields(kind):
        if not path and field.name in NOT_YET:
            continue
        at = f"{path}.{field.name}" if path else field.name
        inner = (*above.inner, field.name)
        core = bare(field.type)
        if is_struct(core):
            _add_struct(found, core, at, Field(at, above.column, inner, "table", core))
            continue
        item = item_of(core)
        many = above.many or item is not None
        annotation = field.type if item is None else item
        found[at] = Field(at, above.column, inner, _kind(annotation), annotation, many)


def _kind(annotation: Any) -> Kind:
    core = bare(annotation)
    if core is datetime:
        return "time"
    if get_origin(core) is dict:
        return "table"
    if core is bool:
        return "yes or no"
    return "number" if in_words(annotation)[0] in ("integer", "number") else "text"


def field_at(path: str) -> Field | None:
    """The field of that path, None where there is none. Of ``metrics`` any name below it is a number."""
    found = event_fields().get(path)
    table, _, key = path.partition(".")
    if (
        found is None
        and key
        and (above := event_fields().get(table))
        and get_origin(above.annotation) is dict
    ):
        return Field(path, above.column, above.inner, "number", int, key=key)
    return found


def element_fields(path: str) -> dict[str, Field]:
    """The fields of one element of a list of tables (``entities``) by their names within it."""
    start = f"{path}."
    return {
        name.removeprefix(start): field for name, field in event_fields().items() if name.startswith(start)
    }


def read_field(field: Field, row: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function from whatever ``row`` takes the field's column out of, to the field's value or values.

    None, or no values, where the column has none.
    """
    if not field.inner:
        return row
    read = read_value(field)
    return lambda source: read(row(source))


def read_value(field: Field) -> Callable[[Any], Any]:
    """A function from what stands in the field's column to the field's value or values, as `read_field`."""
    if not field.inner:
        return lambda value: value
    get = attrgetter(".".join(field.inner))
    if field.key:
        return lambda value: get(value).get(field.key)
    if field.column == "post":
        return get
    if event_fields()[field.column].many:
        return lambda value: [get(element) for element in value] if value else ()
    nothing = () if field.many else None
    return lambda value: nothing if value is None else get(value)


def read_element(field: Field) -> Callable[[Any], Any]:
    """A function from one element of a list of tables to the value of the field in it."""
    return attrgetter(field.inner[-1])
