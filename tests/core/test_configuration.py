"""The strict reading of settings: what is accepted, what every mistake is told, and what never shows."""

from __future__ import annotations

import json
import re
import string
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.configuration import read_settings
from pipeline.core.errors import ConfigError
from pipeline.core.schema import Setting, settings_of
from pipeline.core.settings import (
    RESERVED,
    ElasticsearchSettings,
    EngineSettings,
    EnrichSettings,
    HttpSettings,
    KafkaSettings,
    LogSettings,
    Secret,
    Settings,
)

SCHEMA = list(settings_of(Settings))
SHIPPED = Path(__file__).parents[2] / "configs" / "groundswell.toml"
TOKEN = "s3cr3t-hunter2"


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


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


def as_toml(settings: Settings) -> str:
    """The settings as a file; secrets left out."""
    lines = []
    for setting in SCHEMA:
        section, key = setting.path.split(".")
        value = getattr(getattr(settings, section), key)
        if not setting.secret:
            shown = json.dumps("" if value is None else value, default=str, ensure_ascii=False)
            lines.append(f"{section}.{key} = {shown}")
    return "\n".join(lines)


def key_in_file(setting: Setting) -> str:
    return f"{setting.key}_file" if setting.secret else setting.key


# --- what is accepted -------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "\ufeff", "# nothing\r\n", "[kafka]\n[connectors]\n"])
def test_an_empty_file_gives_the_defaults(text: str) -> None:
    settings = read(text)
    assert msgspec.structs.replace(settings, enrichers={}) == Settings()


def test_without_a_file_the_defaults_and_the_environment_hold() -> None:
    settings = read_settings(None, {"GROUNDSWELL_KAFKA_PARTITIONS": "8", "PATH": "x", "groundswell_x": "y"})
    assert settings.kafka.partitions == 8
    assert settings.log == LogSettings()


NAMES = st.from_regex(r"\A[a-z0-9][a-z0-9._-]{0,20}\Z")
SECTIONS = st.builds(
    Settings,
    kafka=st.builds(
        KafkaSettings,
        bootstrap=st.sampled_from(["", "k:9092", "a.b-c:1,[::1]:9092"]),
        prefix=NAMES,
        partitions=st.integers(1, 1000),
        posts_days=st.integers(1, 30),
    ),
    elasticsearch=st.builds(
        ElasticsearchSettings,
        url=st.sampled_from(["", "http://h:9200", "https://h/es"]),
        prefix=NAMES,
        ca_file=st.sampled_from([None, Path("/etc/ca.pem")]),
        timeout_seconds=st.floats(0, 3600, exclude_min=True),
    ),
    engine=st.builds(
        EngineSettings, commit_seconds=st.floats(0.001, 60), bulk_bytes=st.integers(1000, 10**8)
    ),
    enrich=st.builds(
        EnrichSettings,
        steps=st.lists(st.sampled_from(["language", "sentiment", "x_1"]), unique=True).map(tuple),
    ),
    http=st.builds(
        HttpSettings, host=st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1)
    ),
    log=st.builds(LogSettings, level=st.sampled_from(["debug", "info", "warning", "error"])),
)


@given(SECTIONS)
def test_settings_written_as_toml_are_read_back(settings: Settings) -> None:
    assert msgspec.structs.replace(read(as_toml(settings)), enrichers={}) == settings


@given(SECTIONS)
def test_variables_say_the_same_as_the_file(settings: Settings) -> None:
    environ = {}
    for setting in SCHEMA:
        section, key = setting.path.split(".")
        value = getattr(getattr(settings, section), key)
        if isinstance(value, tuple):
            environ[setting.variable] = ",".join(value)
        elif not setting.secret:
            environ[setting.variable] = "" if value is None else str(value)
    assert msgspec.structs.replace(read_settings(None, environ), enrichers={}) == settings


def test_the_environment_wins_over_the_file() -> None:
    settings = read(
        '[kafka]\npartitions = 2\nprefix = "file"',
        {"GROUNDSWELL_KAFKA_PARTITIONS": " 3 ", "GROUNDSWELL_ENRICH_STEPS": "sentiment, language,"},
    )
    assert (settings.kafka.partitions, settings.kafka.prefix) == (3, "file")
    assert settings.enrich.steps == ("sentiment", "language")


