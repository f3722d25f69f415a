"""docs/fields.md says what the mapping says, in both directions, and the documents hold no other field."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec

from pipeline.app.fields import Field, catalogue
from pipeline.core.event import Event

PAGE = Path(__file__).parents[1] / "docs" / "fields.md"
ROW = re.compile(r"^\| `([^`]+)` \| ([^|]+) \| ([^|]+) \| `([^|]+)` \|$", re.MULTILINE)
TYPES = {
    "word": {"keyword"},
    "text": {"text"},
    "number": {"long", "double"},
    "time": {"date"},
    "yes or no": {"boolean"},
    "words by name": {"flattened"},
}


def test_every_mapped_field_is_explained_and_every_explained_one_mapped() -> None:
    explained = [row[0] for row in ROW.findall(PAGE.read_text())]
    assert len(explained) == len(set(explained))
    assert set(explained) == set(catalogue())


def test_the_page_tells_the_types() -> None:
    for name, told, _, _ in ROW.findall(PAGE.read_text()):
        kind, _, many = told.partition(", ")
        assert catalogue()[name].type in TYPES[kind], name
        assert catalogue()[name].many == (many == "many"), name


def test_every_field_of_an_event_is_mapped() -> None:
    mapped = set(catalogue())
    info: Any = msgspec.inspect.type_info(Event)
    left_out = {"index", "schema", "post.schema"}
    for name in _leaves(info, ""):
        short = name.removeprefix("post.")
        if name not in left_out and not short.startswith("metrics"):
            assert short in mapped, name


def _leaves(type_: Any, path: str) -> list[str]:
    if isinstance(type_, msgspec.inspect.UnionType):
        parts = [part for part in type_.types if not isinstance(part, msgspec.inspect.NoneType)]
        return _leaves(parts[0], path)
    if isinstance(type_, msgspec.inspect.VarTupleType):
        return _leaves(type_.item_type, path)
    if isinstance(type_, msgspec.inspect.StructType):
        dot = f"{path}." if path else ""
        return [leaf for field in type_.fields for leaf in _leaves(field.type, dot + field.name)]
    return [path]


def test_a_field_knows_how_it_is_sorted() -> None:
    assert catalogue()["author.name"] == Field("author.name", "text", False, "author.name.keyword")
    assert catalogue()["entities.id"].many
    assert catalogue()["text"].exact == ""
