"""The embedded servers of one home: up, down, status, and each server alone.

All that changes a home happens under its lock, so two ``up`` at once make one set of servers. A server
outlives the process that started it; ``down`` ends it, from any process of the same user.
"""

from __future__ import annotations

import errno
import shutil
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pipeline.core.errors import ConfigError, FatalError
from pipeline.embedded import process
from pipeline.embedded.account import Account, account_for, give, make_home, open_folder
from pipeline.embedded.home import Layout
from pipeline.embedded.interrupts import terminable
from pipeline.embedded.locks import locked
from pipeline.embedded.process import State
from pipeline.embedded.start import LOGS, NAMES, TITLES, Announce, Name, Order, start
from pipeline.embedded.status import ServerStatus, address, server_status

STOP_LIMIT = 30.0
"""Seconds after SIGTERM until SIGKILL."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where clients find the servers: ``127.0.0.1:PORT`` and ``http://127.0.0.1:PORT``."""

    kafka: str
    elasticsearch: str


def silent(message: str) -> None:
    """An announcer that says nothing."""
    del message


def up(
    home: Path,
    *,
    kafka_port: int | None = None,
    elasticsearch_port: int | None = None,
    elasticsearch_line: str | None = None,
    announce: Announce = silent,
) -> Addresses:
    """Start what does not run yet and return when both servers answer.

    Without a port the one of last time is taken, else 9092 and 9200, else any free one. The line of
    Elasticsearch is ``8`` or ``9``. Raises ConfigError (a port that is taken, no Java, a home that cannot be
    used) and FatalError (a failed download, a server that died); then nothing that this call started runs.
    """
    wanted: dict[Name, int | None] = {"elasticsearch": elasticsearch_port, "kafka": kafka_port}
    states, _ = _bring_up(home, wanted, elasticsearch_line, announce)
    return _addresses(states)


def down(home: Path, announce: Announce = silent) -> list[str]:
    """End both servers, gently if they let us; returns the names of those that ran. Raises FatalError."""
    return _take_down(home, NAMES, announce)


def status(home: Path) -> list[ServerStatus]:
    """Kafka's and Elasticsearch's status; asks nobody, changes nothing, needs no lock."""
    layout = Layout(home)
    return [server_status(layout, name, LOGS[name]) for name in reversed(NAMES)]


@contextmanager
def running(
    home: Path,
    *,
    kafka_port: int | None = None,
    elasticsearch_port: int | None = None,
    elasticsearch_line: str | None = None,
    announce: Announce = silent,
) -> Iterator[Addresses]:
    """``up`` for the time of a block; at its end those servers go down that this call brought up."""
    wanted: dict[Name, int | None] = {"elasticsearch": elasticsearch_port, "kafka": kafka_port}
    states, started = _bring_up(home, wanted, elasticsearch_line, announce)
    try:
        yield _addresses(states)
    finally:
        _take_down(home, started, announce)


def start_kafka(home: Path, port: int | None = None, announce: Announce = silent) -> str:
    """Kafka alone; returns its address. Without a port, the one of last time if it is free."""
    states, _ = _bring_up(home, {"kafka": port}, None, announce)
    return address("kafka", states["kafka"].port)


def start_elasticsearch(
    home: Path, port: int | None = None, line: str | None = None, announce: Announce = silent
) -> str:
    """Elasticsearch alone; returns its address. Without a port, the one of last time if it is free."""
    states, _ = _bring_up(home, {"elasticsearch": port}, line, announce)
    return address("elasticsearch", states["elasticsearch"].port)


def stop(home: Path, name: Name, announce: Announce = silent) -> bool:
    """End one server gently; returns whether it ran."""
    return bool(_take_down(home, [name], announce))


def kill(home: Path, name: Name) -> None:
    """End one server as a power cut would (SIGKILL); its state file is left, so ``status`` says crashed.

    Raises FatalError when it does not run.
    """
    process.end(_living(home, name), limit=0, gently=False)


def pause(home: Path, name: Name) -> None:
    """Freeze one server (SIGSTOP): it keeps its connections and answers nothing. Raises FatalError."""
    process.send(_living(home, name), signal.SIGSTOP)


def resume(home: Path, name: Name) -> None:
    """Let a frozen server go on (SIGCONT). Raises FatalError when it does not run."""
    process.send(_living(home, name), signal.SIGCONT)


def _living(home: Path, name: Name) -> State:
    state = process.read_state(Layout(home).state(name))
    if state is None or not process.alive(state):
        raise FatalError(f"{TITLES[name]} of {home} does not run: start it first.")
    return state


