"""Connectors that fail in every way beside each other: who is parked, who never is, and that nothing leaks.

No server is needed: what fails never comes to sending. The connectors are scripted, their running is not.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from pipeline.app import collectors
from pipeline.app.brokers import Brokers
from pipeline.app.collectors import Collectors
from pipeline.app.cursors import CursorStore
from pipeline.app.health import Health
from pipeline.app.meters import Meters
from pipeline.app.producer import Producer
from pipeline.app.site import Site
from pipeline.app.standing import Standing
from pipeline.app.topics import topics_of
from pipeline.core.configuration import read_settings
from pipeline.core.errors import ConfigError, FatalError, RetryableError, unforeseen
from pipeline.core.protocols import Cursor, Read
from testkit.waiting import until

Script = Callable[[], Read]


class Scripted:
    """Does what its script says at every read, and counts how often it was let go."""

    def __init__(self, script: Script, closed: list[int]) -> None:
        self._script = script
        self._closed = closed

    def read(self, cursor: Cursor | None) -> Read:
        del cursor
        return self._script()

    def close(self) -> None:
        self._closed.append(1)


def _table(name: str, path: str) -> str:
    return f'[connectors.{name}]\nkind = "jsonl"\npath = "{path}"\n'


class Running:
    """Collectors in a loop of their own. ``built`` and ``closed`` are one entry a connector's life."""

    def __init__(self, folder: Path, scripts: dict[str, Script], monkeypatch: pytest.MonkeyPatch) -> None:
        self.file = folder / "groundswell.toml"
        self.write(scripts)
        self.built: list[str] = []
        self.closed: list[int] = []

        def build(name: str, *_: Any) -> Scripted:
            self.built.append(name)
            return Scripted(scripts[name], self.closed)

        monkeypatch.setattr(collectors, "build_connector", build)
        monkeypatch.setattr(collectors, "_FIRST_REST", 0.01)
        monkeypatch.setattr(collectors, "_LONGEST_REST", 0.5)
        settings = read_settings(self.file, {})
        self.site = Site(settings, folder, Health("collect", Meters()), self.file)
        self._producer = Producer(Brokers("127.0.0.1:1"))
        topics = topics_of(settings.kafka)
        self.collectors = Collectors(self.site, topics, self._producer, CursorStore(folder))
        self._stop = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def write(self, names: dict[str, Script]) -> None:
        tables = "".join(_table(name, f"{name}.jsonl") for name in names)
        self.file.write_text("[collect]\npark_after = 3\nsilent_seconds = 2\n" + tables)

    def write_as(self, name: str, path: str) -> None:
        self.file.write_text(_table(name, path))

    def _run(self) -> None:
        self._loop.run_until_complete(self.collectors.run(self._stop))
        self._loop.close()

    def standing(self, name: str) -> Standing:
        return next(one for one in self.collectors.standings() if one.name == name)

    def is_in(self, state: str, name: str) -> Callable[[], bool]:
        return lambda: self.standing(name).state == state

    def end(self) -> None:
        self.site.end()
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)
        self._producer.close(0.1)


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Running]]:
    made: list[Running] = []

    def start(**scripts: Script) -> Running:
        made.append(Running(tmp_path, scripts, monkeypatch))
        return made[-1]

    yield start
    for one in made:
        one.end()


def failing(error: Exception) -> Script:
    def script() -> Read:
        raise error

    return script


def idle() -> Read:
    return Read(posts=[], cursor={}, wait=0.05)


@contextmanager
def same_threads() -> Iterator[None]:
    """What is done inside leaves as many threads of connectors as there were."""

    def ours() -> list[str]:
        return sorted(one.name for one in threading.enumerate() if one.name.startswith("groundswell-"))

    before = ours()
    yield
    assert ours() == before


def test_what_waiting_does_not_mend_is_parked_and_what_it_does_is_not(
    running: Callable[..., Running], caplog: pytest.LogCaptureFixture
) -> None:
    one = running(
        credentials=failing(ConfigError("the password is wrong: set another")),
        fault=failing(KeyError("surprise")),
        torn=failing(ConnectionResetError("torn")),
        disk=failing(FatalError("the disk is full")),
        busy=failing(RetryableError("busy", 0.1)),
        well=idle,
    )
    until(one.is_in("parked", "credentials"), why="three refusals park it")
    until(one.is_in("parked", "fault"), why="so do three faults")
    assert one.built.count("credentials") == one.built.count("fault") == 3
    assert one.standing("fault").reason == "an unforeseen fault: KeyError: 'surprise'"
    with same_threads():
        until(lambda: one.built.count("torn") > 8 and one.built.count("disk") > 8, why="these go on and on")
    assert one.built.count("credentials") == 3
    # Between two rests each is tried.
    until(lambda: all(one.is_in("rests", name)() for name in ("torn", "disk")), why="they rest")
    until(one.is_in("waits", "busy"), why="it waits")
    assert one.built.count("busy") == 1, "waiting for a platform is no failure"
    until(one.is_in("reads", "well"), why="it works")
    unwell = {f"connectors.{name}" for name in ("busy", "disk", "torn")}
    until(lambda: set(one.site.health.reasons) == unwell, why="health follows")
    one.end()
    assert len(one.closed) == len(one.built), "every one that was built was let go"
    parked = [record for record in caplog.records if "parked after 3 failures in a row" in record.message]
    assert sorted(record.message.partition(":")[0] for record in parked) == ["credentials", "fault"]


