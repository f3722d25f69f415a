"""Starting, recognising and ending a server's processes, and the file that remembers them.

A server is one process group, started in a session of its own so that Ctrl-C at the terminal does not reach
it. A process is ours when it carries our mark (in its environment or on its command line) or when both pid
and start time are the remembered ones; nothing else is ever signalled, whatever pid a file names.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import psutil

from pipeline.core.errors import FatalError
from pipeline.embedded.account import Account, create

MARK = "GROUNDSWELL_SERVER"
POLL = 0.05
KILL_LIMIT = 30.0
START_TIME_TOLERANCE = 1.0
"""Seconds; the kernel's start time is computed from the boot time, which moves with the clock."""

Phase = Literal["starting", "running", "stopped"]


class State(msgspec.Struct, frozen=True):
    """What ``run/NAME.json`` remembers. ``started`` and ``since`` are seconds since 1970."""

    name: str
    phase: Phase
    mark: str
    pid: int
    group: int
    started: float
    since: float
    port: int
    second_port: int
    version: str
    line: str
    java: str
    java_home: str
    log: str


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start a server; ``console`` takes what it prints before its own logging begins."""

    command: Sequence[str]
    environment: Mapping[str, str]
    directory: Path
    console: Path
    account: Account | None


def read_state(path: Path) -> State | None:
    """The remembered state; None where there is none or the file is damaged."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=State)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def write_state(path: Path, state: State) -> None:
    """Replace the file at once, so that no reader sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(state), indent=1) + b"\n")
    partial.replace(path)


def mark(name: str, home: Path) -> str:
    """The text by which the processes of one server of one home are known."""
    return f"{name}@{home}"


def mark_option(mark: str) -> str:
    """The JVM option that shows the mark on a command line, which other users may read too."""
    return f"-Dgroundswell.server={mark}"


def spawn(launch: Launch, mark: str) -> subprocess.Popen[bytes]:
    """Start the process in a session of its own, as the account. Raises FatalError if it cannot run."""
    account = launch.account
    # Nothing of the caller's environment: it may hold tokens of connectors, and JVM options meant for others.
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        MARK: mark,
        **launch.environment,
    }
    for name in ("TZ", "LD_LIBRARY_PATH"):
        if value := os.environ.get(name):
            environment.setdefault(name, value)
    try:
        with create(launch.console, account) as console:
            process = subprocess.Popen(
                launch.command,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=launch.directory,
                start_new_session=True,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
                umask=0o027,
            )
    except OSError as error:
        raise FatalError(f"{launch.command[0]} could not be started: {error.strerror or error}.") from error
    # Collects the exit status whenever it comes, or a server that dies would stay a zombie of this process.
    threading.Thread(target=process.wait, name=f"reap-{process.pid}", daemon=True).start()
    return process


def start_time(pid: int) -> float:
    """When the process began, in seconds since 1970; 0.0 when it is gone already."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return 0.0


def alive(state: State) -> bool:
    """Whether the remembered main process lives and is ours."""
    try:
        return _is_ours(psutil.Process(state.pid), state)
    except psutil.NoSuchProcess:
        return False


def members(state: State) -> list[psutil.Process]:
    """All living processes of the server's group that are ours."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == state.group and _is_ours(process, state):
                found.append(process)
        except (psutil.NoSuchProcess, ProcessLookupError):
            continue
    return found


def _is_ours(process: psutil.Process, state: State) -> bool:
    # A killed server's first thread is a zombie while the others still hold its port and its files.
    if process.status() == psutil.STATUS_ZOMBIE and process.num_threads() <= 1:
        return False
    if process.pid == state.pid and abs(process.create_time() - state.started) < START_TIME_TOLERANCE:
        return True
    try:
        if mark_option(state.mark) in process.cmdline():
            return True
        return process.environ().get(MARK) == state.mark
    except psutil.AccessDenied:
        return False


def ask(state: State) -> None:
    """Ask the server's processes to end and do not wait. Raises FatalError as ``send`` does."""
    send(state, signal.SIGTERM)
    send(state, signal.SIGCONT)  # a frozen one would not hear it


def end(state: State, *, limit: float, gently: bool = True) -> bool:
    """End the server's processes: SIGTERM, and SIGKILL after ``limit`` seconds (at once unless ``gently``).

    Returns whether SIGTERM sufficed. Raises FatalError as ``send`` does.
    """
    if gently:
        ask(state)
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            if not members(state):
                return True
            time.sleep(POLL)
    deadline = time.monotonic() + KILL_LIMIT
    while members(state):
        if time.monotonic() > deadline:
            raise FatalError(
                f"Process {state.pid} does not even end when killed: look for a disk that hangs."
            )
        send(state, signal.SIGKILL)
        time.sleep(POLL)
    return False


def send(state: State, number: signal.Signals) -> None:
    """Send a signal to all of the server's processes. Raises FatalError when they are another user's."""
    for member in members(state):
        try:
            member.send_signal(number)
        except psutil.NoSuchProcess:
            continue
        except psutil.AccessDenied as error:
            raise FatalError(
                f"Process {member.pid} belongs to {member.username()}: run this as that user or as root."
            ) from error


def last_words(files: Sequence[Path], lines: int = 3) -> str:
    """The last meaningful lines of the first of ``files`` that has any: its errors, else its end."""
    for file in files:
        try:
            text = file.read_text(encoding="utf-8", errors="replace")[-20_000:]
        except OSError:
            continue
        said = [
            line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("at ")
        ]
        faults = [
            line
            for line in said
            if any(word in line for word in ("ERROR", "FATAL", "Exception", "Error:", "error:"))
        ]
        if said:
            return " | ".join(line[:300] for line in (faults or said)[-lines:])
    return "it said nothing"
