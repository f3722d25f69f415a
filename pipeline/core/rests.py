"""How long to rest after failures in a row, and when to stop trying so often: the policy, without a clock.

The daemon uses it for roles that die and for connectors whose failures waiting does not mend.
"""

from __future__ import annotations

from msgspec import Struct


class Rest(Struct, frozen=True):
    """How long to wait in seconds, and whether that is a parked one's rest."""

    seconds: float
    parked: bool = False


class Rests(Struct, frozen=True):
    """Rests begin with ``first`` seconds and grow by ``factor`` up to ``longest``; from the failure of number
    ``park_after`` on (0: never) each is ``parked`` seconds."""

    first: float
    factor: float
    longest: float
    park_after: int = 0
    parked: float = 0.0

    def after(self, failures: int) -> Rest:
        """The rest after so many failures in a row, one at least."""
        if self.park_after and failures >= self.park_after:
            return Rest(self.parked, parked=True)
        # Beyond some hundred steps a float would overflow; the longest rest came long before.
        grown = self.first * self.factor ** min(max(failures, 1) - 1, 64)
        return Rest(min(grown, self.longest))
