"""The daemon's roles as true processes that wait for a Kafka which is not there: deaths, parking, locks.

No server is needed: a role without Kafka waits, and can be killed as well as any other.
"""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.app import supervisor
from pipeline.app.health import present
from pipeline.app.role_lock import take
from pipeline.app.supervision import supervised
from pipeline.core.errors import FatalError
from pipeline.core.process_settings import DaemonSettings
from testkit.installation import Installation
from testkit.waiting import until

ROLES = "enrich,index"


@pytest.fixture
def install(tmp_path: Path) -> Iterator[Callable[..., Installation]]:
    """Makes an installation that never finds its servers."""
    made = []

    def make(**settings: str) -> Installation:
        nowhere = ("127.0.0.1:1", "http://127.0.0.1:1")
        made.append(Installation(tmp_path / "home", "t", *nowhere, **settings))
        return made[-1]

    yield make
    for installation in made:
        installation.close()


def there(installation: Installation, role: str) -> Callable[[], bool]:
    return lambda: installation.role_pid(role) is not None


def kill(installation: Installation, role: str) -> None:
    """Once; returns when its process is gone."""
    until(there(installation, role), why=f"{role} runs")
    pid = installation.role_pid(role)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: installation.role_pid(role) != pid, why=f"{role} is gone")


def state(installation: Installation, role: str) -> str:
    return next((note.state for note in supervised(installation.home) if note.role == role), "")


def shown(installation: Installation) -> tuple[int, dict[str, tuple[str, str]]]:
    """The status of `status`, and its roles with state and detail."""
    done = installation.command("status", "--format", "json")
    rows = json.loads(done.stdout)
    return done.returncode, {
        row["name"]: (row["state"], row["detail"]) for row in rows if row["part"] == "role"
    }


def end(process: subprocess.Popen[bytes], limit: float = 90) -> tuple[int, str]:
    _, said = process.communicate(timeout=limit)
    return process.returncode, said.decode()


def test_a_role_that_dies_again_and_again_is_parked_and_comes_back_when_told(
    install: Callable[..., Installation],
) -> None:
    installation = install(GROUNDSWELL_DAEMON_PARK_AFTER="3")
    daemon = installation.start("run", "--role", ROLES)
    until(there(installation, "enrich"), why="enrich runs")
    untouched = installation.role_pid("enrich")
    for _ in range(3):
        kill(installation, "index")
    until(lambda: state(installation, "index") == "parked", why="index is parked")
    status, rows = shown(installation)
    assert status == 1
    assert rows["index"][0] == "parked"
    assert rows["index"][1].startswith("it was killed by SIGKILL; died 3 times in a row; mend it and ")
    assert f"`kill -HUP {daemon.pid}`" in rows["index"][1]
    assert installation.role_pid("enrich") == untouched, "the other works on"

    daemon.send_signal(signal.SIGHUP)
    until(there(installation, "index"), why="index is tried again")
    assert state(installation, "index") == "runs"
    kill(installation, "index")
    until(lambda: installation.role_pid("index") is not None, why="its deaths are counted anew")
    daemon.send_signal(signal.SIGTERM)
    status, said = end(daemon)
    assert status == 0, said
    assert said.count("the role index is parked after 3 deaths in a row, the last: it was killed by") == 1
    assert "the role enrich" not in said
    assert list(supervised(installation.home)) == []


def test_a_parked_role_is_tried_again_after_its_rest(install: Callable[..., Installation]) -> None:
    installation = install(GROUNDSWELL_DAEMON_PARK_AFTER="1", GROUNDSWELL_DAEMON_PARKED_MINUTES="0.05")
    daemon = installation.start("run", "--role", ROLES)
    kill(installation, "index")
    until(there(installation, "index"), why="three seconds are over")
    daemon.send_signal(signal.SIGTERM)
    status, said = end(daemon)
    assert status == 0, said
    # In the log, for it is parked for less time than a busy machine may take to look.
    assert said.count("the role index is parked after 1 deaths in a row") == 1, "one death suffices"


def test_when_all_roles_are_parked_the_daemon_ends(install: Callable[..., Installation]) -> None:
    installation = install(GROUNDSWELL_DAEMON_PARK_AFTER="1")
    daemon = installation.start("run", "--role", ROLES)
    kill(installation, "index")
    until(lambda: state(installation, "index") == "parked", why="index is parked")
    kill(installation, "enrich")
    status, said = end(daemon)
    assert status == 1
    assert said.splitlines()[-1] == (
        "groundswell: all roles are parked, so the daemon ends: enrich: it was killed by SIGKILL;"
        " index: it was killed by SIGKILL"
    )
    assert "Traceback" not in said


def test_never_parked_where_the_settings_say_so() -> None:
    assert supervisor.rests_of(DaemonSettings()).after(10).parked
    assert not supervisor.rests_of(DaemonSettings(park_after=0)).after(10_000).parked


