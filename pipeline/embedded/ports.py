"""Choosing ports on the loopback interface."""

from __future__ import annotations

import fcntl
import os
import random
import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil

from pipeline.core.errors import ConfigError, FatalError
from pipeline.embedded.process import read_state

LOOPBACK = "127.0.0.1"

RANGE = range(10_000, 30_000)
"""Below the ports that kernels give to outgoing connections: a client that keeps calling a dead server's port
in that range can end up connected to itself, and then the server cannot come back."""

TRIES = 200


def is_free(port: int) -> bool:
    """Whether a server could listen on the loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: connections of a dead server that linger in TIME_WAIT are no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError:
            return False
    return True


class Chooser:
    """Chooses ports and keeps them from other starters of this user until the servers listen on them."""

    def __init__(self, folder: Path | None, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack

    def asked(self, title: str, port: int, owner: Path | None = None) -> int:
        """``port``, if a server may have it. Raises ConfigError naming it and, if known, its holder."""
        if not 1 <= port <= 65535:
            raise ConfigError(f"{port} is no port for {title}: choose one from 1024 to 65535.")
        if self._reserved(port, owner, wanted=True):
            return port
        if port < 1024:
            raise ConfigError(f"Port {port} cannot be had for {title}: choose one from 1024 to 65535.")
        raise ConfigError(
            f"Port {port} for {title} is taken by {holder(port)}: end that, or choose another port."
        )

    def free(self, preferred: Iterable[int] = (), owner: Path | None = None) -> int:
        """The first free port of ``preferred``, else any free one. Raises FatalError if there is none.

        ``owner`` is the state file of the server that it is for. The port of a server of another home that
        died is not free: its clients still call there, and would write to ours until it is back.
        """
        for port in (*preferred, *random.sample(RANGE, TRIES)):
            if self._reserved(port, owner):
                return port
        raise FatalError(
            f"No free port was found from {RANGE.start} to {RANGE.stop}: end some servers first."
        )

    def _reserved(self, port: int, owner: Path | None, *, wanted: bool = False) -> bool:
        if not is_free(port):
            return False
        if self._folder is None:
            return True
        file = self._stack.enter_context((self._folder / str(port)).open("a+b"))
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        file.seek(0)
        last = Path(os.fsdecode(file.read()) or os.devnull)
        if not wanted and last != owner and _is_missed(last, port):
            return False
        file.truncate(0)
        file.write(os.fsencode(owner or b""))
        return True


def _is_missed(state_file: Path, port: int) -> bool:
    """Whether a server with this port, by its state file, died and nobody ended it. A new boot forgets it."""
    try:
        state = read_state(state_file)
    except OSError:
        return False
    if state is None or port not in (state.port, state.second_port):
        return False
    return state.phase == "running" and state.since > psutil.boot_time()


@contextmanager
def chooser(folder: Path) -> Iterator[Chooser]:
    """Reservations are locked files in ``folder``, until the block ends: a server takes seconds to listen."""
    # A cache may be given ready-made and read-only; a start that loses a port is tried again anyway.
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    writable = folder.is_dir() and os.access(folder, os.W_OK)
    with ExitStack() as stack:
        yield Chooser(folder if writable else None, stack)


def holder(port: int) -> str:
    """Who listens on the port, as a person would name it."""
    try:
        for connection in psutil.net_connections(kind="tcp"):
            if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
                if connection.pid is None:
                    break
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except psutil.Error:
        return "another process"
    return "another process"
