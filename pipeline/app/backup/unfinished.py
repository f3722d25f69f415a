"""Folders of backups that are being made, and what was left of those that were killed meanwhile.

Such a rest holds whole posts and customers in a hidden folder, where nobody would look for it, so the next
backup into the same place removes it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from glob import escape
from pathlib import Path

from pipeline.embedded.locks import taken

_SUFFIX = ".partial"
_REST = timedelta(days=1)
"""A backup makes a file of its own for each topic; where locks do not reach, so much silence tells."""


@contextmanager
def unfinished(whole: Path) -> Iterator[Path]:
    """A new folder in which the backup ``whole`` is made, for its owner's eyes only; it is gone afterwards,
    unless it was renamed. Raises OSError."""
    folder = whole.with_name(f".{whole.name}{_SUFFIX}")
    folder.mkdir(mode=0o700)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # no locks on this file system
            taken(descriptor)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def remove_rests(folder: Path, prefix: str, now: datetime) -> list[Path]:
    """Removes what backups below ``folder`` left that were killed a day ago or more; returns the folders."""
    removed = []
    for rest in sorted(folder.glob(f".{escape(prefix)}-*{_SUFFIX}")):
        with suppress(OSError):
            descriptor = os.open(rest, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if os.fstat(descriptor).st_mtime < (now - _REST).timestamp() and taken(descriptor):
                    shutil.rmtree(rest)
                    removed.append(rest)
            finally:
                os.close(descriptor)
    return removed
