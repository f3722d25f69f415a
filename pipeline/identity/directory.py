"""The directory: all customers' keys in one memory-mapped file, written by one process, read by many.

LMDB: a reader sees one moment for as long as it looks, the writer never waits for readers, and a crash
at any instant leaves the last committed state. Where each partition of the customers topic is read to
is committed with what was read, so a restart goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from pipeline.core.customer import Customer
from pipeline.core.linking import Directory

FOLDER = "directory"
"""Below the home of an installation."""


class Change(Struct, frozen=True):
    """One record of the customers topic: the new state of a customer, None where they are gone."""

    partition: int
    offset: int
    customer_id: str
    customer: Customer | None


class DirectoryWriter:
    """The one writer of the directory at ``path``, made where it is not there. ConfigError where another
    process writes it, or the file is of a later Groundswell."""

    def __init__(self, path: Path) -> None:
        raise NotImplementedError

    def apply(self, changes: Sequence[Change]) -> None:
        """All of them in one commit, in order. Repeats change nothing."""
        raise NotImplementedError

    def positions(self) -> dict[int, int]:
        """Partition to the offset after the last that was applied."""
        raise NotImplementedError

    def note_fresh(self, at: datetime) -> None:
        """Notes that the directory held all that the topic held at that moment."""
        raise NotImplementedError

    def close(self) -> None:
        """Lets go of the file; may be called twice."""
        raise NotImplementedError


class DirectoryReader:
    """Reads the directory at ``path``, which need not be there yet: it is then empty, and never fresh."""

    def __init__(self, path: Path) -> None:
        raise NotImplementedError

    @contextmanager
    def moment(self) -> Iterator[Directory]:
        """The directory as it is now, for as long as the block lasts; keep it short."""
        raise NotImplementedError

    def positions(self) -> Mapping[int, int]:
        """Partition to the offset after the last that was applied."""
        raise NotImplementedError

    def fresh_at(self) -> datetime | None:
        """The last moment at which it held all that the topic held; None before it ever did."""
        raise NotImplementedError

    def revision(self) -> int:
        """Goes up with every change of a customer; 0 while there is none."""
        raise NotImplementedError

    def customers(self) -> int:
        """How many customers it holds."""
        raise NotImplementedError

    def close(self) -> None:
        """Lets go of the file; may be called twice."""
        raise NotImplementedError
