"""Which settings file a command reads, and which servers it then speaks to."""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path

import msgspec
import pytest

from pipeline.app.configuration import brokers_of, elasticsearch_url, home_for, settings_for
from pipeline.core.errors import ConfigError
from pipeline.core.settings import ElasticsearchSettings, KafkaSettings, Settings
from pipeline.embedded.home import Layout
from pipeline.embedded.process import State, alive, start_time, write_state


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, an empty working directory beside it, and no other variable of ours."""
    for name in [name for name in os.environ if name.startswith("GROUNDSWELL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GROUNDSWELL_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "home"


def write(path: Path, prefix: str) -> Path:
    path.write_text(f'[kafka]\nprefix = "{prefix}"\n')
    return path


def chosen(config: str | None = None) -> str:
    return settings_for(Namespace(config=config)).kafka.prefix


def test_the_first_of_the_places_that_is_given_wins(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen() == "groundswell"
    write(home / "groundswell.toml", "home")
    assert chosen() == "home"
    write(Path("groundswell.toml"), "here")
    assert chosen() == "here"
    monkeypatch.setenv("GROUNDSWELL_CONFIG", str(write(home / "named.toml", "variable")))
    assert chosen() == "variable"
    assert chosen(str(write(home / "other.toml", "option"))) == "option"
    monkeypatch.setenv("GROUNDSWELL_KAFKA_PREFIX", "environment")
    assert chosen(str(home / "other.toml")) == "environment"
    monkeypatch.delenv("GROUNDSWELL_KAFKA_PREFIX")
    monkeypatch.setenv("GROUNDSWELL_CONFIG", "")
    assert chosen() == "here"


def test_a_command_without_the_option_takes_the_other_places(home: Path) -> None:
    write(home / "groundswell.toml", "home")
    assert settings_for(Namespace()).kafka.prefix == "home"
    assert home_for(Namespace()) == home


def test_a_named_file_that_is_missing_is_an_error(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"settings file none\.toml: 1 problem"):
        chosen("none.toml")
    monkeypatch.setenv("GROUNDSWELL_CONFIG", "gone.toml")
    with pytest.raises(ConfigError, match=r"gone\.toml"):
        chosen()


def test_a_dangling_link_is_no_reason_to_look_elsewhere(home: Path) -> None:
    write(home / "groundswell.toml", "home")
    Path("groundswell.toml").symlink_to("nowhere")
    with pytest.raises(ConfigError, match="cannot be read"):
        chosen()


def running(home: Path, name: str, port: int) -> State:
    """The record of an embedded server whose process is this test's own."""
    nothing = dict.fromkeys(("version", "line", "java", "java_home", "log"), "")
    me = {"pid": os.getpid(), "group": 0, "started": start_time(os.getpid()), "since": 0.0}
    fields = {"name": name, "phase": "running", "mark": "none", "port": port, "second_port": 0}
    state = msgspec.convert(fields | me | nothing, State)
    write_state(Layout(home).state(name), state)
    return state


def test_addresses_are_the_settings_then_the_embedded_servers_then_the_defaults(home: Path) -> None:
    plain = Settings()
    assert brokers_of(plain, home).address == "127.0.0.1:9092"
    assert elasticsearch_url(plain, home) == "http://127.0.0.1:9200"
    running(home, "kafka", 19092)
    running(home, "elasticsearch", 19200)
    assert brokers_of(plain, home).address == "127.0.0.1:19092"
    assert elasticsearch_url(plain, home) == "http://127.0.0.1:19200"
    own = Settings(
        kafka=KafkaSettings(bootstrap="k:1"), elasticsearch=ElasticsearchSettings(url="https://e:2")
    )
    assert brokers_of(own, home).address == "k:1"
    assert elasticsearch_url(own, home) == "https://e:2"


def test_after_down_nobody_is_sent_to_the_servers_of_another_installation(home: Path) -> None:
    for state in (running(home, "kafka", 19092), running(home, "elasticsearch", 19200)):
        write_state(Layout(home).state(state.name), msgspec.structs.replace(state, phase="stopped"))
    assert brokers_of(Settings(), home).address == "127.0.0.1:19092"
    assert elasticsearch_url(Settings(), home) == "http://127.0.0.1:19200"


def test_a_server_that_was_killed_is_still_the_one_to_wait_for(home: Path) -> None:
    state = msgspec.structs.replace(running(home, "kafka", 19092), pid=2**22 + 1)
    write_state(Layout(home).state("kafka"), state)
    assert not alive(state)
    assert brokers_of(Settings(), home).address == "127.0.0.1:19092"


def test_a_home_that_cannot_be_read_is_told(home: Path) -> None:
    Layout(home).state("kafka").mkdir(parents=True)
    with pytest.raises(ConfigError, match="set GROUNDSWELL_HOME"):
        brokers_of(Settings(), home)
