"""Which processes are ours, and ending them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from pipeline.core.errors import FatalError
from pipeline.embedded import process, servers
from pipeline.embedded.home import Layout
from pipeline.embedded.process import Launch, State

STUBBORN = (
    "from signal import *; import time; signal(SIGTERM, SIG_IGN); print('on', flush=True); time.sleep(60)"
)
WITH_CHILD = "import subprocess; p = subprocess.Popen(['sleep', '60']); print('on', flush=True); p.wait()"
SLEEPER = "import time; print('on', flush=True); time.sleep(60)"


def remembered(home: Path, popen: subprocess.Popen[bytes], mark: str = "kafka@here") -> State:
    """A state as ``up`` writes it, of a server that is really a Python program."""
    return State(
        name="kafka",
        phase="running",
        mark=mark,
        pid=popen.pid,
        group=popen.pid,
        started=process.start_time(popen.pid),
        since=time.time(),
        port=9092,
        second_port=9093,
        version="4.1.2",
        line="",
        java="17",
        java_home="/nowhere",
        log=str(home / "log"),
    )


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """What a test started; ended at its end."""
    popens: list[subprocess.Popen[bytes]] = []
    yield popens
    for popen in popens:
        for member in psutil.process_iter():
            if member.status() != psutil.STATUS_ZOMBIE and os.getpgid(member.pid) == popen.pid:
                member.kill()
        popen.wait()


def launch(program: str, folder: Path, mark: str = "kafka@here") -> subprocess.Popen[bytes]:
    """Start a Python program as a server is started, and wait until it says "on"."""
    console = folder / "console.log"
    popen = process.spawn(Launch([sys.executable, "-c", program], {}, folder, console, None), mark)
    while b"on" not in console.read_bytes():
        assert popen.poll() is None
        time.sleep(0.02)
    return popen


def test_a_state_survives_being_written_and_read(
    tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    started.append(launch(SLEEPER, tmp_path))
    state = remembered(tmp_path, started[0])
    process.write_state(tmp_path / "kafka.json", state)
    assert process.read_state(tmp_path / "kafka.json") == state


@pytest.mark.parametrize("content", [b"", b"{", b'{"pid": "x"}', b"[]"])
def test_a_damaged_state_file_counts_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "kafka.json").write_bytes(content)
    assert process.read_state(tmp_path / "kafka.json") is None
    assert process.read_state(tmp_path / "none.json") is None


def test_ending_takes_the_whole_group(tmp_path: Path, started: list[subprocess.Popen[bytes]]) -> None:
    started.append(launch(WITH_CHILD, tmp_path))
    state = remembered(tmp_path, started[0])
    assert process.alive(state)
    assert len(process.members(state)) == 2
    assert process.end(state, limit=10)
    assert not process.members(state)
    assert not process.alive(state)


def test_one_that_ignores_sigterm_is_killed(tmp_path: Path, started: list[subprocess.Popen[bytes]]) -> None:
    started.append(launch(STUBBORN, tmp_path))
    state = remembered(tmp_path, started[0])
    assert not process.end(state, limit=0.3)
    assert not process.alive(state)
    assert started[0].wait() == -signal.SIGKILL


def test_a_frozen_one_ends_too(tmp_path: Path, started: list[subprocess.Popen[bytes]]) -> None:
    started.append(launch(SLEEPER, tmp_path))
    state = remembered(tmp_path, started[0])
    process.send(state, signal.SIGSTOP)
    assert process.end(state, limit=10)


def test_a_reused_pid_is_neither_alive_nor_signalled(
    tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    # Another program, in a session of its own, that has the pid which a dead server had.
    other = subprocess.Popen(["sleep", "60"], start_new_session=True)
    started.append(other)
    state = msgspec.structs.replace(remembered(tmp_path, other), started=1_600_000_000.0)
    assert not process.alive(state)
    assert process.members(state) == []
    process.end(state, limit=5)
    assert other.poll() is None


def test_a_moved_clock_does_not_disown_a_server(
    tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    # The start time is reckoned from the boot time, which follows the clock; the mark stays.
    started.append(launch(SLEEPER, tmp_path))
    state = msgspec.structs.replace(remembered(tmp_path, started[0]), started=1_600_000_000.0)
    assert process.alive(state)


def test_another_homes_server_is_not_ours(tmp_path: Path, started: list[subprocess.Popen[bytes]]) -> None:
    started.append(launch(SLEEPER, tmp_path, "kafka@there"))
    state = msgspec.structs.replace(remembered(tmp_path, started[0], "kafka@here"), started=1.0)
    assert not process.alive(state)


def test_servers_do_not_inherit_the_callers_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: list[subprocess.Popen[bytes]]
) -> None:
    monkeypatch.setenv("REDDIT_SECRET", "hush")
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Xmx1g")
    started.append(launch(SLEEPER, tmp_path))
    environment = psutil.Process(started[0].pid).environ()
    assert environment[process.MARK] == "kafka@here"
    assert not {"REDDIT_SECRET", "JAVA_TOOL_OPTIONS"} & set(environment)


def test_what_cannot_be_executed_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(
        FatalError, match=r"^/nowhere/java could not be started: No such file or directory\.$"
    ):
        process.spawn(Launch(["/nowhere/java"], {}, tmp_path, tmp_path / "console.log", None), "kafka@here")


def test_last_words_prefer_errors_and_skip_stack_frames(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(
        "INFO fine\nERROR port in use\n  at java.base/Net.bind\nCaused by: BindException: no\nINFO bye\n"
    )
    assert process.last_words([tmp_path / "none", log]) == "ERROR port in use | Caused by: BindException: no"
    log.write_text("INFO one\nINFO two\n")
    assert process.last_words([log]) == "INFO one | INFO two"
    assert process.last_words([tmp_path / "none"]) == "it said nothing"


@pytest.mark.parametrize("phase", ["running", "starting"])
def test_status_of_a_stale_state_is_crashed_and_down_cleans_it(tmp_path: Path, phase: str) -> None:
    popen = subprocess.Popen(["true"])
    state = remembered(tmp_path, popen)
    popen.wait()
    path = Layout(tmp_path).state("kafka")
    process.write_state(path, msgspec.structs.replace(state, phase=phase, started=1.0))
    kafka, elasticsearch = servers.status(tmp_path)
    assert (kafka.state, kafka.pid, kafka.address) == ("crashed", None, None)
    assert elasticsearch.state == "stopped"
    assert servers.down(tmp_path) == []
    assert servers.status(tmp_path)[0].state == "stopped"


def test_down_without_a_home_makes_none(tmp_path: Path) -> None:
    assert servers.down(tmp_path / "none") == []
    assert [server.state for server in servers.status(tmp_path / "none")] == ["stopped", "stopped"]
    assert not (tmp_path / "none").exists()


def test_killing_what_does_not_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FatalError, match="does not run: start it first"):
        servers.kill(tmp_path, "kafka")
