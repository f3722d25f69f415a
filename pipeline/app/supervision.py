"""What a supervisor says of its roles, on disk, for ``status``: one note a role below ``run`` of the home.

Roles leave their last words there, too, so that whoever asks why a role is down reads a reason and not a
number. Where none can be written, as on a full disk, the roles go on without: only ``status`` knows less.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from msgspec import Struct

from pipeline.app import notes

log = logging.getLogger("groundswell.supervisor")

State = Literal["runs", "rests", "parked"]

_LONGEST_WORDS = 2000


class Supervised(Struct, frozen=True):
    """How a role stands with its supervisor, whose ``pid`` and start tell whether the note still holds.

    ``reason`` is why it died last; ``again`` when it is started again, in seconds since 1970.
    """

    role: str
    pid: int
    started: float
    state: State
    deaths: int = 0
    reason: str = ""
    again: float | None = None


def note(home: Path, supervised: Supervised) -> None:
    """Leaves the note, in place of the one before."""
    path = _note(home, supervised.role)
    with _as_far_as_it_goes(path):
        notes.leave(path, supervised)


def forget(home: Path, role: str) -> None:
    """Takes the note away: the supervisor ends."""
    path = _note(home, role)
    with _as_far_as_it_goes(path):
        path.unlink(missing_ok=True)


def supervised(home: Path) -> Iterator[Supervised]:
    """The notes of all supervisors that live."""
    for path in sorted((home / "run").glob("supervised-*.json")):
        found = notes.holding(path, Supervised)
        if found is not None:
            yield found


def leave_words(home: Path, role: str, words: str) -> None:
    """Why this process cannot go on, for its supervisor."""
    path = _words(home, role)
    with _as_far_as_it_goes(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(words[:_LONGEST_WORDS], encoding="utf-8", errors="replace")


def take_words(home: Path, role: str, status: int | None) -> str:
    """The role's last words, which are then forgotten; what its exit ``status`` says where it left none."""
    path = _words(home, role)
    try:
        words = " ".join(path.read_text(encoding="utf-8", errors="replace").split())
        path.unlink(missing_ok=True)
    except OSError:
        words = ""
    return words or _in_words(status)


def _in_words(status: int | None) -> str:
    if status is None or status >= 0:
        return f"it ended with status {status}"
    try:
        return f"it was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"it was killed by signal {-status}"


@contextmanager
def _as_far_as_it_goes(path: Path) -> Iterator[None]:
    """A note is worth no role's life."""
    try:
        yield
    except OSError as error:
        log.warning(
            "%s cannot be written (%s): `status` may not tell how its role stands", path, error.strerror
        )


def _note(home: Path, role: str) -> Path:
    return home / "run" / f"supervised-{role}.json"


def _words(home: Path, role: str) -> Path:
    return home / "run" / f"words-{role}.txt"
