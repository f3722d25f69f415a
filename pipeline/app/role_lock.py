"""One process tree a role and home: who comes second is told who was first.

The lock is the kernel's, on a file of the home. The supervisor takes it and hands it down to the role's
process, so it is held for as long as either of them lives, and a killed one leaves nothing behind.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

import psutil

from pipeline.core.errors import ConfigError, FatalError
from pipeline.embedded.locks import taken

SOLE = ("collect", "directory")
"""Roles that own files of the home, cursors and the directory. Of the others, which only share partitions, as
many as are wanted may be started on one home, each alone."""

# A role whose supervisor was killed ends by itself, and has so long to finish what it has in hand.
ORPHAN_SECONDS = 60.0
_POLL = 0.2


def take(home: Path, role: str) -> int:
    """The open lock of a role, to be kept open; waits for a role that is ending because its parent is gone.

    Raises FatalError with the pid of whoever runs the role on this home.
    """
    path = home / "run" / f"lock-{role}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise ConfigError(
            f"{error.filename or path} cannot be written ({error.strerror}): set GROUNDSWELL_HOME to a "
            "home of your own"
        ) from error
    deadline = time.monotonic() + ORPHAN_SECONDS
    while not taken(descriptor):
        holder = _holder(descriptor)
        if psutil.pid_exists(holder) or time.monotonic() > deadline:
            os.close(descriptor)
            raise FatalError(
                f"the role {role} already runs on {home}, as process {holder}: end that one first, "
                "or give this one a home of its own with GROUNDSWELL_HOME"
            )
        time.sleep(_POLL)
    # The lock is held whether or not the disk has room for our number.
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


def _holder(descriptor: int) -> int:
    """The process that wrote its number; our own where none can be read, which counts as a living one."""
    text = os.pread(descriptor, 20, 0).decode(errors="replace")
    return int(text) if text.isdecimal() else os.getpid()
