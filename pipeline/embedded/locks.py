"""A lock between processes that the kernel releases when its holder dies."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.core.errors import FatalError

POLL = 0.1


@contextmanager
def locked(path: Path, *, waiting: Callable[[], None], limit: float = 900.0) -> Iterator[None]:
    """Hold the lock file ``path``; call ``waiting`` once if somebody else holds it.

    Raises FatalError after ``limit`` seconds. The file stays: removing it would let two holders in.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + limit
    with path.open("ab") as file:
        told = False
        while not taken(file.fileno()):
            if time.monotonic() > deadline:
                raise FatalError(
                    f"Another Groundswell process has held {path} for {limit:.0f} s: end it and try again."
                )
            if not told:
                waiting()
                told = True
            time.sleep(POLL)
        yield


def taken(descriptor: int) -> bool:
    """Whether the lock of this open file is ours now; it stays so until all that share it are gone."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
