"""What a process says of itself: alive, ready or why not, and its numbers, over HTTP on loopback."""

from __future__ import annotations

import asyncio
import http.client
import logging
import os
import threading
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import msgspec
from aiohttp import web
from msgspec import Struct

from pipeline.app import logs, notes
from pipeline.app.meters import Meters
from pipeline.app.standing import Standing
from pipeline.core.errors import ConfigError
from pipeline.core.metrics import READY, WAITING

log = logging.getLogger("groundswell.health")

ROLES = ("collect", "enrich", "index", "directory")
"""The roles of the daemon: those on the way of a post in its order, then the one that knows the customers."""


class Edition(Struct, frozen=True):
    """Which files the steps were built from: how many times they were taken up, since when these are in use,
    the versions of the steps, and why what was changed since is not used, empty where it is."""

    number: int
    since: datetime
    versions: dict[str, str]
    problem: str = ""


class Health:
    """Why the process is not ready; ready when there is no reason left. Any thread may set one."""

    def __init__(self, role: str, meters: Meters) -> None:
        self.role = role
        self.meters = meters
        self.connectors: Callable[[], Sequence[Standing]] = tuple
        self.edition: Edition | None = None
        self._reasons: dict[str, str] = {}
        self._lock = threading.Lock()

    def waits(self, part: str, reason: str) -> None:
        """``part`` (kafka, elasticsearch …) keeps the process from its work, for ``reason``."""
        # A page is read by more people than a log.
        shown = logs.concealed(reason)
        with self._lock:
            self._reasons[part] = shown
            self.meters.set(READY, 0, self.role)
            self.meters.set(WAITING, 1, self.role, part)

    def works(self, part: str) -> None:
        """``part`` no longer keeps the process from its work."""
        with self._lock:
            if self._reasons.pop(part, None) is not None:
                self.meters.set(WAITING, 0, self.role, part)
            if not self._reasons:
                self.meters.set(READY, 1, self.role)

    @property
    def reasons(self) -> dict[str, str]:
        """Part and reason of everything that is waited for."""
        with self._lock:
            return dict(self._reasons)


class Report(Struct, frozen=True):
    """What /status tells: what the role waits for, nothing where it is ready, its connectors, and of which
    files its steps are."""

    role: str
    waits_for: dict[str, str]
    connectors: tuple[Standing, ...] = ()
    edition: Edition | None = None


class Presence(Struct, frozen=True):
    """The note that a running role leaves in the installation's home, for ``status``."""

    role: str
    pid: int
    started: float
    port: int


async def serve(health: Health, host: str, port: int) -> tuple[web.AppRunner, int]:
    """Serves /healthz, /readyz, /status and /metrics; returns the runner, to be cleaned up, and the port.

    Port 0 takes any free one. Raises ConfigError when the port is taken.
    """

    async def healthz(_request: web.Request) -> web.Response:
        return web.json_response({"role": health.role, "alive": True})

    async def readyz(_request: web.Request) -> web.Response:
        reasons = health.reasons
        body = {"role": health.role, "ready": not reasons, "waits_for": reasons}
        return web.json_response(body, status=503 if reasons else 200)

    async def status(_request: web.Request) -> web.Response:
        report = Report(health.role, health.reasons, tuple(health.connectors()), health.edition)
        return web.Response(body=msgspec.json.encode(report), content_type="application/json")

    async def metrics(_request: web.Request) -> web.Response:
        page = await asyncio.to_thread(health.meters.page)
        return web.Response(body=page, content_type="text/plain", charset="utf-8")

    app = web.Application()
    pages = {"healthz": healthz, "readyz": readyz, "status": status, "metrics": metrics}
    app.add_routes([web.get(f"/{name}", page) for name, page in pages.items()])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
    except OSError as error:
        await runner.cleanup()
        raise ConfigError(
            f"port {port} of {host} is taken: set http.port (the role {health.role} adds "
            f"{ROLES.index(health.role)}), or 0 for any free one ({error.strerror})"
        ) from None
    return runner, runner.addresses[0][1]


def asked(note: Presence, host: str) -> Report | None:
    """What a running role says of itself; None where it does not answer."""
    try:
        with urllib.request.urlopen(f"http://{host}:{note.port}/status", timeout=2) as answer:
            return msgspec.json.decode(answer.read(), type=Report)
    except (OSError, http.client.HTTPException, msgspec.DecodeError):
        return None


def announce(home: Path, role: str, port: int) -> Path:
    """Leaves the note of this process; returns its path, to be unlinked at the end.

    Clears away those of its role whose processes were killed, for the image's health check asks them all.
    """
    present(home, role)
    path = home / "run" / f"role-{role}-{os.getpid()}.json"
    try:
        notes.leave(path, Presence(role, os.getpid(), notes.own_start(), port))
    except OSError as error:
        # A full disk must not keep posts from those who need none of it.
        log.warning("%s cannot be written (%s): `status` does not see this role", path, error.strerror)
    return path


def leave(note: Path) -> None:
    """Takes the note of :func:`announce` away, as far as the disk lets us."""
    with suppress(OSError):
        note.unlink(missing_ok=True)


def present(home: Path, role: str = "*") -> list[Presence]:
    """The roles that run now, or those of this one; notes of processes that are gone are cleared away."""
    found = []
    for path in sorted((home / "run").glob(f"role-{role}-*.json")):
        note = notes.holding(path, Presence)
        if note is not None:
            found.append(note)
        else:
            leave(path)
    return found
