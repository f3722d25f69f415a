"""Telling a person at the terminal how a download goes.

On a terminal one line is rewritten in place; elsewhere (a log, CI) there is one line at the start and one at
the end.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

REDRAW = 0.1
"""Seconds between two redrawings of the line."""


def megabytes(size: int) -> str:
    """``size`` bytes as text in MB of 10^6 bytes."""
    return f"{size / 1e6:.1f} MB"


class Progress:
    """Counts files and bytes of one group of downloads; may be called from several threads."""

    def __init__(self, title: str, files: int, size: int, out: TextIO | None = None) -> None:
        self._title, self._files, self._size = title, files, size
        self._out = sys.stderr if out is None else out
        self._terminal = self._out.isatty()
        self._lock = threading.Lock()
        self._bytes_done = self._files_done = 0
        self._begun = time.monotonic()
        self._drawn = 0.0
        self._cancelled = False
        self._write(f"Downloading {title}: {files} file{'s' * (files != 1)}, {megabytes(size)}", end="\n")

    @contextmanager
    def file(self, name: str, size: int) -> Iterator[Callable[[int], None]]:
        """What jgo's resolver calls for each file: yields a function that takes the bytes just received."""
        del name, size
        received = 0

        def update(count: int) -> None:
            nonlocal received
            received += count
            self._add(count)

        try:
            yield update
        except BaseException:
            # A failed file is fetched again, so what it brought does not count.
            self._add(-received)
            raise

    def cancel(self) -> None:
        """Break off all downloads at their next bytes: their threads would otherwise be waited for."""
        self._cancelled = True

    def file_done(self) -> None:
        with self._lock:
            self._files_done += 1

    def close(self) -> None:
        if self._files_done == self._files:
            took = time.monotonic() - self._begun
            self._write(f"Downloaded {self._title} in {took:.1f} s", end="\n")
        elif self._terminal:
            self._out.write("\n")

    def _add(self, count: int) -> None:
        with self._lock:
            self._bytes_done += count
            if self._cancelled and count > 0:
                raise InterruptedError("cancelled")
            if self._terminal and time.monotonic() - self._drawn > REDRAW:
                self._drawn = time.monotonic()
                size = f"{megabytes(self._bytes_done)} of {megabytes(self._size)}"
                self._write(f"{self._title}: {self._files_done}/{self._files} files, {size}", end="")

    def _write(self, text: str, end: str) -> None:
        if self._terminal:
            text = f"\r\x1b[K{text}"
        self._out.write(text + end)
        self._out.flush()
