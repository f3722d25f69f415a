"""Whether so much is refused that the fault is more likely ours than the posts'. Pure."""

from __future__ import annotations

from collections import deque

WINDOW = 2000
"""Records over which the share of refusals is reckoned; fewer say nothing."""


class RefusalRate:
    """Counts refusals over the last records of a process."""

    def __init__(self, limit: float, window: int = WINDOW) -> None:
        """``limit`` is the share of refusals, from 0 to 1, that is borne; 1 bears all."""
        self._limit = limit
        self._window = window
        self._batches: deque[tuple[int, int]] = deque()
        self._records = 0
        self._refused = 0

    def note(self, records: int, refused: int) -> None:
        """One more batch of so many records, of which so many were refused."""
        self._batches.append((records, refused))
        self._records += records
        self._refused += refused
        while self._records - self._batches[0][0] >= self._window:
            records, refused = self._batches.popleft()
            self._records -= records
            self._refused -= refused

    @property
    def excess(self) -> str:
        """In words how much was refused, where that is more than is borne; else empty."""
        if self._records < self._window or self._refused <= self._limit * self._records:
            return ""
        share = 100 * self._refused / self._records
        return f"{self._refused} of the last {self._records} records were refused ({share:.0f} %)"
