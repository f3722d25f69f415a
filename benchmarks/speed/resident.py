"""What a process holds in memory, without the pages of the mapped directory, which all processes share."""

from __future__ import annotations

from pathlib import Path

import psutil

from pipeline.identity.directory import DATA


def resident(pid: int) -> int:
    """Bytes, of the process and its children; 0 where it is gone."""
    try:
        parent = psutil.Process(pid)
        return sum(_own(process) for process in (parent, *parent.children(recursive=True)))
    except psutil.NoSuchProcess:
        return 0


def _own(process: psutil.Process) -> int:
    whole = int(process.memory_info().rss)
    try:
        lines = Path(f"/proc/{process.pid}/smaps").read_text().splitlines()
    except OSError:
        return whole  # no Linux: the directory counts as well
    return whole - _of_directory(lines)


def _of_directory(lines: list[str]) -> int:
    """Each mapping has a line that ends with its file, then lines of `Name: number kB`."""
    inside, found = False, 0
    for line in lines:
        if line[:1].isdigit() or line[:1] in "abcdef":
            inside = line.endswith(f"/{DATA}")
        elif inside and line.startswith("Rss:"):
            found += int(line.split()[1]) * 1024
    return found
