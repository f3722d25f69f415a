"""Waiting for what must come, with an end."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

_STRETCH_SECONDS = 0.05


def until(what: Callable[[], bool], limit: float = 120, why: str = "") -> None:
    """Returns once ``what()`` holds; AssertionError with ``why`` after ``limit`` seconds."""
    deadline = time.monotonic() + limit
    while not what():
        assert time.monotonic() < deadline, f"not within {limit:.0f} s: {why}"
        time.sleep(0.1)


def halt(
    pid: int,
    when: Callable[[], bool],
    enough: Callable[[], bool] = lambda: False,
    *,
    limit: float = 120,
    why: str = "",
) -> None:
    """Lets a process run in short stretches until ``when()`` holds, and leaves it standing still: it goes on
    with SIGCONT. AssertionError with ``why`` after ``limit`` seconds.

    It stands still while it is looked at, and for as long as there is ``enough()`` of what it does. So it is
    in the middle of its work at the end, however long a look takes and however fast the work is.
    """
    deadline = time.monotonic() + limit
    os.kill(pid, signal.SIGSTOP)
    try:
        while not when():
            assert time.monotonic() < deadline, f"not within {limit:.0f} s: {why}"
            if not enough():
                os.kill(pid, signal.SIGCONT)
            time.sleep(_STRETCH_SECONDS)
            os.kill(pid, signal.SIGSTOP)
    except BaseException:
        os.kill(pid, signal.SIGCONT)
        raise
