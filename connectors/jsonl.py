"""Posts from a file of JSON Lines: plain, gzip or zstd, or standard input; once, or for as long as it grows.

The cursor counts bytes of the unpacked text, always up to the end of a line.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from connectors._lines import Line, LineReader
from pipeline.core.errors import RejectedError
from pipeline.core.post import Post, decode_post
from pipeline.core.protocols import Cursor, Read
from pipeline.core.rejection import Rejection, Stage, reject

# How long to rest at the end of a file that may grow.
POLL_SECONDS = 1.0


class SETTINGS(Struct, frozen=True, forbid_unknown_fields=True):
    """What ``[connectors.NAME]`` of kind ``jsonl`` may say."""

    path: Annotated[str, Meta(min_length=1, description="the file, or - for standard input")]
    follow: Annotated[bool, Meta(description="go on reading as the file grows")] = False
    batch: Annotated[int, Meta(ge=1, le=100_000, description="lines a read")] = 1000


def build(settings: SETTINGS) -> JsonLines:
    """The connector for a file; ConfigError where there is none to read."""
    return JsonLines(settings, stage="collect")


def parse(raw: bytes) -> Post:
    """One line as a post; raises RejectedError."""
    return decode_post(raw)


class JsonLines:
    """Reads one file. ``stage`` stands in the rejections of bad lines."""

    def __init__(self, settings: SETTINGS, *, stage: Stage) -> None:
        self._settings = settings
        self._stage = stage
        self._reader = LineReader(settings.path)
        self._at = _START

    def read(self, cursor: Cursor | None) -> Read:
        """The next lines after ``cursor``; blank ones are passed over."""
        at = cursor or _START
        if at != self._at:
            self._go_to(at)
        lines = self._reader.lines(self._settings.batch, last=not self._settings.follow)
        if not lines:
            return self._at_the_end()
        posts: list[Post] = []
        rejected: list[Rejection] = []
        for line in lines:
            if not line.raw or line.raw.isspace():
                continue
            try:
                posts.append(parse(line.raw))
            except RejectedError as error:
                rejected.append(self._refuse(line, error))
        self._at = {"offset": lines[-1].after, "line": lines[-1].number}
        return Read(posts=posts, rejected=rejected, cursor=self._at)

    def _at_the_end(self) -> Read:
        if not self._settings.follow:
            return Read(posts=[], cursor=self._at, wait=None)
        path = Path(self._settings.path)
        if self._settings.path != "-" and path.exists() and path.stat().st_size < self._at["offset"]:
            self._go_to(_START)  # cut short or replaced: what is there now is new
        return Read(posts=[], cursor=self._at, wait=POLL_SECONDS)

    def _go_to(self, at: Cursor) -> None:
        self._reader.close()
        self._reader = LineReader(self._settings.path)
        self._reader.skip(at["offset"], at["line"])
        self._at = at

    def _refuse(self, line: Line, error: RejectedError) -> Rejection:
        origin = f"{self._reader.name}:{line.number}"
        return reject(line.raw, error, stage=self._stage, origin=origin, now=datetime.now(UTC))

    def close(self) -> None:
        """Lets go of the file."""
        self._reader.close()


_START: Cursor = {"offset": 0, "line": 0}
