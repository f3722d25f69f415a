"""Parts are found by the names of their modules, and the chain is built as the settings say."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from pipeline.app import registry
from pipeline.core.errors import ConfigError
from pipeline.core.settings import EnrichSettings, Settings


def settings(*steps: str, **tables: dict[str, object]) -> Settings:
    return Settings(enrich=EnrichSettings(steps=steps), enrichers=tables)


def test_parts_are_known_by_their_files_and_pieces_are_not() -> None:
    assert {"language", "sentiment"} <= set(registry.known("enrichers"))
    assert "jsonl" in registry.known("connectors")
    assert not [
        name for family in ("connectors", "enrichers") for name in registry.known(family) if name[0] == "_"
    ]


@pytest.mark.parametrize("family", ["connectors", "enrichers"])
def test_every_part_keeps_the_contract_of_a_part(family: registry.Family) -> None:
    for kind in registry.known(family):
        module = registry.load(family, kind)
        assert issubclass(module.SETTINGS, msgspec.Struct), kind
        assert module.SETTINGS.__struct_config__.frozen, kind
        assert module.SETTINGS.__struct_config__.forbid_unknown_fields, kind
        assert callable(module.build), kind


@pytest.mark.parametrize("kind", ["_vader", "sentimnt", "os", "../x", "", "sentiment.SETTINGS"])
def test_an_unknown_kind_is_refused_with_the_known_ones(kind: str) -> None:
    with pytest.raises(ConfigError, match="there is no enricher") as told:
        registry.load("enrichers", kind)
    assert "`sentiment`" in str(told.value)
    assert "`language`" in str(told.value)


def test_the_nearest_kind_is_suggested() -> None:
    with pytest.raises(ConfigError, match="did you mean `sentiment`"):
        registry.load("enrichers", "sentimnt")


def test_the_default_chain() -> None:
    steps = ["language", "sentiment", "entities", "complaint", "contacts", "customer", "route"]
    assert list(registry.build_chain(Settings()).versions) == steps


def test_a_steps_own_table_reaches_it() -> None:
    with_table = registry.build_chain(settings("language", "sentiment", sentiment={"normalise": False}))
    assert with_table.versions["sentiment"] != registry.build_chain(Settings()).versions["sentiment"]


def test_the_problems_of_all_steps_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as told:
        registry.build_chain(
            settings(
                "langage", "sentiment", sentiment={"normalise": "yes please", "nromalise": True}, entitees={}
            )
        )
    message = str(told.value)
    for part in (
        "enrich.steps[0]",
        "`langage`",
        "enrichers.sentiment.normalise",
        "nromalise",
        "enrichers.entitees",
    ):
        assert part in message


def test_steps_in_a_wrong_order_are_refused() -> None:
    with pytest.raises(ConfigError, match="move it behind `language`"):
        registry.build_chain(settings("sentiment", "language"))


def test_a_connector_is_built_from_its_table(tmp_path: Path) -> None:
    file = tmp_path / "posts.jsonl"
    file.write_text(json.dumps({"id": "x:1", "text": "hi", "author": {"id": "x:a"}}) + "\n")
    connector = registry.build_connector("mine", {"kind": "jsonl", "path": str(file)})
    assert [post.id for post in connector.read(None).posts] == ["x:1"]
    connector.close()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            {"kind": "jsnl", "path": "x"},
            "connectors.mine.kind: there is no connector `jsnl`, did you mean `jsonl`",
        ),
        ({"path": "x"}, "connectors.mine.kind: missing"),
        ({"kind": "jsonl"}, "connectors.mine.path: missing"),
        ({"kind": "jsonl", "path": "x", "pth": "y"}, "connectors.mine.pth: unknown key"),
    ],
)
def test_a_connectors_faults_are_told_with_their_paths(table: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as told:
        registry.build_connector("mine", table)
    assert message in str(told.value)
