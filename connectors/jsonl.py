"""Posts from a file of JSON Lines: plain, gzip or zstd, or standard input; once, or for as long as it grows.

The cursor counts bytes of the unpacked text, always up to the end of a line.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from connectors._lines import Line, LineReader
from pipeline.core.errors import FatalError, RejectedError, RetryableError
from pipeline.core.post import Post, decode_post
from pipeline.core.protocols import Cursor, Read
from pipeline.core.rejection import Rejection, Stage, reject

# How long to rest at the end of a file that may grow.
POLL_SECONDS = 1.0


class SETTINGS(Struct, frozen=True, forbid_unknown_fields=True):
    """What ``[connectors.NAME]`` of kind ``jsonl`` may say."""

    path: Annotated[Path, Meta(description="the file")]
    follow: Annotated[bool, Meta(description="go on reading as the file grows")] = False
    batch: Annotated[int, Meta(ge=1, le=100_000, description="lines a read")] = 1000


def build(settings: SETTINGS) -> JsonLines:
    """The connector for a file; ConfigError where there is none to read."""
    return JsonLines(str(settings.path), settings.batch, follow=settings.follow, stage="collect")


def parse(raw: bytes) -> Post:
    """One line as a post; raises RejectedError."""
    return decode_post(raw)


class _File(Struct, frozen=True):
    """What tells a file that grows from another one under its name."""

    number: int
    size: int

    def is_another_than(self, before: _File) -> bool:
        return self.number != before.number or self.size < before.size


class JsonLines:
    """Reads one file, or standard input for ``-``, in portions of at most ``batch`` lines; with ``follow``
    as it grows. ``stage`` stands in the rejections of bad lines.

    A file that was replaced is read from its start, but never so by a replay, which a person resumed.
    """

    def __init__(self, path: str, batch: int, *, follow: bool = False, stage: Stage) -> None:
        self._path = path
        self._batch = batch
        self._follow = follow
        self._stage = stage
        self._reader = LineReader(path)
        self._file = self._look()
        self._at = _START

    def read(self, cursor: Cursor | None) -> Read:
        """The next lines after ``cursor``; blank ones are passed over."""
        at = cursor or _START
        if at != self._at:
            self._go_to(at)
        lines = self._reader.lines(self._batch, last=not self._follow)
        if lines:
            return self._posts(lines)
        if not self._follow:
            return Read(posts=[], cursor=self._at, wait=None)
        return self._at_the_end()

    def _posts(self, lines: Sequence[Line]) -> Read:
        posts: list[Post] = []
        rejected: list[Rejection] = []
        for line in lines:
            if not line.raw or line.raw.isspace():
                continue
            try:
                posts.append(parse(line.raw))
            except RejectedError as error:
                rejected.append(self._refuse(line, error))
        self._at = {"offset": lines[-1].after, "line": lines[-1].number, "file": self._file.number}
        return Read(posts=posts, rejected=rejected, cursor=self._at)

    def _at_the_end(self) -> Read:
        """Of a file that may grow, or give way to another."""
        found = self._look()
        if found.is_another_than(self._file):
            # Whoever wrote the old one may have done so until it was replaced.
            if lines := self._reader.lines(self._batch, last=True):
                return self._posts(lines)
            self._go_to(_START)
        self._file = found
        return Read(posts=[], cursor=self._at, wait=POLL_SECONDS)

    def _go_to(self, at: Cursor) -> None:
        self._reader.close()
        self._reader = LineReader(self._path)
        self._file = self._look()
        self._at = at
        same = at.get("file") in (None, self._file.number)
        if at == _START or (same and self._reader.skip(at["offset"], at["line"])):
            return
        if self._stage == "replay":
            raise FatalError(
                f"{self._reader.name} is no longer the file that was read up to line {at['line']}: read it"
                " from its start"
            )
        self._go_to(_START)

    def _look(self) -> _File:
        """The file under the path as it is now. RetryableError where there is none."""
        if self._path == "-":
            return _File(0, 0)
        try:
            found = Path(self._path).stat()
        except OSError as error:
            raise RetryableError(
                f"{self._path} is gone ({error.strerror}): what comes under this name is read next",
                POLL_SECONDS,
            ) from None
        return _File(found.st_ino, found.st_size)

    def _refuse(self, line: Line, error: RejectedError) -> Rejection:
        origin = f"{self._reader.name}:{line.number}"
        return reject(line.raw, error, stage=self._stage, origin=origin, now=datetime.now(UTC))

    def close(self) -> None:
        """Lets go of the file."""
        self._reader.close()


_START: Cursor = {"offset": 0, "line": 0}
