"""docs/fields.md says what the mapping says, in both directions, and the documents hold no other field."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from pipeline.app.fields import Field, catalogue
from pipeline.app.registry import build_chain
from pipeline.core.configuration import read_settings
from pipeline.core.event import Event
from pipeline.core.post import decode_post

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


def test_what_the_page_calls_empty_is_filled_by_no_step_and_all_else_is(tmp_path: Path) -> None:
    section = PAGE.read_text().partition("## What was found in it\n")[2].partition("\n## ")[0]
    prose, _, table = section.partition("\n| field")
    file = tmp_path / "groundswell.toml"
    file.write_text(f'[enrichers.entities]\nfile = "{files("configs") / "brands.toml"}"\n')
    lines = (files("configs") / "demo" / "posts.jsonl").read_bytes().splitlines()
    chain = build_chain(read_settings(file, {}))
    moment = datetime(2026, 11, 22, tzinfo=UTC)
    posts = [decode_post(line) for line in lines]
    found: set[str] = set()
    for event in chain.process(posts, [moment] * len(posts), prefix="demo", now=moment):
        found |= _filled(msgspec.to_builtins(event), "")
    assert set(re.findall(r"`([a-z.]+)`", prose)) == {row[0] for row in ROW.findall(table)} - found


def _filled(data: Any, path: str) -> set[str]:
    if isinstance(data, dict):
        return {name for key, value in data.items() for name in _filled(value, f"{path}.{key}".strip("."))}
    if isinstance(data, list | tuple):
        return {name for value in data for name in _filled(value, path)}
    return {path}


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