def test_a_role_that_cannot_be_started_rests_as_one_that_died(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(supervisor.subprocess, "Popen", full)

    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = descriptors()
    with pytest.raises(FatalError, match=r"index: it cannot be started: Resource temporarily unavailable$"):
        supervisor.supervise(["index"], ["run"], tmp_path, DaemonSettings(park_after=3))
    assert descriptors() == before


def test_a_home_that_takes_no_notes_ends_no_role(install: Callable[..., Installation]) -> None:
    installation = install()
    for role in ROLES.split(","):
        # As on a full or read-only disk: neither the note nor its draft can be written.
        for name in (f"supervised-{role}.new", f"supervised-{role}.json", f"words-{role}.txt"):
            (installation.home / "run" / name / "in the way").mkdir(parents=True)
    daemon = installation.start("run", "--role", ROLES)
    kill(installation, "index")
    until(there(installation, "index"), why="index is started again")
    daemon.send_signal(signal.SIGTERM)
    status, said = end(daemon)
    assert status == 0, said
    assert "supervised-index.json cannot be written (Is a directory)" in said
    assert "Traceback" not in said


def test_notes_that_are_none_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    whole = b'{"role":"%s","pid":%d,"started":0,"state":"runs","port":1}'
    notes = (b"", b"\xff\xfe", whole % (b"\xff", 1), whole % (b"index", -5), whole % (b"index", 2**70))
    for number, note in enumerate(notes):
        for kind in ("supervised", "role"):
            (tmp_path / "run" / f"{kind}-{number}.json").write_bytes(note)
    assert list(supervised(tmp_path)) == []
    assert present(tmp_path) == []


def test_the_reason_of_a_death_is_the_roles_own_sentence(install: Callable[..., Installation]) -> None:
    installation = install(GROUNDSWELL_DAEMON_PARK_AFTER="2", GROUNDSWELL_HTTP_PORT="0")
    settings = installation.home.parent / "groundswell.toml"
    settings.write_text("")
    installation.environ["GROUNDSWELL_CONFIG"] = str(settings)
    daemon = installation.start("run", "--role", ROLES)
    until(lambda: all(there(installation, role)() for role in ("enrich", "index")), why="both run")
    settings.write_text("[kafak]\n")
    kill(installation, "index")
    until(lambda: state(installation, "index") == "parked", why="its settings are refused")
    [note] = [note for note in supervised(installation.home) if note.role == "index"]
    assert note.reason == (f"settings file {settings}: 1 problem kafak: unknown key, did you mean `kafka`?")
    daemon.send_signal(signal.SIGTERM)
    assert end(daemon)[0] == 0


@pytest.mark.parametrize("second", [["run"], ["run", "--role", "index,enrich"]])
def test_a_daemon_runs_once_on_a_home(install: Callable[..., Installation], second: list[str]) -> None:
    installation = install()
    daemon = installation.start("run", "--role", ROLES)
    until(there(installation, "index"), why="index runs")
    done = installation.command(*second)
    role = "index" if "--role" in second else "enrich"
    assert (done.returncode, done.stderr.decode()) == (
        1,
        f"groundswell: the role {role} already runs on {installation.home}, as process {daemon.pid}: end that"
        " one first, or give this one a home of its own with GROUNDSWELL_HOME\n",
    )
    # A kill leaves nothing stale, and the next one waits for the roles that are still ending.
    daemon.kill()
    daemon.wait()
    next_one = installation.start("run", "--role", ROLES)
    until(lambda: installation.role_pid("index") is not None, why="the next one runs")
    until(lambda: state(installation, "index") == "runs", why="and says so")
    next_one.send_signal(signal.SIGTERM)
    assert end(next_one)[0] == 0


def test_a_role_that_only_shares_partitions_may_run_as_often_as_wanted(
    install: Callable[..., Installation],
) -> None:
    installation = install(GROUNDSWELL_HTTP_PORT="0")
    daemon = installation.start("run", "--role", ROLES)
    until(there(installation, "index"), why="index runs")
    more = [installation.start("run", "--role", "index") for _ in range(2)]
    until(
        lambda: {note.pid for note in present(installation.home)} > {process.pid for process in more},
        why="all of them run",
    )
    for process in (*more, daemon):
        process.send_signal(signal.SIGTERM)
        assert end(process)[0] == 0


def test_one_role_alone_is_held_by_its_own_process(install: Callable[..., Installation]) -> None:
    installation = install()
    first = installation.start("run", "--role", "directory")
    until(there(installation, "directory"), why="directory runs")
    with pytest.raises(FatalError, match=re.escape(f"as process {first.pid}:")):
        take(installation.home, "directory")
    os.close(take(installation.home, "enrich"))
    # Alone, a role that cannot go on ends; whoever runs it sees the status.
    first.send_signal(signal.SIGHUP)
    second = installation.command("run", "--role", "directory")
    assert second.returncode == 1
    assert first.poll() is None, "SIGHUP asks to look again"
    first.send_signal(signal.SIGTERM)
    assert end(first)[0] == 0
    os.close(take(installation.home, "directory"))
