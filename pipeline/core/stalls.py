"""Which partitions stand still: records are left, nobody is known to be away, and nothing moves.

Consumers of Kafka are known to stop fetching one partition, or to hang, without a word. Pure: the
caller brings the clock and what it sees.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

Partition = tuple[str, int]
"""A topic and the number of its partition."""


class Progress(Struct, frozen=True):
    """How far a partition is: records before ``done`` are confirmed, ``end`` is behind its last one."""

    done: int
    end: int


class Stalls:
    """Remembers since when each partition has not moved."""

    def __init__(self) -> None:
        self._since: dict[Partition, tuple[int, float]] = {}

    def look(self, progress: Mapping[Partition, Progress], held: bool, now: float) -> dict[Partition, float]:
        """Seconds that each partition with records left has stood still.

        The clock of a partition starts anew when it moves, when nothing is left, and while work is
        ``held`` because the other side takes none: to wait for that is no stall.
        """
        since: dict[Partition, tuple[int, float]] = {}
        for partition, one in progress.items():
            if held or one.done >= one.end:
                continue
            done, began = self._since.get(partition, (one.done, now))
            since[partition] = (one.done, began if done == one.done else now)
        self._since = since
        return {partition: now - began for partition, (_, began) in since.items()}

    def forget(self) -> None:
        """All clocks start anew: the process itself did not run meanwhile."""
        self._since.clear()
