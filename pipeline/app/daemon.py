"""A whole daemon as a child process: started, watched until it has worked everything off, ended.

For the demo and the tests, which run the same `groundswell run` as everybody.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.app.brokers import Brokers
from pipeline.app.health import ROLES, asked, present
from pipeline.app.offsets import Span, spans
from pipeline.app.site import group
from pipeline.app.topics import admin_client, topics_of
from pipeline.core.errors import FatalError
from pipeline.core.settings import RESERVED, Settings

STOP_SECONDS = 60.0


# What a caller's own shell may say to any installation; all else with our prefix is of some other one.
_FOR_ALL = frozenset(RESERVED) - {"GROUNDSWELL_HOME", "GROUNDSWELL_CONFIG"}


def surroundings(environ: Mapping[str, str], **own: str) -> dict[str, str]:
    """The environment of a process of an installation of its own: nothing of the caller's settings."""
    others = {
        name: value
        for name, value in environ.items()
        if not name.startswith("GROUNDSWELL_") or name in _FOR_ALL
    }
    return {**others, **own}


class Daemon:
    """One `groundswell run` with its own log file. ``environ`` is all of its environment."""

    def __init__(self, log: Path, *, roles: Sequence[str] = (), environ: Mapping[str, str]) -> None:
        self._log = log
        self._roles = roles
        self._environ = dict(environ)
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline = -1

    @property
    def pid(self) -> int | None:
        """The process id while it runs, else None."""
        running = self._process is not None and self._process.poll() is None
        return self._process.pid if running and self._process else None

    def start(self) -> None:
        """Starts the process; does not wait until it is ready."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        roles = ["--role", ",".join(self._roles)] if self._roles else []
        # When we end, however that comes, the pipe ends, and the daemon with it.
        theirs, self._lifeline = os.pipe()
        with self._log.open("ab") as log:
            # A session of its own: Ctrl-C in the terminal is for the one who started us to handle.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pipeline.cli.main", "run", *roles, "--lifeline", str(theirs)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environ,
                start_new_session=True,
                pass_fds=(theirs,),
            )
        os.close(theirs)

    def wait_until_ready(self, home: Path, host: str, limit: float = 60.0) -> None:
        """Returns once all its roles say that they are at work; FatalError after ``limit`` seconds or when
        the process is gone."""
        deadline = time.monotonic() + limit
        while True:
            self.check()
            reports = [asked(note, host) for note in present(home)]
            if {one.role for one in reports if one and not one.waits_for} >= set(self._roles or ROLES):
                return
            if time.monotonic() > deadline:
                raise FatalError(f"the daemon is not ready after {limit:.0f} s; its log is {self._log}")
            time.sleep(0.3)

    def stop(self) -> int:
        """Ends the process as an operator would; returns its exit status, 0 for a clean end."""
        if self._process is None:
            return 0
        self._process.terminate()
        try:
            return self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise FatalError(
                f"the daemon did not end within {STOP_SECONDS:.0f} s; its log is {self._log}"
            ) from None
        finally:
            self._cut_lifeline()

    def kill(self) -> None:
        """Ends the process as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._cut_lifeline()

    def _cut_lifeline(self) -> None:
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1

    def check(self) -> None:
        """Raises FatalError, with the end of the log, when the process is gone."""
        if self._process is not None and self._process.poll() is not None:
            last = self._log.read_text(errors="replace").splitlines()[-3:]
            raise FatalError(f"the daemon ended by itself: {' / '.join(last)}; its log is {self._log}")


def unfinished(settings: Settings, brokers: Brokers) -> int:
    """How many records of the posts and events topics their roles have not confirmed."""
    topics = topics_of(settings.kafka)
    admin = admin_client(brokers)
    try:
        # The posts first: what enrich confirms meanwhile then shows among the events.
        found: list[Span] = []
        for topic, role in ((topics.posts, "enrich"), (topics.events, "index")):
            found += spans(admin, topic.name, group(settings, role)).values()
    finally:
        admin.close()
    return sum(span.lag for span in found)


def settle(settings: Settings, brokers: Brokers, daemon: Daemon, limit: float) -> None:
    """Waits until nothing is unfinished; FatalError after ``limit`` seconds or when the daemon is gone."""
    deadline = time.monotonic() + limit
    while (left := unfinished(settings, brokers)) > 0:
        daemon.check()
        if time.monotonic() > deadline:
            raise FatalError(f"{left} records are still unfinished after {limit:.0f} s")
        time.sleep(0.3)
