"""Whether somebody has changed what a part is made of: the settings file and the files that it names."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from pipeline.core.conversion import located
from pipeline.core.schema import PREFIX, bare, settings_of, variable_of
from pipeline.core.settings import Table

Marks = tuple[tuple[int, int, int] | None, ...]


def files_of(
    kind: type[Struct] | None,
    name: str,
    table: Mapping[str, Any],
    settings: Path | None,
    family: str = "connectors",
) -> list[Path]:
    """The settings file, and all files of secrets and other paths in the table of the part ``name``, whose
    SETTINGS are ``kind``; variables win over the table, as everywhere."""
    found = [settings] if settings else []
    folder = (table.folder if isinstance(table, Table) else None) or Path.cwd()
    variable = variable_of(variable_of(PREFIX, family), name)
    for setting in settings_of(kind, "", variable) if kind else ():
        if setting.secret:
            key, named = f"{setting.key}_file", f"{setting.variable}_FILE"
        elif bare(setting.annotation) is Path:
            key, named = setting.key, setting.variable
        else:
            continue
        if os.environ.get(named):
            found.append(located(Path.cwd(), os.environ[named]))
        elif isinstance(table.get(key), str) and table[key]:
            found.append(located(folder, table[key]))
    return found


def marks(files: list[Path]) -> Marks:
    """What changes when one of the files comes, goes or is written."""
    return tuple(map(_mark, files))


def _mark(file: Path) -> tuple[int, int, int] | None:
    try:
        status = file.stat()
    except (OSError, ValueError):
        return None  # it is away, or its name is none
    if stat.S_ISDIR(status.st_mode):
        return 0, 0, status.st_ino  # its content is the connector's own doing
    return status.st_mtime_ns, status.st_size, status.st_ino
