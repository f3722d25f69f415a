"""How long a member of a consumer group may take its partitions for its own without asking again.

The group gives them to another once it has heard nothing for the session time-out. It hears a question
when it gets it, which is not before it was asked: for so long after the asking of one that was answered
well, nobody else can have them. That holds for a process, too, that was stopped in between and does not
know it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

# Clocks of two machines do not run quite alike.
SHARE = 0.9


def since_boot() -> float:
    """Seconds that only ever grow, with those in which the machine slept where the system counts them."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class Lease:
    """Made for a session time-out of so many ``seconds``; used up until it is renewed. Thread-safe."""

    def __init__(self, seconds: float, clock: Callable[[], float] = since_boot) -> None:
        self.clock = clock
        self._seconds = seconds * SHARE
        self._asked = float("-inf")

    def renew(self, asked: float) -> None:
        """The group has answered well what was asked at that time."""
        self._asked = asked

    @property
    def fresh(self) -> bool:
        """Whether nobody else can have been given anything yet."""
        return self.clock() - self._asked < self._seconds
