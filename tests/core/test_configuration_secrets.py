"""Secrets: where they may come from, and that no message, repr or error ever shows one."""

from __future__ import annotations

import copy
import json
import pickle
import tempfile
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import Struct

from pipeline.core.configuration import convert_table, read_settings
from pipeline.core.errors import ConfigError
from pipeline.core.settings import Secret, Settings

TOKEN = "s3cr3t-hunter2"


class Part(Struct, frozen=True, kw_only=True):
    """SETTINGS of a made-up connector."""

    account: str
    token: Secret
    url: str = ""


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


def test_a_secret_shows_itself_to_nobody() -> None:
    secret = Secret(TOKEN)
    shown = [
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret!r:>40}",
        f"{secret:>40}",
        str([secret]),
    ]
    assert all(TOKEN not in text for text in shown)
    assert repr(secret) == str(secret) == f"{secret:>9}" == "***"
    assert secret.reveal() == TOKEN
    assert secret == Secret(TOKEN) == pickle.loads(pickle.dumps(secret)) == copy.copy(secret)
    assert secret != Secret("other")
    assert secret != TOKEN
    assert hash(secret) == hash(Secret(TOKEN))
    assert secret
    assert not Secret()
    for encode in (msgspec.json.encode, msgspec.msgpack.encode, msgspec.to_builtins, json.dumps):
        with pytest.raises(TypeError) as caught:
            encode(secret)
        assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("content", [TOKEN, f"{TOKEN}\n", f"{TOKEN}\r\n", f"\ufeff{TOKEN}\n\n"])
def test_a_secret_comes_from_a_file_without_its_line_ends(folder: Path, content: str) -> None:
    (folder / "pw").write_bytes(content.encode())
    environ = {"GROUNDSWELL_ELASTICSEARCH_API_KEY_FILE": str(folder / "pw")}
    assert read_settings(None, environ).elasticsearch.api_key == Secret(TOKEN)


def test_the_variable_of_a_secret_wins_over_the_file_it_replaces() -> None:
    environ = {"GROUNDSWELL_ELASTICSEARCH_API_KEY": TOKEN, "GROUNDSWELL_ELASTICSEARCH_API_KEY_FILE": ""}
    settings = read('[elasticsearch]\napi_key_file = "not there"', environ)
    assert settings.elasticsearch.api_key.reveal() == TOKEN


def test_empty_names_and_variables_mean_no_secret() -> None:
    environ = {"GROUNDSWELL_ELASTICSEARCH_PASSWORD": "", "GROUNDSWELL_ELASTICSEARCH_PASSWORD_FILE": ""}
    assert not read('[elasticsearch]\npassword_file = ""', environ).elasticsearch.password


def test_a_secret_in_clear_is_a_problem_that_names_the_two_ways_out() -> None:
    [told] = problems(f'[elasticsearch]\npassword = "{TOKEN}"')
    assert told == (
        "elasticsearch.password: a secret in clear: name a file with it as `password_file` or set the"
        " variable GROUNDSWELL_ELASTICSEARCH_PASSWORD, and take it out of here"
    )


def test_two_variables_for_one_secret_are_a_problem() -> None:
    name = "GROUNDSWELL_ELASTICSEARCH_API_KEY"
    assert problems("", {name: TOKEN, f"{name}_FILE": "x"}) == [
        f"{name}: {name}_FILE is set as well: keep one of them"
    ]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "the file it names is empty"),
        (b"\n", "the file it names is empty"),
        (b"\xff", "the file it names is not UTF-8 text"),
        (b"x" * 70_000, "the file it names is longer than 65536 bytes: no secret is"),
    ],
)
def test_a_bad_secret_file_is_a_problem(folder: Path, content: bytes, told: str) -> None:
    (folder / "pw").write_bytes(content)
    name = "GROUNDSWELL_ELASTICSEARCH_API_KEY_FILE"
    assert problems("", {name: str(folder / "pw")}) == [f"{name}: {told}"]


def test_an_unreadable_secret_file_is_a_problem() -> None:
    [told] = problems('[elasticsearch]\napi_key_file = "none"')
    assert told.startswith(
        "elasticsearch.api_key_file: cannot read the file it names (No such file or directory); relative"
    )
    [told] = problems("[elasticsearch]\napi_key_file = '.'")
    assert "(Is a directory)" in told
    [told] = problems('[elasticsearch]\napi_key_file = "a\\u0000b"')
    assert "(no valid path)" in told
    [told] = problems("[elasticsearch]\napi_key_file = 3")
    assert told == "elasticsearch.api_key_file: expected the path of a file, got a number"


