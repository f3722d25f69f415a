"""How long Elasticsearch takes to answer this process: one that is slow is not away, and nothing stalls."""

from __future__ import annotations

# An answer that took long tells so of those that are under way, which may take as long or longer.
_TELLS = 3.0


class Pace:
    """Any thread may note an answer, and ask. Times are in seconds of a clock that only grows."""

    def __init__(self) -> None:
        self._slowest = (0.0, 0.0)

    def note(self, took: float, now: float) -> None:
        """An answer came ``now``, or was waited for in vain up to now."""
        longest, until = self._slowest
        if took >= longest or now >= until:
            self._slowest = (took, now + _TELLS * took)

    def slow(self, least: float, now: float) -> bool:
        """Whether an answer lately took so long, at least."""
        took, until = self._slowest
        return took >= least and now < until
