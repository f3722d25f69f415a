"""How fast posts are enriched once more beside live traffic: pure, the time is an argument.

Nobody knows how much a machine can bear; but each portion that is sent tells, by the time until it is back
in the log. While it is back soon, the next may follow a little sooner, up to the rate that is allowed. When
it is not, live posts wait as long as it did: then half as many are sent.
"""

from __future__ import annotations

from collections import deque

SLOW_SECONDS = 0.5
"""A portion that took longer stood in a queue."""

LATE_SECONDS = 2.0
"""An index that is so far behind the log has more to do than it can."""

BEHIND_SECONDS = 5.0
"""An index that is so far behind is waited for."""

_PORTIONS = 20.0
_FEWEST, _MOST = 10, 500
_FIRST_SHARE = 0.25
_GROWTH = 1.02
LEAST = 20.0
"""Posts a second that any machine bears beside its live ones."""


class Pace:
    """Posts a second at the moment, at most ``rate``."""

    def __init__(self, rate: float) -> None:
        self._most = rate
        self._least = min(LEAST, rate)
        self.rate = max(rate * _FIRST_SHARE, self._least)
        self._next = 0.0

    @property
    def portion(self) -> int:
        """How many to send at once: few, so that a live post has few before it."""
        return int(max(min(max(self.rate / _PORTIONS, _FEWEST), self.rate, _MOST), 1))

    def wait(self, now: float) -> float:
        """Seconds until the next portion may be sent."""
        return max(self._next - now, 0.0)

    def sent(self, posts: int, now: float) -> None:
        """So many were sent."""
        self._next = max(self._next, now) + posts / self.rate

    def heard(self, seconds: float) -> None:
        """A portion was back after so many seconds."""
        if seconds > SLOW_SECONDS:
            self.slow_down()
        else:
            self.rate = min(self.rate * _GROWTH, self._most)

    def slow_down(self) -> None:
        """Live posts wait for ours."""
        self.rate = max(self.rate / 2, self._least)


class Distance:
    """How many seconds a reader of a topic is behind its end, by what it has confirmed."""

    def __init__(self) -> None:
        self._ends: deque[tuple[float, dict[int, int]]] = deque()

    def look(self, now: float, ends: dict[int, int], confirmed: dict[int, int]) -> float:
        """Enters where the partitions end and up to where they are confirmed; the seconds as of now."""
        self._ends.append((now, ends))
        while self._ends:
            _, goals = self._ends[0]
            if any(confirmed.get(number, 0) < goal for number, goal in goals.items()):
                break
            self._ends.popleft()
        return now - self._ends[0][0] if self._ends else 0.0