SPOTS = [
    ('[elasticsearch]\npassword = "{}"', {}),
    ('[elasticsearch]\npassword = ["{}"]', {}),
    ('[elasticsearch]\npassword = {{ is = "{}" }}', {}),
    ('[elasticsearch]\npasswrd = "{}"', {}),
    ('[elasticsearch]\npassword_file = "{}"', {}),
    ('[elasticsearch]\npassword_file = ["{}"]', {}),
    ('[elasticsearch]\npassword_file = "/run/{}/x"', {}),
    ('[elasticsearch]\npassword_file = "a\\u0000{}"', {}),
    ('[elasticsearch]\nusername = ["{}"]', {}),
    ('[elasticsearch]\nurl = "http://u:{}@host:9200"', {}),
    ('[elasticsearch]\nurl = "http://u:x/{}@host:9200"', {}),
    ('[kafka]\nbootstrap = "https://{}@host"', {}),
    ('elasticsearch = "{}"', {}),
    ('enrich = ["{}"]', {}),
    ("[elasticsearch]\npassword = {}", {}),
    ('[elasticsearch]\npassword = "{}', {}),
    ('[elasticsearch]\npassword = "{}"\npassword = "{}"', {}),
    ('[connectors.x]\ntoken = "{}"', {}),
    ('[connectors.x]\nkind = "k"\naccount = "a"\ntoken = "{}"', {}),
    ('[connectors.x]\nkind = "k"\naccount = "a"\ntokn = "{}"', {}),
    ('[connectors.x]\nkind = "k"\naccount = "a"\ntoken_file = "{}"', {}),
    ('[connectors.x]\nkind = "k"\naccount = ["{}"]', {}),
    (
        '[connectors.x]\nkind = "k"\naccount = "a"\nurl = "imap://u:{}@h"',
        {"GROUNDSWELL_CONNECTORS_X_TOKEN": "{}"},
    ),
    ('[connectors.x]\nkind = "k"\naccount = "a"', {"GROUNDSWELL_CONNECTORS_X_TOKEN": "{}"}),
    ('[connectors.x]\nkind = "k"\naccount = "a"', {"GROUNDSWELL_CONNECTORS_X_TOKN": "{}"}),
    ('[connectors.x]\nkind = "k"\naccount = "a"', {"GROUNDSWELL_CONNECTORS_X_TOKEN_FILE": "{}"}),
    ("", {"GROUNDSWELL_ELASTICSEARCH_PASSWORD": "{}"}),
    ("", {"GROUNDSWELL_ELASTICSEARCH_API_KEY": "{}"}),
    ("", {"GROUNDSWELL_ELASTICSEARCH_API_KEY": "{}", "GROUNDSWELL_ELASTICSEARCH_PASSWORD": "{}"}),
    ("", {"GROUNDSWELL_ELASTICSEARCH_API_KEY": "{}\udcff"}),
    ("", {"GROUNDSWELL_ELASTICSEARCH_PASSWORD_FILE": "{}"}),
    ("", {"GROUNDSWELL_ELASTICSEARCH_PASSWRD": "{}"}),
    ("", {"GROUNDSWELL_CONNECTORS_X_TOKEN": "{}"}),
    ("", {"GROUNDSWELL_ELASTICSEARCH_URL": "https://{}@h"}),
]


def everything_said(text: str, environ: dict[str, str]) -> str:
    """All that a reader of logs could see of one reading: the settings, and errors with their whole chain."""
    said = ""
    try:
        settings = read(text, environ)
        said += f"{settings!r} {settings.connectors} {settings}"
        for name, table in settings.connectors.items():
            said += f"{table} {convert_table(Part, table, f'connectors.{name}', environ=environ)!r}"
    except ConfigError as error:
        said += "".join(traceback.format_exception(error)) + str(error.__context__) + repr(error)
    return said


@pytest.mark.parametrize(("text", "environ"), SPOTS)
@settings(max_examples=25)
@given(secret=st.from_regex(r"\A[A-Za-z0-9]{12,40}\Z"))
@example(secret="x" * 30)
@example(secret="123456789012345")
def test_no_secret_appears_in_any_message(text: str, environ: dict[str, str], secret: str) -> None:
    variables = {name: value.replace("{}", secret) for name, value in environ.items()}
    assert secret not in everything_said(
        text.replace("{}", secret).replace("{{", "{").replace("}}", "}"), variables
    )
