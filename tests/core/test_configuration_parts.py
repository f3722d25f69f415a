"""The parts' own tables, nested structs, and whose variable is whose."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta, Struct

from pipeline.core.configuration import convert_table, read_settings
from pipeline.core.errors import ConfigError
from pipeline.core.settings import Secret, Settings

TOKEN = "s3cr3t-hunter2"


class Part(Struct, frozen=True, kw_only=True):
    """SETTINGS of a made-up connector."""

    account: str
    token: Secret
    password: Secret = Secret()
    limit: Annotated[int, Meta(ge=1)] = 5
    url: str = ""


def read(text: str | bytes, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of a file with this text, in a folder of its own."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "groundswell.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_settings(path, environ or {})


def problems(text: str | bytes, environ: Mapping[str, str] | None = None) -> list[str]:
    """Every problem that reading this text reports."""
    with pytest.raises(ConfigError) as caught:
        read(text, environ)
    first, *rest = str(caught.value).split("\n  ")
    assert f"{len(rest)} problem" in first
    assert "groundswell.toml" in first
    return rest


def part(text: str, environ: dict[str, str] | None = None, name: str = "x") -> Part:
    settings = read(text, environ)
    return convert_table(Part, settings.connectors[name], f"connectors.{name}", environ=environ or {})


def test_a_part_reads_its_table_and_its_variables() -> None:
    environ = {"GROUNDSWELL_CONNECTORS_X_TOKEN": TOKEN, "GROUNDSWELL_CONNECTORS_X_LIMIT": "9"}
    found = part('[connectors.x]\nkind = "k"\naccount = "a"\nlimit = 2', environ)
    assert found == Part(account="a", token=Secret(TOKEN), limit=9)
    assert TOKEN not in repr(found)


def test_the_process_s_own_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUNDSWELL_CONNECTORS_X_TOKEN", TOKEN)
    assert convert_table(Part, {"account": "a"}, "connectors.x").token.reveal() == TOKEN


def test_a_part_tells_all_its_problems_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        part('[connectors.x]\nkind = "k"\nlimt = 2\nlimit = 0', {"GROUNDSWELL_CONNECTORS_X_TOKN": "1"})
    first, *rest = str(caught.value).split("\n  ")
    assert first.startswith("settings file ")
    assert first.endswith("groundswell.toml: 5 problems")
    assert rest == [
        "connectors.x.limt: unknown key, did you mean `limit`?",
        "connectors.x.account: missing, expected text: set `account` or the variable"
        " GROUNDSWELL_CONNECTORS_X_ACCOUNT",
        "connectors.x.token: missing, expected a secret: set `token_file` or the variable"
        " GROUNDSWELL_CONNECTORS_X_TOKEN",
        "connectors.x.limit: expected an integer at least 1, got 0",
        "GROUNDSWELL_CONNECTORS_X_TOKN: unknown variable, did you mean `GROUNDSWELL_CONNECTORS_X_TOKEN`?",
    ]


def test_a_variable_belongs_to_the_longest_name_that_fits() -> None:
    text = '[connectors.x]\nkind = "k"\naccount = "a"\n[connectors.x-eu]\nkind = "k"\naccount = "b"'
    environ = {"GROUNDSWELL_CONNECTORS_X_TOKEN": "one", "GROUNDSWELL_CONNECTORS_X_EU_TOKEN": "two"}
    assert part(text, environ).token.reveal() == "one"
    assert part(text, environ, "x-eu").token.reveal() == "two"


def test_names_that_share_their_variables_are_refused() -> None:
    text = '[connectors.a-b]\nkind = "k"\n[connectors.a_b]\nkind = "k"\n[connectors."A B"]\nkind = "k"'
    assert problems(text) == [
        "connectors.a_b: shares its variables' names with connectors.a-b: rename one of them",
        'connectors."A B": a name has at most 64 lower-case letters, digits, `_` and `-`',
    ]


def test_a_connector_s_kind_may_come_from_a_variable() -> None:
    settings = read("[connectors.x]", {"GROUNDSWELL_CONNECTORS_X_KIND": "jsonl"})
    assert settings.connectors["x"]["kind"] == "jsonl"


def test_every_step_has_a_table_and_its_variables() -> None:
    environ = {"GROUNDSWELL_ENRICHERS_SENTIMENT_LIMIT": "7", "GROUNDSWELL_ENRICHERS_SENTIMENT_ACCOUNT": "a"}
    settings = read("", environ | {"GROUNDSWELL_ENRICHERS_SENTIMENT_TOKEN": "t"})
    assert dict(settings.enrichers) == {step: {} for step in settings.enrich.steps}
    environ |= {"GROUNDSWELL_ENRICHERS_SENTIMENT_TOKEN": "t"}
    found = convert_table(Part, settings.enrichers["sentiment"], "enrichers.sentiment", environ=environ)
    assert found.limit == 7


def test_a_faulty_list_of_steps_brings_no_false_alarm_on_their_variables() -> None:
    [told] = problems("[enrich]\nsteps = 3", {"GROUNDSWELL_ENRICHERS_SENTIMENT_X": "1"})
    assert told.startswith("enrich.steps: ")


class Rule(Struct, frozen=True):
    words: tuple[str, ...]
    weight: float = 1.0


class Deep(Struct, frozen=True, kw_only=True):
    """All the shapes that a section may have."""

    retry: Rule = Rule(("again",))
    rules: tuple[Rule, ...] = ()
    queues: dict[str, Rule] = {}
    files: Annotated[tuple[Path, ...], Meta(min_length=1, max_length=2)] = (Path("/x"),)
    mode: Literal["a", "b"] | None = None
    on: bool = False
    ports: list[int] = []
    extra: Any = None


def test_nested_tables_and_lists_of_tables_are_walked() -> None:
    data = {
        "retry": {"words": ["a"]},
        "rules": [{"words": ["b"], "weight": 2}],
        "queues": {"press": {"words": []}},
        "files": ["f"],
        "mode": "b",
        "extra": [1],
    }
    environ = {
        "GROUNDSWELL_DEEP_ON": "Yes",
        "GROUNDSWELL_DEEP_PORTS": "1,2",
        "GROUNDSWELL_DEEP_RETRY_WEIGHT": "3",
    }
    assert convert_table(Deep, data, "deep", environ=environ) == Deep(
        retry=Rule(("a",), 3.0),
        rules=(Rule(("b",), 2.0),),
        queues={"press": Rule(())},
        files=(Path.cwd() / "f",),
        mode="b",
        on=True,
        ports=[1, 2],
        extra=[1],
    )
    assert convert_table(Deep, {}, "deep", environ={}) == Deep()


def test_problems_in_nested_tables_have_their_whole_path() -> None:
    data = {
        "rules": [{"words": ["b"]}, {"words": [1], "wieght": 2}, 3],
        "queues": {"press": {}, "x y": {"words": "a"}},
        "files": ["a", "b", "c"],
        "on": 1,
    }
    with pytest.raises(ConfigError) as caught:
        convert_table(Deep, data, "deep", environ={"GROUNDSWELL_DEEP_ON": "maybe"})
    assert str(caught.value).split("\n  ")[1:] == [
        "deep.rules[1].wieght: unknown key, did you mean `weight`?",
        "deep.rules[1].words[0]: expected text, got 1",
        "deep.rules[2]: expected a table, got a number",
        "deep.queues.press.words: missing, expected a list of texts: set `words`",
        'deep.queues."x y".words: expected a list of texts, got text',
        "deep.files: expected a list of paths, 1 or more and at most 2, got a list",
        'GROUNDSWELL_DEEP_ON: expected true or false, got "maybe"',
    ]


@pytest.mark.parametrize(("text", "shown"), [("inf", "inf"), ("nan", "nan"), ("-Infinity", "-inf")])
def test_a_number_is_finite_even_where_it_has_no_bounds(text: str, shown: str) -> None:
    with pytest.raises(ConfigError, match=f"WEIGHT: expected a number, got {shown}"):
        convert_table(Rule, {"words": []}, "rule", environ={"GROUNDSWELL_RULE_WEIGHT": text})
