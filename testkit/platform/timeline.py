"""What a platform has been told so far, and tells on: to whoever asks for a page, or listens to a stream."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from testkit.platform.answers import Item

_SPACING = 1.0
_RECENT = 10.0


class Timeline:
    """Items, oldest first. ``make(number, moment)`` makes one, for a moment in seconds since 1970.

    What is told first is spread over the past, a second between, so that a cursor that is a little wrong
    loses something; what is told later is told now.
    """

    def __init__(self, make: Callable[[int, float], Item]) -> None:
        self._make = make
        self.items: list[Item] = []

    def tell(self, count: int) -> None:
        """So many more."""
        now = time.time()
        begun = bool(self.items)
        for step in range(count):
            behind = -step / 1000 if begun else _RECENT + _SPACING * (count - step)
            self.items.append(self._make(len(self.items), now - behind))

    @property
    def expected(self) -> set[tuple[str, bool]]:
        """The id of every post that was told of, each with whether as a deletion."""
        return {(item.id, item.deleted) for item in list(self.items) if item.id}

    def flow(self, wanted: Callable[[Item], bool] = lambda _: True) -> Iterator[Item | None]:
        """All of it and whatever comes, without end; None where nothing has come yet."""
        at = 0
        while True:
            while at < len(self.items):
                item = self.items[at]
                at += 1
                if wanted(item):
                    yield item
            yield None
