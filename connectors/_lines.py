"""Lines of a file as they become available: plain, gzip or zstd by content, or standard input.

Bounded in memory whatever the input: an endless line is cut, and the rest of it passed over.
"""

from __future__ import annotations

import gzip
import io
import sys
from pathlib import Path
from typing import BinaryIO, cast

import zstandard
from msgspec import Struct

from pipeline.core.errors import ConfigError, FatalError
from pipeline.core.post import MAX_POST_BYTES

# One byte more than a post may have: enough for the reader behind to see that it is too long.
MAX_LINE_BYTES = MAX_POST_BYTES + 1

_CHUNK = 256 * 1024
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"


class Line(Struct, frozen=True):
    """``number`` counts from 1; ``after`` is the offset behind the line, in bytes of the unpacked text."""

    number: int
    raw: bytes
    after: int


def open_stream(path: str) -> BinaryIO:
    """The unpacked bytes of a file, or of standard input for ``-``. ConfigError where it cannot be read."""
    try:
        source = cast(BinaryIO, sys.stdin.buffer) if path == "-" else Path(path).open("rb")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    buffered = cast(io.BufferedReader, source)
    # A terminal or a pipe gives nothing to peek at until somebody writes; that is as it should be.
    head = buffered.peek(4)[:4]
    if head.startswith(_GZIP):
        return cast(BinaryIO, gzip.GzipFile(fileobj=buffered))
    if head == _ZSTD:
        reader = zstandard.ZstdDecompressor().stream_reader(buffered, read_across_frames=True)
        return cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, reader), _CHUNK))
    return cast(BinaryIO, buffered)


class LineReader:
    """Reads lines in bounded portions. ``name`` stands in messages and in the origins of rejections."""

    def __init__(self, path: str) -> None:
        self.name = "standard input" if path == "-" else path
        self._stream = open_stream(path)
        self._tail = b""
        self._dropped = 0
        self._number = 0
        self._offset = 0

    def skip(self, offset: int, number: int) -> None:
        """Goes on behind ``number`` lines that end at ``offset``, from the very start of the stream."""
        if self._stream.seekable():
            self._stream.seek(offset)
        else:
            left = offset
            while left and (chunk := self._stream.read(min(left, _CHUNK))):
                left -= len(chunk)
        self._offset, self._number = offset, number

    def lines(self, at_most: int, *, last: bool = True) -> list[Line]:
        """Up to ``at_most`` lines: waits for the first, then gives what is there. Empty at the end.

        With ``last``, text behind the final newline counts as a line. FatalError on a damaged archive.
        """
        found: list[Line] = []
        while not found:
            chunk = b"" if b"\n" in self._tail else self._read()
            if not chunk and b"\n" not in self._tail:
                return self._rest() if last else []
            self._tail += chunk
            parts = self._tail.split(b"\n", at_most)
            self._tail = parts.pop()
            found = [self._line(raw) for raw in parts]
            if not found and len(self._tail) > MAX_LINE_BYTES:
                self._dropped += len(self._tail) - MAX_LINE_BYTES
                self._tail = self._tail[:MAX_LINE_BYTES]
        return found

    def _read(self) -> bytes:
        try:
            return cast(io.BufferedReader, self._stream).read1(_CHUNK)
        except (OSError, EOFError, zstandard.ZstdError) as error:
            raise FatalError(f"{self.name} is damaged behind line {self._number}: {error}") from None

    def _rest(self) -> list[Line]:
        rest, self._tail = self._tail, b""
        return [self._line(rest, newline=0)] if rest else []

    def _line(self, raw: bytes, newline: int = 1) -> Line:
        self._number += 1
        self._offset += len(raw) + self._dropped + newline
        self._dropped = 0
        return Line(self._number, raw[:MAX_LINE_BYTES], self._offset)

    def close(self) -> None:
        """Lets go of the file."""
        self._stream.close()
