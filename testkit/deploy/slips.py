"""Slips that a person may make in a file, listed in a file of their own: each changes one place, and
something has to be said to it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml
from msgspec import UNSET, Struct, UnsetType, convert


class Slip(Struct, frozen=True, forbid_unknown_fields=True):
    """``at`` is the way to the place, `/` between steps; without ``to`` it is removed. ``found`` is a part
    of what has to be said."""

    slip: str
    at: str
    found: str
    to: Any | UnsetType = UNSET

    def made(self, content: Any) -> Any:
        """A copy of the content with the slip in it."""
        changed = copy.deepcopy(content)
        *way, last = [int(step) if step.isdecimal() else step for step in self.at.split("/")]
        node = changed
        for step in way:
            node = node[step]
        if self.to is UNSET:
            del node[last]
        else:
            node[last] = self.to
        return changed


def read_slips(path: Path) -> list[Slip]:
    """All slips of a file."""
    return convert(yaml.safe_load(path.read_text(encoding="utf-8")), list[Slip])
