"""The contract gives connectors with a memory a home, one for each test, which outlives a crash."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import replace

from pipeline.app import registry
from pipeline.core.protocols import Cursor, Read
from testkit.connector_drive import Drive


class SETTINGS(Struct, frozen=True):
    """Of the connector below."""

    folder: Path | None = None


class Counting:
    """Remembers how often it was begun."""

    def __init__(self, settings: SETTINGS) -> None:
        assert settings.folder is not None
        self._file = settings.folder / "begun"
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a") as file:
            file.write("x")

    def read(self, cursor: Cursor | None) -> Read:
        """How often."""
        del cursor
        return Read(posts=[], cursor={"begun": len(self._file.read_text())}, wait=1.0)

    def close(self) -> None:
        """Nothing is open."""


@contextmanager
def counting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    module: Any = ModuleType("connectors.counting")
    module.SETTINGS, module.build = SETTINGS, Counting
    module.at_home = lambda settings, folder: replace(settings, folder=folder)
    monkeypatch.setitem(sys.modules, "connectors.counting", module)
    monkeypatch.setattr(registry, "known", lambda _: ["counting"])
    yield


def test_a_memory_outlives_a_crash_and_is_the_homes_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with counting(monkeypatch):
        for home, begun in (("one", 2), ("one", 4), ("other", 2)):
            with closing(Drive("counting", {}, tmp_path / home)) as drive:
                drive.crash()
                drive.read()
                assert drive.cursor == {"begun": begun}