def _addresses(states: Mapping[Name, State]) -> Addresses:
    return Addresses(
        kafka=address("kafka", states["kafka"].port),
        elasticsearch=address("elasticsearch", states["elasticsearch"].port),
    )


def _bring_up(
    home: Path, wanted: Mapping[Name, int | None], line: str | None, announce: Announce
) -> tuple[dict[Name, State], list[Name]]:
    """States of all wanted servers, and the names of those that this call started."""
    layout = Layout(home.absolute())
    _check(layout.home)
    with terminable(), _usable(layout.home):
        account = account_for(layout.home)
        make_home(layout.home, account)
        with _alone(layout, announce):
            states = _already_up(layout, wanted, line, announce)
            missing = {name: port for name, port in wanted.items() if name not in states}
            if missing:
                _make_folders(layout, missing, account)
                states |= start(Order(layout, missing, line, account, announce))
    return states, list(missing)


def _already_up(
    layout: Layout, wanted: Mapping[Name, int | None], line: str | None, announce: Announce
) -> dict[Name, State]:
    """Those of the wanted servers that run; what an earlier, broken start left of the others is ended."""
    states: dict[Name, State] = {}
    for name, port in wanted.items():
        state = process.read_state(layout.state(name))
        if state is None or state.phase == "stopped":
            continue
        if state.phase == "starting" or not process.alive(state):
            # We hold the lock, so whoever was starting it is gone.
            process.end(state, limit=STOP_LIMIT)
            continue
        if port not in (None, state.port) or (name == "elasticsearch" and line not in (None, state.line)):
            raise ConfigError(
                f"{TITLES[name]} {state.version} already runs on port {state.port}: run "
                f"`groundswell down` first to change that."
            )
        announce(
            f"{TITLES[name]} {state.version} already runs at {address(name, state.port)} (pid {state.pid})"
        )
        states[name] = state
    return states


def _take_down(home: Path, names: Sequence[Name], announce: Announce) -> list[str]:
    layout = Layout(home.absolute())
    if not layout.run.exists():
        return []
    with _usable(layout.home), _alone(layout, announce):
        states = [state for name in names if (state := process.read_state(layout.state(name))) is not None]
        living = {state.name for state in states if state.phase != "stopped" and process.members(state)}
        for state in states:
            if state.name in living:
                process.ask(state)
        for state in states:
            if state.name in living:
                gently = process.end(state, limit=STOP_LIMIT)
                announce(
                    f"{TITLES[state.name]} {'stopped' if gently else f'killed after {STOP_LIMIT:.0f} s'}"
                )
            process.write_state(layout.state(state.name), msgspec.structs.replace(state, phase="stopped"))
    return [name for name in names if name in living]


def _alone(layout: Layout, announce: Announce) -> AbstractContextManager[None]:
    """The home's lock."""
    message = "Another `groundswell up` or `down` is at work; waiting …"
    return locked(layout.lock, waiting=lambda: announce(message))


def _check(home: Path) -> None:
    if sys.platform == "win32":
        raise ConfigError(
            "Embedded servers need Linux or macOS: start Kafka and Elasticsearch with docker compose."
        )
    # Kafka's settings and Java's class path split at these.
    if bad := sorted(set(",:\n") & set(str(home))):
        raise ConfigError(
            f"The path {str(home)!r} contains {bad[0]!r}, which Kafka cannot take: set GROUNDSWELL_HOME."
        )


def _make_folders(layout: Layout, names: Iterable[Name], account: Account | None) -> None:
    """Folders that the servers write to, empty ones for temporary files."""
    open_folder(layout.run)
    for name in names:
        # What a killed server left; its native libraries alone are some megabytes a start.
        shutil.rmtree(layout.tmp(name), ignore_errors=True)
        for folder in layout.private(name):
            give(folder, account)


@contextmanager
def _usable(home: Path) -> Iterator[None]:
    """Turns what the file system refuses into one sentence."""
    try:
        yield
    except OSError as error:
        where = error.filename or home
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise FatalError(
                f"The disk of {where} is full: make room there, or set GROUNDSWELL_HOME."
            ) from error
        raise ConfigError(
            f"{where} cannot be used ({(error.strerror or str(error)).lower()}): run this as its owner, "
            f"or set GROUNDSWELL_HOME and GROUNDSWELL_CACHE to directories of yours."
        ) from error
