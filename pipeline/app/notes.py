"""Notes that processes leave on disk below the home, for whoever asks: one holds while its process lives."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec
import psutil


class Note(Protocol):
    """Whose it is: a process by its number and by when it began, for numbers come again."""

    @property
    def pid(self) -> int: ...

    @property
    def started(self) -> float: ...


N = TypeVar("N", bound=Note)
# Clocks are set; no process takes up the number of another so soon.
_TOLERANCE_SECONDS = 2.0


def own_start() -> float:
    """When this process began, as notes say it."""
    return psutil.Process(os.getpid()).create_time()


def leave(path: Path, note: Note) -> None:
    """Puts the note there, in place of the one before: whoever reads never finds half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.write_bytes(msgspec.json.encode(note))
    draft.replace(path)


def holding(path: Path, form: type[N]) -> N | None:
    """The note; None where its process is gone, or it cannot be read."""
    try:
        note = msgspec.json.decode(path.read_bytes(), type=form)
        alive = abs(psutil.Process(note.pid).create_time() - note.started) < _TOLERANCE_SECONDS
    except (OSError, ValueError, msgspec.DecodeError, psutil.Error):
        return None  # gone, or no note: bytes that are no text, a number that no process has
    return note if alive else None
