"""A file that grows, for the contract: what a server would answer stands in it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.core.protocols import Cursor
from testkit.platform.answers import Answer, Item
from testkit.platform.faults import Dialect, Fault
from testkit.platform.timeline import Timeline

_NO_SERVER = "a file has no server that could say so"
_KEEP_ALIVE = b"\n  \n"
_LATER_SECONDS = 0.3


class FileStage:
    """Writes what is told into a file. A fault bends what is written next, and is then over."""

    server = None

    def __init__(self, item: Any, file: Path) -> None:
        self.timeline = Timeline(item)
        self._file = file
        self._fault: Fault | None = None
        self._met: set[str] = set()
        self._later: threading.Timer | None = None
        self.table: Mapping[str, Any] = {"path": str(file), "follow": True, "batch": 7}
        file.touch()

    def spoil(self, fault: Fault) -> None:
        """The next part that is written."""
        self._fault = fault

    def interrupt(self) -> None:
        """Nothing is open that could be ended; a line that was cut is whole before the next is written."""
        if self._later is not None:
            self._later.join()

    def tell(self, count: int) -> None:
        """Writes so many lines more."""
        before = len(self.timeline.items)
        self.timeline.tell(count)
        answer = Answer(items=self.timeline.items[before:])
        if self._fault is not None:
            answer = self._fault.bend(answer, Dialect())
            self._met.add(self._fault.name)
            self._fault = None
        lines = [item.text() + b"\n" for item in answer.items if item is not None]
        between = _KEEP_ALIVE if answer.keep_alives else b""
        data = between.join(lines)
        if answer.padding:
            data = b"x" * answer.padding + b"\n" + data
        if answer.cut_after is not None:
            place = sum(map(len, lines[: answer.cut_after])) + 10
            self._write(data[:place])
            self._later = threading.Timer(_LATER_SECONDS, self._write, [data[place:]])
            self._later.start()
        else:
            self._write(data)

    def _write(self, data: bytes) -> None:
        with self._file.open("ab") as file:
            file.write(data)

    def met(self, fault: Fault) -> bool:
        """Whether it was written."""
        return fault.name in self._met


class JsonlFixture:
    """Posts in our own form, and now and then a deletion."""

    kind = "jsonl"
    exempt: Mapping[str, str] = {
        **dict.fromkeys(
            ["401", "403", "404", "account suspended", "429", "500", "503", "no answer", "redirect"],
            _NO_SERVER,
        ),
        **dict.fromkeys(["clock a day ahead", "clock a day behind"], "a file has no clock"),
        "cursor too old": "a file keeps all its lines; that a shorter or another file is read anew has a"
        " test in tests/e2e/test_collecting.py",
        "gzip": "an archive is read once and never followed; tests/connectors/test_lines.py has its tests",
        "body of 100 MB": "a line too long is refused as a post is, and its test is in"
        " tests/connectors/test_lines.py",
    }
    secrets: tuple[str, ...] = ()
    stale: Cursor | None = None

    def item(self, number: int, moment: float) -> Item:
        """Every ninth deletes the one before."""
        if number % 9 == 8:
            data: dict[str, Any] = {"id": f"file:{number - 1}", "deleted": True}
            return Item(id=data["id"], deleted=True, data=data, at=moment)
        data = {
            "id": f"file:{number}",
            "text": f"My parcel number {number} is late",
            "author": {"id": f"file:author{number % 5}", "handle": f"author{number % 5}"},
            "created_at": datetime.fromtimestamp(moment, UTC).isoformat(),
            "hashtags": ["late"],
            "metrics": {"likes": number},
        }
        return Item(id=data["id"], data=data, at=moment)

    @contextlib.contextmanager
    def stage(self, folder: Path) -> Iterator[FileStage]:
        """One file."""
        yield FileStage(self.item, folder / "posts.jsonl")


FIXTURE = JsonlFixture()
