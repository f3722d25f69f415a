"""How many lines of one kind a log takes: pure, the clock is the caller's.

The first of a kind is always told, and so are the next ones, up to a limit a minute. Of the rest only the
number is kept, to be told when the minute is over.
"""

from __future__ import annotations

import re
from collections import OrderedDict

from msgspec import Struct

WINDOW_SECONDS = 60.0
MOST_KINDS = 1000
"""Kinds that are remembered at once; of more, the one that began first is told and forgotten."""

_LONGEST_KIND = 200
_NUMBERS = re.compile(r"[0-9]+")

Kind = tuple[str, int, str]
"""The logger, the level and the message without its numbers."""


class Held(Struct, frozen=True):
    """``count`` lines of a kind were held back in ``seconds``; the last of them, as it would have been."""

    kind: Kind
    count: int
    seconds: float
    last: str


class _Window(Struct):
    began: float
    told: int = 0
    held: int = 0
    last: str = ""


def kind_of(logger: str, level: int, template: str) -> Kind:
    """What counts as the same: the template, whatever numbers stand in it."""
    return logger, level, _NUMBERS.sub("#", template[:_LONGEST_KIND])


class Steadiness:
    """Not thread-safe. ``limit`` is lines of a kind a window; 0 bounds none."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._windows: OrderedDict[Kind, _Window] = OrderedDict()

    def admit(self, kind: Kind, now: float) -> bool:
        """Whether a line may be told now. What is refused must be handed to :meth:`hold`. What is due must
        have been taken by :meth:`due` before."""
        if not self._limit:
            return True
        window = self._windows.get(kind)
        if window is None:
            window = self._windows[kind] = _Window(now)
        if window.told >= self._limit:
            return False
        window.told += 1
        return True

    def hold(self, kind: Kind, line: str) -> None:
        """Counts a line that is not told."""
        window = self._windows[kind]
        window.held += 1
        window.last = line

    @property
    def holds(self) -> bool:
        """Whether anything was held back that nobody was told of yet."""
        return any(window.held for window in self._windows.values())

    def due(self, now: float, *, all: bool = False) -> list[Held]:
        """What was held back in the windows that are over, or in ``all``; they begin anew."""
        found = []
        for kind in list(self._windows):
            window = self._windows[kind]
            over = now - window.began >= WINDOW_SECONDS
            crowded = len(self._windows) > MOST_KINDS
            if not (over or crowded or all):
                # They stand in the order in which they began.
                break
            del self._windows[kind]
            if window.held:
                seconds = max(now - window.began, 0.0)
                found.append(Held(kind, window.held, seconds, window.last))
        return found
