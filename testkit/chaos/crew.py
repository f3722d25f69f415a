"""The roles of an installation as processes of their own, each started again when it dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

PLAIN: Sequence[str] = (sys.executable, "-m", "pipeline.cli.main")
RESTART_SECONDS = 0.3
STOP_SECONDS = 60.0


class Member(Struct, eq=False):
    """One process of a role."""

    role: str
    process: subprocess.Popen[bytes]
    frozen: bool = False


class Crew:
    """All roles of one home. ``program`` is what runs `groundswell`, or a mutant of it."""

    def __init__(self, home: Path, environ: Mapping[str, str], program: Sequence[str] = PLAIN) -> None:
        self._folder = home / "logs"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._environ = dict(environ)
        self._program = program
        self._lock = threading.Lock()
        self._members: list[Member] = []
        self._ended = threading.Event()
        self.ends: list[str] = []
        # When we end, however that comes, the pipe ends, and all of them with it.
        self._theirs, self._ours = os.pipe()
        self._keeper = threading.Thread(target=self._keep, name="crew")
        self._keeper.start()

    def start(self, role: str) -> Member:
        """One more process of the role."""
        with self._lock:
            return self._start(role)

    def _start(self, role: str) -> Member:
        with (self._folder / f"{role}.log").open("ab") as log:
            process = subprocess.Popen(
                [*self._program, "run", "--role", role, "--lifeline", str(self._theirs)],
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=(self._theirs,),
            )
        member = Member(role, process)
        self._members.append(member)
        return member

    def of(self, role: str) -> list[Member]:
        """Those who run now and are not frozen."""
        with self._lock:
            members = list(self._members)
        return [one for one in members if one.role == role and not one.frozen and one.process.poll() is None]

    def kill(self, member: Member) -> None:
        """SIGKILL; the keeper starts another one."""
        member.process.kill()

    def freeze(self, member: Member) -> None:
        """SIGSTOP: it lives and does nothing."""
        member.frozen = True
        member.process.send_signal(signal.SIGSTOP)

    def thaw(self, member: Member) -> None:
        """SIGCONT."""
        member.process.send_signal(signal.SIGCONT)
        member.frozen = False

    def leave(self, member: Member) -> None:
        """Ends a process as an operator would, and no other comes in its place."""
        with self._lock:
            self._members.remove(member)
        _end(member)

    def close(self) -> None:
        """Ends all."""
        self._ended.set()
        self._keeper.join()
        for member in self._members:
            if member.frozen:
                self.thaw(member)
            member.process.terminate()
        for member in self._members:
            _end(member)
        os.close(self._theirs)
        os.close(self._ours)

    def _keep(self) -> None:
        while not self._ended.wait(RESTART_SECONDS):
            with self._lock:
                dead = [one for one in self._members if one.process.poll() is not None]
                for member in dead:
                    if member.process.returncode != -signal.SIGKILL:
                        self.ends.append(f"{member.role} ended by itself, status {member.process.returncode}")
                    self._members.remove(member)
                    self._start(member.role)


def _end(member: Member) -> None:
    member.process.terminate()
    try:
        member.process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        member.process.kill()
        member.process.wait()
        raise AssertionError(f"{member.role} does not end within {STOP_SECONDS:.0f} s of SIGTERM") from None
