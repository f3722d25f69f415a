"""Where each connector stands, on disk: one small file a connector, replaced whole or not at all."""

from __future__ import annotations

import os
import re
from pathlib import Path

import msgspec

from pipeline.core.errors import FatalError
from pipeline.core.protocols import Cursor


class CursorStore:
    """The cursors of one installation, below ``<home>/cursors``."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "cursors"

    def load(self, name: str) -> Cursor | None:
        """The last cursor saved for ``name``, None where there is none; FatalError when it cannot be read."""
        path = self._path(name)
        try:
            return msgspec.json.decode(path.read_bytes(), type=Cursor)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            raise FatalError(
                f"the cursor {path} cannot be read ({error}): mend it, or remove it to read from the start"
            ) from None

    def save(self, name: str, cursor: Cursor) -> None:
        """Keeps the cursor so that it survives a crash of the machine."""
        path = self._path(name)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            draft = path.with_suffix(".new")
            with draft.open("wb") as file:
                file.write(msgspec.json.encode(cursor))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except OSError as error:
            raise FatalError(f"the cursor {path} cannot be written: {error}") from None

    def forget(self, name: str) -> None:
        """Starts the connector over."""
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / (re.sub(r"[^A-Za-z0-9_.-]", "_", name) + ".json")
