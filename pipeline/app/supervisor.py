"""The parent of the roles' processes: starts them, starts them anew when they die, ends them together.

A role that dies is started again with longer and longer rests, and the other roles work on meanwhile: a
bad day of Elasticsearch never stops collection. One that dies again and again is parked: left alone for
long, until a person has looked. Only a role that refuses its settings on its very first start ends the
whole tree, for then a person is looking.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from pipeline.app import notes, role_lock, supervision
from pipeline.app.hangup import Terminal
from pipeline.app.supervision import State, Supervised
from pipeline.core.errors import ConfigError, FatalError
from pipeline.core.process_settings import DaemonSettings
from pipeline.core.rests import Rests

log = logging.getLogger("groundswell.supervisor")

STOP_SECONDS = 45.0
# What `run` answers for a wrong setting.
CONFIG_STATUS = 2
_FIRST_REST = 0.5
_LONGEST_REST = 60.0


def rests_of(settings: DaemonSettings) -> Rests:
    """The rests of roles that die."""
    parked = settings.parked_minutes * 60
    return Rests(_FIRST_REST, 2.0, _LONGEST_REST, settings.park_after, parked)


class _Child:
    """One role's process over its lives."""

    def __init__(self, role: str, command: Sequence[str], home: Path, settings: DaemonSettings) -> None:
        self.role = role
        self.lock = role_lock.take(home, role)
        self._command = command
        self._home = home
        self._rests = rests_of(settings)
        self._healthy = settings.healthy_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline = -1
        self._lives = 0
        self._born = 0.0
        self._deaths = 0
        self._not_before = 0.0
        self._began = notes.own_start()
        self.parked = False
        self.reason = ""

    def start(self) -> None:
        # The child reads this pipe; its end tells the child that its parent is gone, however it died.
        theirs, self._lifeline = os.pipe()
        self._lives += 1
        try:
            self._process = subprocess.Popen(
                [*self._command, "--role", self.role, "--lifeline", str(theirs), "--lock", str(self.lock)],
                pass_fds=(theirs, self.lock),
                start_new_session=True,
            )
        except OSError as error:
            # No memory for one more process must not end those that work.
            os.close(self._lifeline)
            self._fell(f"it cannot be started: {error.strerror}", time.monotonic())
            return
        finally:
            os.close(theirs)
        self._born = time.monotonic()
        self.parked = False
        self._note("runs")

    def check(self, now: float) -> None:
        """Notes a death and when to start again; starts again when the time has come."""
        if self._process is None:
            if now >= self._not_before:
                self.start()
            return
        status = self._process.poll()
        if status is not None:
            self._bury(status, now)
        elif self._deaths and now - self._born > self._healthy:
            self._deaths = 0
            self._note("runs")

    def _bury(self, status: int, now: float) -> None:
        os.close(self._lifeline)
        self._process = None
        if status == CONFIG_STATUS and self._lives == 1:
            raise ConfigError(f"the role {self.role} cannot start; its reason stands above")
        self._fell(supervision.take_words(self._home, self.role, status), now)

    def _fell(self, reason: str, now: float) -> None:
        """Decides how long it rests, and tells of it."""
        self.reason = reason
        self._deaths += 1
        rest = self._rests.after(self._deaths)
        self.parked = rest.parked
        self._not_before = now + rest.seconds
        if self.parked:
            log.error(
                "the role %s is parked after %d deaths in a row, the last: %s; mend that and `kill -HUP %d` "
                "to start it at once, else it is tried again in %.0f min",
                self.role,
                self._deaths,
                self.reason,
                os.getpid(),
                rest.seconds / 60,
            )
        else:
            log.error(
                "the role %s died: %s; starting it again in %.1f s", self.role, self.reason, rest.seconds
            )
        self._note("parked" if self.parked else "rests", time.time() + rest.seconds)

    def look_again(self) -> None:
        """Starts it now if it is down; a role that runs is told to try again what it had given up."""
        if self._process is not None:
            with suppress(OSError):
                os.write(self._lifeline, b"h")
            return
        self._deaths, self._not_before = 0, 0.0

    def ask_to_end(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)

    def wait(self, deadline: float) -> None:
        if self._process is not None:
            try:
                self._process.wait(max(deadline - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                log.error("the role %s did not end in time; killing it, which loses nothing", self.role)
                self._process.kill()
                self._process.wait()
        supervision.forget(self._home, self.role)
        os.close(self.lock)

    def _note(self, state: State, again: float | None = None) -> None:
        note = Supervised(self.role, os.getpid(), self._began, state, self._deaths, self.reason, again)
        supervision.note(self._home, note)


def supervise(roles: Sequence[str], arguments: Sequence[str], home: Path, settings: DaemonSettings) -> None:
    """Runs one process a role until SIGTERM or SIGINT. ``arguments`` go before ``--role`` of each. SIGHUP has
    those that are down started at once.

    Raises ConfigError when a role refuses its settings at its first start, FatalError when one of them runs
    on this home already and when all are parked. No child is left behind.
    """
    stop, again = threading.Event(), threading.Event()
    terminal = Terminal()
    command = [sys.executable, "-m", "pipeline.cli.main", *arguments]
    before = _handle(stop.set, lambda: stop.set() if terminal.is_gone() else again.set())
    children: list[_Child] = []
    try:
        for role in roles:
            children.append(_Child(role, command, home, settings))
        _watch(children, stop, again)
    finally:
        for child in children:
            child.ask_to_end()
        deadline = time.monotonic() + STOP_SECONDS
        for child in children:
            child.wait(deadline)
        for number, handler in before.items():
            signal.signal(number, handler)


def _handle(end: Callable[[], None], hang_up: Callable[[], None]) -> dict[int, signal.Handlers | Callable]:  # type: ignore[type-arg]
    """Sets the handlers of signals and returns those that were there."""
    ways = {signal.SIGTERM: end, signal.SIGINT: end, signal.SIGHUP: hang_up}
    return {number: signal.signal(number, lambda *_, way=way: way()) for number, way in ways.items()}  # type: ignore[misc]


def _watch(children: Sequence[_Child], stop: threading.Event, again: threading.Event) -> None:
    while not stop.is_set():
        if again.is_set():
            again.clear()
            log.info("told to look again: starting what is down")
            for child in children:
                child.look_again()
        for child in children:
            child.check(time.monotonic())
        if all(child.parked for child in children):
            reasons = "; ".join(f"{child.role}: {child.reason}" for child in children)
            raise FatalError(f"all roles are parked, so the daemon ends: {reasons}")
        stop.wait(0.2)


def hold_lifeline(descriptor: int) -> None:
    """In a child: ends this process as SIGTERM would, once the parent is gone; hands on its "look again"."""

    def watch() -> None:
        while os.read(descriptor, 1):
            # Before the role listens to it, the signal would end the process, and nothing is given up yet.
            if signal.getsignal(signal.SIGHUP) not in (signal.SIG_DFL, signal.SIG_IGN):
                os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="groundswell-lifeline", daemon=True).start()
