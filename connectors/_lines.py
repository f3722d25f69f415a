"""Lines of a file as they become available: plain, gzip or zstd by content, or standard input.

Bounded in memory whatever the input: an endless line is cut, and the rest of it passed over.
"""

from __future__ import annotations

import gzip
import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import zstandard
from msgspec import Struct

from pipeline.core.errors import ConfigError, FatalError
from pipeline.core.post import MAX_POST_BYTES

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer as Buffer

# One byte more than a post may have: enough for the reader behind to see that it is too long.
MAX_LINE_BYTES = MAX_POST_BYTES + 1

_CHUNK = 256 * 1024
# At most 32 MB unpacked: a block of four bytes may stand for 128 KB.
_ZSTD_CHUNK = 1024
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_BOM = b"\xef\xbb\xbf"


class Line(Struct, gc=False, frozen=True):
    """``number`` counts from 1; ``after`` is the offset behind the line, in bytes of the unpacked text."""

    number: int
    raw: bytes
    after: int


def open_stream(path: str) -> BinaryIO:
    """The unpacked bytes of a file, or of standard input for ``-``. ConfigError where it cannot be read.

    Closing it closes the file. Reading raises OSError, EOFError or ZstdError on a damaged archive or one
    that stops short.
    """
    try:
        source = cast(io.BufferedReader, sys.stdin.buffer) if path == "-" else Path(path).open("rb")  # noqa: SIM115
        # A terminal or a pipe gives nothing to peek at until somebody writes; that is as it should be.
        head = source.peek(4)[:4]
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    if len(head) < 4 and _undecided(head):
        head, source = _longer(head, source)
    if head.startswith(_GZIP):
        return cast(BinaryIO, _Gzip(source))
    if head == _ZSTD:
        return cast(BinaryIO, io.BufferedReader(_Zstd(source), _CHUNK))
    return cast(BinaryIO, source)


def _undecided(head: bytes) -> bool:
    return bool(head) and (_GZIP.startswith(head) or _ZSTD.startswith(head))


def _longer(head: bytes, source: io.BufferedReader) -> tuple[bytes, io.BufferedReader]:
    """Reads on until the packing is clear: a pipe may bring its first bytes one by one."""
    source.read(len(head))
    while _undecided(head) and len(head) < 4 and (more := source.read1(1)):
        head += more
    return head, io.BufferedReader(_Again(head, source), _CHUNK)


class _Again(io.RawIOBase):
    """A stream with the bytes that were read from it already put in front."""

    def __init__(self, head: bytes, source: io.BufferedReader) -> None:
        self._head = head
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer)
        data = self._head[: len(view)] or self._source.read1(len(view))
        self._head = self._head[len(data) :]
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._source.close()
        super().close()


class _Gzip(gzip.GzipFile):
    """A GzipFile that closes the file it reads."""

    def __init__(self, source: io.BufferedReader) -> None:
        super().__init__(fileobj=source, mode="rb")
        self._source = source

    def close(self) -> None:
        super().close()
        self._source.close()


class _Zstd(io.RawIOBase):
    """Unpacks frame after frame, and raises EOFError where the last one stops short.

    zstandard's own reader takes a cut file for a whole one, so that its end would be lost in silence.
    """

    def __init__(self, source: io.BufferedReader) -> None:
        self._source = source
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._packed = b""
        self._unpacked = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        while not self._unpacked:
            packed = self._packed or self._source.read1(_ZSTD_CHUNK)
            if not packed:
                if self._frame is not None:
                    raise EOFError("the file ends within a frame, it was not written or copied whole")
                return 0
            frame = self._frame or zstandard.ZstdDecompressor().decompressobj()
            self._unpacked = memoryview(frame.decompress(packed))
            self._frame, self._packed = (None, frame.unused_data) if frame.eof else (frame, b"")
        view = memoryview(buffer)
        size = min(len(view), len(self._unpacked))
        view[:size] = self._unpacked[:size]
        self._unpacked = self._unpacked[size:]
        return size

    def close(self) -> None:
        self._source.close()
        super().close()


class LineReader:
    """Reads lines in bounded portions. ``name`` stands in messages and in the origins of rejections."""

    def __init__(self, path: str) -> None:
        self.name = "standard input" if path == "-" else path
        self._stream = open_stream(path)
        self._tail = b""
        self._dropped = 0
        self._number = 0
        self._offset = 0

    def skip(self, offset: int, number: int) -> bool:
        """Goes on behind ``number`` lines that end at ``offset``, from the very start of the stream.

        False where the stream ends before: it is not the one that was read up to there.
        """
        self._offset, self._number = offset, number
        if self._plain:
            size = os.fstat(self._stream.fileno()).st_size
            return size >= offset and self._stream.seek(offset) == offset
        left = offset
        while left and (chunk := self._stream.read(min(left, _CHUNK))):
            left -= len(chunk)
        return not left

    @property
    def _plain(self) -> bool:
        """Whether the offsets are those of the file itself."""
        raw = getattr(self._stream, "raw", None)
        return isinstance(raw, io.FileIO) and raw.seekable()

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
            found = self._lines(parts)
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
        return self._lines([rest], newline=0) if rest else []

    def _lines(self, raws: list[bytes], newline: int = 1) -> list[Line]:
        if not raws:
            return []
        number, offset = self._number, self._offset + self._dropped
        self._dropped = 0
        found = []
        for raw in raws:
            number += 1
            offset += len(raw) + newline
            found.append(Line(number, raw, offset))
        # Only the first may have come in several portions, so that it is too long.
        # With the mark some editors and spreadsheets begin a file.
        first = raws[0] if self._number else raws[0].removeprefix(_BOM)
        found[0] = Line(found[0].number, first[:MAX_LINE_BYTES], found[0].after)
        self._number, self._offset = number, offset
        return found

    def close(self) -> None:
        """Lets go of the file."""
        self._stream.close()
