"""The bytes of a file of customers, unpacked and readable twice, and the encoding they are written in.

The encoding is decided by the whole file in a first pass: a name that is wrong in row 900,000 is as wrong
as one in row 1. Knows nothing of rows.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, BinaryIO, TextIO, cast

import zstandard
from msgspec import Struct

from connectors._lines import open_stream
from pipeline.core.errors import ConfigError, FatalError

_CHUNK = 1024 * 1024
_KINDS = {
    b"PK\x03\x04": "a spreadsheet or a zip archive",
    b"\xd0\xcf\x11\xe0": "a spreadsheet of the old form",
    b"%PDF": "a PDF",
    b"PAR1": "Parquet",
    b"SQLite": "a database",
    b"\x89PNG": "a picture",
}
_UTF8_MARK = codecs.BOM_UTF8
# Bytes that Windows-1252 gives no character; Latin-1 takes them for control characters.
_NOT_IN_1252 = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")


class Encoding(Struct, frozen=True):
    """``codec`` is Python's name, ``words`` are for people."""

    codec: str
    words: str


class Source:
    """A file by its path, or standard input for ``-``: plain, gzip or zstd, told apart by content.

    ConfigError where it cannot be read or is no text, FatalError where an archive is damaged.
    """

    def __init__(self, path: str) -> None:
        self.name = "standard input" if path == "-" else path
        self._path = path
        # What flows by only once is kept beside, in a file that has no name and goes with the process.
        self._copy: IO[bytes] | None = None
        if path == "-" or (Path(path).exists() and not Path(path).is_file() and not Path(path).is_dir()):
            self._copy = TemporaryFile()  # noqa: SIM115 - closed by close
            with closing(open_stream(path)) as stream:
                for chunk in self._chunks(stream):
                    self._copy.write(chunk)
        try:
            with closing(self._open()) as stream:
                self.encoding = encoding_of(self._chunks(stream), self.name)
        except Exception:
            self.close()
            raise

    def _open(self) -> BinaryIO:
        if self._copy is None:
            return open_stream(self._path)
        self._copy.seek(0)
        return cast(BinaryIO, _Kept(self._copy))

    def _chunks(self, stream: BinaryIO) -> Iterator[bytes]:
        try:
            while chunk := stream.read(_CHUNK):
                yield chunk
        except (OSError, EOFError, zstandard.ZstdError) as error:
            raise FatalError(f"{self.name} is damaged: {error}; nothing of it was taken") from None

    def text(self) -> TextIO:
        """The text from its start, with line ends as they stand; close it."""
        return io.TextIOWrapper(self._open(), encoding=self.encoding.codec, newline="")

    def close(self) -> None:
        """Lets go of what was kept; may be called twice."""
        if self._copy is not None:
            self._copy.close()


class _Kept(io.BufferedReader):
    """Reads the copy and leaves it open."""

    def __init__(self, copy: IO[bytes]) -> None:
        super().__init__(io.FileIO(copy.fileno(), closefd=False), _CHUNK)


def encoding_of(chunks: Iterable[bytes], name: str) -> Encoding:
    """How the text in ``chunks`` is written: UTF-16 by its mark, UTF-8 where all of it is valid, else
    Windows-1252, else Latin-1.

    Raises ConfigError where it is empty, no text, or breaks the encoding that its own mark names.
    """
    chunks = iter(chunks)
    head = next(chunks, b"")
    _check_kind(head, name)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        _decode(head, chunks, "utf-16", name, "UTF-16")
        return Encoding("utf-16", "UTF-16")
    marked = head.startswith(_UTF8_MARK)
    decoder = codecs.getincrementaldecoder("utf-8")()
    only_1252, broken_at, lines, blank = True, 0, 1, True
    for chunk in _joined(head, chunks):
        blank = blank and not chunk.removeprefix(_UTF8_MARK).strip()
        if not broken_at:
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError as error:
                broken_at = lines + error.object[: error.start].count(b"\n")
        lines += chunk.count(b"\n")
        only_1252 = only_1252 and not _NOT_IN_1252.search(chunk)
    if not broken_at:
        try:
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            broken_at = lines
    if blank:
        raise ConfigError(f"{name} is empty")
    if marked and broken_at:
        raise ConfigError(
            f"{name} says that it is UTF-8, but line {broken_at} is not: save it as UTF-8 again"
        )
    return _verdict(broken_at, marked=marked, only_1252=only_1252)


def _verdict(broken_at: int, *, marked: bool, only_1252: bool) -> Encoding:
    """``broken_at`` is the first line that is no UTF-8, 0 where all is."""
    if not broken_at:
        return Encoding("utf-8-sig", "UTF-8 with a mark" if marked else "UTF-8")
    if only_1252:
        return Encoding("cp1252", f"Windows-1252, for line {broken_at} is no UTF-8")
    return Encoding("latin-1", f"Latin-1, for line {broken_at} is no UTF-8")


def _joined(head: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield head
    yield from chunks


def _check_kind(head: bytes, name: str) -> None:
    advice = "save it as CSV or JSON Lines first"
    for mark, kind in _KINDS.items():
        if head.startswith(mark):
            raise ConfigError(f"{name} is {kind}, no text: {advice}")
    marked = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if not marked and b"\0" in head.split(b"\n", 1)[0]:
        raise ConfigError(f"{name} is no text, or UTF-16 without its mark: {advice}, in UTF-8")


def _decode(head: bytes, chunks: Iterator[bytes], codec: str, name: str, words: str) -> None:
    decoder = codecs.getincrementaldecoder(codec)()
    blank = True
    try:
        for chunk in _joined(head, chunks):
            blank = not decoder.decode(chunk).strip() and blank
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise ConfigError(f"{name} begins as {words} and is none further on: save it as UTF-8") from None
    if blank:
        raise ConfigError(f"{name} is empty")
