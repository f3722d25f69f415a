"""The parent of the roles' processes: starts them, starts them anew when they die, ends them together.

A role that dies is started again with longer and longer rests, for as long as it takes, and the other
roles work on meanwhile: a bad day of Elasticsearch never stops collection. Only a role that refuses its
settings on its very first start ends the whole tree, for then a person is looking.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

from pipeline.core.errors import ConfigError

log = logging.getLogger("groundswell.supervisor")

# A process that has lived this long counts as healthy again.
HEALTHY_SECONDS = 60.0
LONGEST_REST = 60.0
STOP_SECONDS = 45.0
# What `run` answers for a wrong setting.
CONFIG_STATUS = 2


class _Child:
    """One role's process over its lives."""

    def __init__(self, role: str, command: Sequence[str]) -> None:
        self.role = role
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline = -1
        self._lives = 0
        self._born = 0.0
        self.deaths = 0
        self.not_before = 0.0

    def start(self) -> None:
        # The child reads this pipe; its end tells the child that its parent is gone, however it died.
        theirs, self._lifeline = os.pipe()
        self._process = subprocess.Popen(
            [*self._command, "--role", self.role, "--lifeline", str(theirs)],
            pass_fds=(theirs,),
            start_new_session=True,
        )
        os.close(theirs)
        self._lives += 1
        self._born = time.monotonic()

    def check(self, now: float) -> None:
        """Notes a death and when to start again; starts again when the time has come."""
        if self._process is None:
            if now >= self.not_before:
                self.start()
            return
        status = self._process.poll()
        if status is None:
            if now - self._born > HEALTHY_SECONDS:
                self.deaths = 0
            return
        os.close(self._lifeline)
        self._process = None
        if status == CONFIG_STATUS and self._lives == 1:
            raise ConfigError(f"the role {self.role} cannot start; its reason stands above")
        self.deaths += 1
        rest = min(0.5 * 2 ** (self.deaths - 1), LONGEST_REST)
        self.not_before = now + rest
        log.error("the role %s died with status %d; starting it again in %.1f s", self.role, status, rest)

    def ask_to_end(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)

    def wait(self, deadline: float) -> None:
        if self._process is None:
            return
        try:
            self._process.wait(max(deadline - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            log.error("the role %s did not end in time; killing it, which loses nothing", self.role)
            self._process.kill()
            self._process.wait()


def supervise(roles: Sequence[str], arguments: Sequence[str]) -> None:
    """Runs one process a role until SIGTERM or SIGINT. ``arguments`` go before ``--role`` of each.

    Raises ConfigError when a role refuses its settings at its first start. No child is left behind.
    """
    stop = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGTERM, signal.SIGINT)
    }
    command = [sys.executable, "-m", "pipeline.cli.main", *arguments]
    children = [_Child(role, command) for role in roles]
    try:
        while not stop.is_set():
            for child in children:
                child.check(time.monotonic())
            stop.wait(0.2)
    finally:
        for child in children:
            child.ask_to_end()
        deadline = time.monotonic() + STOP_SECONDS
        for child in children:
            child.wait(deadline)
        for number, handler in before.items():
            signal.signal(number, handler)


def hold_lifeline(descriptor: int) -> None:
    """In a child: ends this process as SIGTERM would, once the parent is gone."""

    def watch() -> None:
        os.read(descriptor, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="groundswell-lifeline", daemon=True).start()
