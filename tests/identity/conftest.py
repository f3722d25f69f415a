"""The one writer and a reader of a directory of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.identity.directory import DirectoryReader, DirectoryWriter


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[DirectoryWriter]:
    writer = DirectoryWriter(tmp_path / "directory")
    yield writer
    writer.close()


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[DirectoryReader]:
    reader = DirectoryReader(tmp_path / "directory")
    yield reader
    reader.close()
