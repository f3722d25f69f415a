"""A contestant's process, and what it uses."""

from __future__ import annotations

import subprocess
from pathlib import Path

import psutil


class Child:
    """A process whose words go to a log; one that talks has pipes for standard input and output."""

    def __init__(self, command: list[str], environ: dict[str, str], log: Path, talks: bool) -> None:
        self.log = log
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                command,
                env=environ,
                stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
                stdout=subprocess.PIPE if talks else file,
                stderr=file,
            )

    def alive(self) -> None:
        """Raises when it has ended by itself."""
        if self.process.poll() is not None:
            last = self.log.read_text(errors="replace").splitlines()[-5:]
            raise SystemExit(f"{self.process.args} ended by itself: {' / '.join(last)}")

    def stop(self) -> None:
        """Ends it, gently if it lets us."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


def cpu_seconds(pid: int | None) -> float:
    """What a process and its children have used so far."""
    if pid is None:
        return 0.0
    try:
        parent = psutil.Process(pid)
        times = [process.cpu_times() for process in (parent, *parent.children(recursive=True))]
    except psutil.NoSuchProcess:
        return 0.0
    return float(sum(time.user + time.system for time in times))