def test_a_relative_path_starts_at_the_file_and_in_a_variable_at_the_working_directory(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "groundswell.toml"
    path.write_text('[elasticsearch]\nca_file = "tls/ca.pem"\nusername = "u"\npassword_file = "pw"')
    (folder / "pw").write_text("in file\n")
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    found = read_settings(Path("../groundswell.toml"), {}).elasticsearch
    assert found.ca_file is not None
    assert found.ca_file.resolve() == (folder / "tls/ca.pem").resolve()
    assert found.password == Secret("in file")
    (elsewhere / "pw").write_text("in variable's file")
    environ = {"GROUNDSWELL_ELASTICSEARCH_PASSWORD_FILE": "pw", "GROUNDSWELL_ELASTICSEARCH_CA_FILE": "ca.pem"}
    found = read_settings(path, environ).elasticsearch
    assert found.password == Secret("in variable's file")
    assert found.ca_file == Path.cwd() / "ca.pem"
    monkeypatch.setenv("HOME", str(folder))
    assert (
        read_settings(None, {"GROUNDSWELL_ELASTICSEARCH_CA_FILE": "~/c"}).elasticsearch.ca_file
        == folder / "c"
    )


def test_the_shipped_file_holds_every_key_with_its_default() -> None:
    data = tomllib.loads(SHIPPED.read_text(encoding="utf-8"))
    assert msgspec.structs.replace(read_settings(SHIPPED, {}), enrichers={}) == Settings()
    keys = {f"{section}.{key}" for section, table in data.items() for key in table}
    assert keys == {f"{setting.path}_file" if setting.secret else setting.path for setting in SCHEMA}


def test_every_key_of_the_shipped_file_has_a_comment() -> None:
    lines = SHIPPED.read_text(encoding="utf-8").splitlines()
    for before, line in pairwise(lines):
        if " = " in line and not line.startswith("#"):
            assert before.startswith("# "), line


# --- the schema itself ------------------------------------------------------------------------


def test_no_two_settings_share_a_variable() -> None:
    names = list(RESERVED)
    for setting in SCHEMA:
        names += [setting.variable] + ([f"{setting.variable}_FILE"] if setting.secret else [])
    assert len(names) == len(set(names))
    assert not [
        name for name in names if name.startswith(("GROUNDSWELL_CONNECTORS_", "GROUNDSWELL_ENRICHERS_"))
    ]


def test_every_setting_says_what_it_means_and_has_a_default() -> None:
    for setting in SCHEMA:
        assert setting.meaning.endswith("."), setting.path
        assert setting.default is not msgspec.NODEFAULT, setting.path


def test_every_variable_that_the_programs_read_is_known() -> None:
    """A variable that some module reads by itself must not be refused as unknown."""
    set_by_us_for_servers = {"GROUNDSWELL_SERVER"}
    root = Path(__file__).parents[2]
    files = [
        path
        for name in ("pipeline", "connectors", "enrichers", "sinks")
        for path in (root / name).rglob("*.py")
    ]
    found = {
        name
        for path in files
        for name in re.findall(r'"(GROUNDSWELL_[A-Z_]*[A-Z])"', path.read_text("utf-8"))
    }
    assert found - set_by_us_for_servers - {setting.variable for setting in SCHEMA} <= set(RESERVED)
    assert "GROUNDSWELL_HOME" in found


# --- what every mistake is told ---------------------------------------------------------------

MISTAKES = [
    ("[kafka]\npartitons = 4", "kafka.partitons: unknown key, did you mean `partitions`?"),
    ('[kafka]\npartitions = "four"', 'kafka.partitions: expected an integer from 1 to 1000, got "four"'),
    ("[kafka]\npartitions = 0", "kafka.partitions: expected an integer from 1 to 1000, got 0"),
    ("[kafka]\npartitions = true", "kafka.partitions: expected an integer from 1 to 1000, got true"),
    ("[kafka]\npartitions = 4.0", "kafka.partitions: expected an integer from 1 to 1000, got 4.0"),
    ("[kafka]\npartitions = [4]", "kafka.partitions: expected an integer from 1 to 1000, got a list"),
    (
        "[kafka]\npartitions = 2024-01-01",
        "kafka.partitions: expected an integer from 1 to 1000, got a date or time",
    ),
    (
        f"[kafka]\npartitions = {10**30}",
        "kafka.partitions: expected an integer from 1 to 1000, got a huge integer",
    ),
    ("kafka = 3", "kafka: expected a table, got a number"),
    ("[[kafka]]", "kafka: expected a table, got a list"),
    ("[kafak]", "kafak: unknown key, did you mean `kafka`?"),
    (
        "[log]\ncolour = 1",
        "log.colour: unknown key; known are `format`, `level`, `lines_a_minute`",
    ),
    ("[http]\nhort = 1", "http.hort: unknown key, did you mean `host` or `port`?"),
    ('[log]\n"a\\nb" = 1', 'log."a\\nb": unknown key; known are `format`, `level`, `lines_a_minute`'),
    ('[log]\nlevel = "inf"', 'log.level: expected one of debug, info, warning, error, got "inf"'),
    ('[http]\nhost = ""', 'http.host: expected text of 1 or more characters, got ""'),
    (
        "[elasticsearch]\ntimeout_seconds = nan",
        "elasticsearch.timeout_seconds: expected a number above 0 and at most 3600, got nan",
    ),
    ('[enrich]\nsteps = "language"', "enrich.steps: expected a list of texts, got text"),
    (
        '[enrich]\nsteps = ["language", 3]',
        "enrich.steps[1]: expected text naming a module in enrichers/, got 3",
    ),
    ('[enrich]\nsteps = ["a", "a"]', "enrich: steps names an enricher twice: keep one of them"),
    ("connectors.x = 3", "connectors.x: expected a table, got a number"),
    ("connectors = 3", "connectors: expected a table, got a number"),
    ("[connectors.x]", 'connectors.x.kind: missing, expected the name of a connector, such as "reddit"'),
    (
        "[connectors.x]\nkind = 3",
        'connectors.x.kind: missing, expected the name of a connector, such as "reddit"',
    ),
    (
        '[elasticsearch]\nusername = "u"',
        "elasticsearch: username is set and password is not: set both or neither",
    ),
    ('[kafka]\nprefix = "a\\u0000"', "kafka.prefix: holds bytes that are no text"),
    ("[kafka\n", "line 1, column 7: Expected ']' at the end of a table declaration"),
    ("[kafka]\npartitions = four\n", "line 2, column 14: Invalid value"),
    ("[kafka]\nprefix = 'x", 'line 2, column 12: Expected "\'"'),
    ("a = " + "[" * 100_000, "nested too deeply"),
]


@pytest.mark.parametrize(("text", "told"), MISTAKES, ids=[told[:40] for _, told in MISTAKES])
def test_a_mistake_in_the_file_is_told_with_its_path(text: str, told: str) -> None:
    assert problems(text) == [told]


def test_a_file_that_is_not_utf8() -> None:
    assert problems(b'[kafka]\nprefix = "\xe4"') == ["not UTF-8 at byte 18: save it as UTF-8"]


def test_a_missing_file_and_a_folder(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read \(No such file or directory\): name another"):
        read_settings(folder / "none.toml", {})
    with pytest.raises(ConfigError, match=r"cannot be read \(Is a directory\)"):
        read_settings(folder, {})


WRONG_VARIABLES = [
    ("KAFKA_PARTITIONS", "four", 'expected an integer from 1 to 1000, got "four"'),
    ("KAFKA_PARTITIONS", "", 'expected an integer from 1 to 1000, got ""'),
    ("KAFKA_PARTITIONS", "1" * 5000, f'expected an integer from 1 to 1000, got "{"1" * 57}..."'),
    ("ENGINE_COMMIT_SECONDS", "inf", "expected a number above 0 and at most 60, got inf"),
    ("HTTP_HOST", "\udcff", "holds bytes that are no text"),
    ("ELASTICSEARCH_PASSWORD", "\udcff", "is not UTF-8 text"),
    ("KAFKA_PARTITONS", "4", "unknown variable, did you mean `GROUNDSWELL_KAFKA_PARTITIONS`?"),
    ("CONNECTORS_REDDIT_SECRET", "4", "belongs to no table [connectors.NAME] of the settings file"),
    ("ENRICHERS_NONE_X", "4", "belongs to no table [enrichers.NAME] of the settings file"),
]


@pytest.mark.parametrize(("name", "value", "told"), WRONG_VARIABLES)
def test_a_mistake_in_a_variable_is_told_with_its_name(name: str, value: str, told: str) -> None:
    assert problems("", {f"GROUNDSWELL_{name}": value}) == [f"GROUNDSWELL_{name}: {told}"]


def test_all_problems_come_at_once() -> None:
    found = problems("[kafka]\npartitions = 0\nx = 1\n[http]\nport = 70000", {"GROUNDSWELL_LOG_LEVEL": "x"})
    assert [problem.partition(":")[0] for problem in found] == [
        "kafka.x",
        "kafka.partitions",
        "http.port",
        "GROUNDSWELL_LOG_LEVEL",
    ]


@st.composite
def slips(draw: st.DrawFn) -> tuple[Setting, str]:
    """A key, and the same with one letter wrong, missing, doubled or swapped with the next."""
    setting = draw(st.sampled_from(SCHEMA))
    key = key_in_file(setting)
    at = draw(st.integers(0, len(key) - 1))
    letter = draw(st.sampled_from(string.ascii_lowercase))
    typo = draw(
        st.sampled_from(
            [
                key[:at] + letter + key[at + 1 :],
                key[:at] + key[at + 1 :],
                key[:at] + letter + key[at:],
                key[:at] + key[at + 1 : at + 2] + key[at] + key[at + 2 :],
            ]
        )
    )
    section = setting.path.partition(".")[0]
    known = {key_in_file(one) for one in SCHEMA if one.path.startswith(f"{section}.")}
    return (setting, typo) if typo not in known else (setting, f"{key}x")


@given(slips())
def test_a_slip_of_one_letter_in_a_key_suggests_the_key(slip: tuple[Setting, str]) -> None:
    setting, typo = slip
    section = setting.path.partition(".")[0]
    [told] = problems(f"[{section}]\n{json.dumps(typo)} = 1")
    assert told.startswith(f"{section}.{typo}: unknown key, did you mean ") or not typo
    assert f"`{key_in_file(setting)}`" in told


@given(st.sampled_from(SCHEMA), st.data())
def test_a_slip_of_one_letter_in_a_variable_suggests_the_variable(
    setting: Setting, data: st.DataObject
) -> None:
    name = setting.variable
    at = data.draw(st.integers(len("GROUNDSWELL_"), len(name) - 1))
    [told] = problems("", {f"{name[:at]}Q{name[at + 1 :]}": "1"})
    assert "unknown variable, did you mean " in told
    assert f"`{name}`" in told