def test_a_clock_that_is_set_back_makes_no_rest_longer(
    running: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() - 2 * 86400)
    ours = running(one=failing(FatalError("the disk is full")))
    until(lambda: len(ours.built) > 2, why="it is tried again")


def test_a_text_that_cannot_be_encoded_is_not_shown() -> None:
    with pytest.raises(UnicodeEncodeError) as caught:
        "hunter2 \u20ac".encode("latin-1")
    assert "hunter2" in repr(caught.value)
    assert "hunter2" not in unforeseen(caught.value)


def test_hosts_that_fail_in_turn_do_not_make_the_next_rest_longer(
    running: Callable[..., Running], caplog: pytest.LogCaptureFixture
) -> None:
    turns = [*([RetryableError("this host is away", 0.01)] * 3), RetryableError("all of them are away")]
    told = iter(turns)

    def script() -> Read:
        error = next(told, None)
        if error is None:
            return idle()
        raise error

    caplog.set_level("WARNING", "groundswell")
    running(sky=script)
    until(lambda: "all of them are away" in caplog.text, why="all were asked")
    assert "sky: all of them are away; next try in 1 s" in caplog.text


def test_told_to_look_again_it_is_tried_and_counted_anew(running: Callable[..., Running]) -> None:
    one = running(only=failing(ConfigError("the password is wrong")))
    until(one.is_in("parked", "only"), why="it is parked")
    until(lambda: "connectors.only" in one.site.health.reasons, why="no other is left to work")
    one.site.look_again()
    until(lambda: len(one.built) == 6, why="three tries more")
    until(one.is_in("parked", "only"), why="and parked again")


def test_a_change_of_a_file_that_it_names_has_it_tried(
    running: Callable[..., Running], tmp_path: Path
) -> None:
    mended = threading.Event()

    def script() -> Read:
        if not mended.is_set():
            raise ConfigError("the file is missing")
        return idle()

    one = running(only=script)
    until(one.is_in("parked", "only"), why="it is parked")
    mended.set()
    (tmp_path / "only.jsonl").write_text("")
    until(one.is_in("reads", "only"), why="the file has come")
    assert len(one.built) == 4
    until(lambda: one.site.health.reasons == {}, why="and all is well")


def test_a_file_that_is_named_anew_is_watched_too(running: Callable[..., Running], tmp_path: Path) -> None:
    mended = threading.Event()

    def script() -> Read:
        if not mended.is_set():
            raise ConfigError("the file is missing")
        return idle()

    one = running(only=script)
    until(one.is_in("parked", "only"), why="it is parked")
    one.write_as("only", "~nobody-of-this-name/other.jsonl")
    until(lambda: len(one.built) >= 4, why="the settings have changed")
    one.write_as("only", "other.jsonl")
    until(lambda: len(one.built) >= 5, why="and again")
    until(one.is_in("parked", "only"), why="it is parked again")
    mended.set()
    (tmp_path / "other.jsonl").write_text("")
    until(one.is_in("reads", "only"), why="the file has come")


def test_settings_are_read_anew_and_their_faults_are_told(running: Callable[..., Running]) -> None:
    one = running(only=failing(ConfigError("the password is wrong")))
    until(one.is_in("parked", "only"), why="it is parked")
    one.file.write_text("[connectors.only]\n")
    until(lambda: "connectors.only.kind: missing" in one.standing("only").reason, why="a fault")
    assert one.standing("only").state == "parked"
    one.file.write_text("")
    gone = "[connectors.only] is no longer in the settings"
    until(lambda: one.standing("only").reason == gone, why="its table is gone")
    assert len(one.built) == 3, "nobody was asked"


def test_one_that_hangs_is_told_of_and_hurts_no_other(
    running: Callable[..., Running], caplog: pytest.LogCaptureFixture
) -> None:
    back = threading.Event()

    def hangs() -> Read:
        back.wait(60)
        return idle()

    caplog.set_level("INFO", "groundswell")
    one = running(mute=hangs, well=idle)
    until(one.is_in("silent", "mute"), why="two seconds are over")
    assert one.standing("mute").reason.startswith("has not answered for ")
    until(one.is_in("reads", "well"), why="the other works")
    until(lambda: "mute: has not answered for" in caplog.text, why="it is told")
    back.set()
    until(one.is_in("reads", "mute"), why="it comes back")
    until(lambda: "mute: has come back" in caplog.text, why="that is told, too")
    assert caplog.text.count("mute: has not answered for") == 1
