"""What is known about each server without asking or changing anything."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.embedded import process
from pipeline.embedded.home import Layout


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """One server.

    ``state``: running; starting (some ``up`` is at work); stopped (nobody wants it); crashed (it should run,
    but its process is gone). ``pid``, ``port`` and ``address`` are None unless it runs.
    """

    name: str
    state: Literal["running", "starting", "stopped", "crashed"]
    pid: int | None
    port: int | None
    address: str | None
    version: str | None
    log: Path


def address(name: str, port: int) -> str:
    """How clients are told where a server is."""
    return f"http://127.0.0.1:{port}" if name == "elasticsearch" else f"127.0.0.1:{port}"


def server_status(layout: Layout, name: str, log: str) -> ServerStatus:
    """The status of one server of a home."""
    state = process.read_state(layout.state(name))
    if state is None or state.phase == "stopped":
        now: Literal["running", "starting", "stopped", "crashed"] = "stopped"
    elif not process.alive(state):
        now = "crashed"
    else:
        now = "starting" if state.phase == "starting" else "running"
    up = state if now in ("running", "starting") else None
    return ServerStatus(
        name=name,
        state=now,
        pid=up.pid if up else None,
        port=up.port if up else None,
        address=address(name, up.port) if up else None,
        version=state.version if state else None,
        log=layout.logs(name) / log,
    )
