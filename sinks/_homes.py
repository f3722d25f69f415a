"""Where posts live that were written lately: what a search does not show yet.

A search sees what was written before the last refresh of its index. So nothing is forgotten here before a
refresh that began after it was remembered: memory and search together know of every write, however rarely
an index refreshes by itself, and whatever number of posts comes within that time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from threading import Lock


class Homes:
    """The index of each id that was written lately. Thread-safe.

    Generations, the youngest first: a full one is closed, the index is refreshed, and only then do those go
    that were closed before. So it holds two of ``capacity // 2`` ids, and a little more meanwhile.
    """

    def __init__(self, capacity: int, refresh: Callable[[], None]) -> None:
        """``refresh`` returns once searches find all that was written before it was called."""
        self._half = max(capacity // 2, 1)
        self._refresh = refresh
        self._generations: list[dict[str, str]] = [{}]
        self._lock = Lock()
        self._refreshing = Lock()

    def known(self, ids: Iterable[str]) -> dict[str, str]:
        """The index of each id that is remembered."""
        with self._lock:
            generations = [generation for generation in self._generations if generation]
        found: dict[str, str] = {}
        if generations:
            for id in ids:
                for generation in generations:
                    if (index := generation.get(id)) is not None:
                        found[id] = index
                        break
        return found

    def remember(self, homes: Iterable[tuple[str, str]]) -> None:
        """Takes in pairs of id and index; only of confirmed writes, and of what a search found."""
        with self._lock:
            self._generations[0].update(homes)

    def clear(self) -> None:
        """Forgets all: the indices are not those that were written to."""
        with self._lock:
            self._generations = [{}]

    def make_room(self) -> None:
        """Refreshes and forgets where there is too much to remember; call before a search. Raises as
        ``refresh`` does, and then nothing is forgotten."""
        if len(self._generations[0]) >= self._half:
            self.refresh()

    def refresh(self) -> None:
        """Has searches find all that was written until now, and forgets what need not be remembered."""
        with self._refreshing:
            with self._lock:
                self._generations.insert(0, {})
            self._refresh()
            with self._lock:
                # The one that was closed just now is kept, for to remember is cheaper than to search.
                del self._generations[2:]
