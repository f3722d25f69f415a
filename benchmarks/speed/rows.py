"""One measured ratio or figure beside its goal. The goals are those of the project, not of this benchmark."""

from __future__ import annotations

from contestants import CONTESTANTS, Contestant, Figure
from msgspec import Struct


class Row(Struct, frozen=True, kw_only=True):
    """``got`` is in ``unit``: × is how many times ``beside``. ``cpu`` is the same ratio reckoned by the CPU
    seconds a post of the contestants' own processes, not the servers'. Without a goal the row only tells."""

    area: str
    what: str
    beside: str = ""
    got: float
    unit: str = "×"
    goal: float | None = None
    at_most: bool = False
    cpu: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None without one."""
        if self.goal is None:
            return None
        return self.got <= self.goal if self.at_most else self.got >= self.goal


VADER, FAUST, QUIX, LOOP = "vaderSentiment alone", "plain Faust", "Quix Streams", "loop by hand"
READY = "ready-made bodies"

GOALS = {
    ("memory", "whole chain", VADER): 1.5,
    ("memory", "whole chain, language given", VADER): 2.0,
    ("memory", "groundswell enrich FILE", VADER): 1.5,
    ("topic", "enrich worker, whole chain", FAUST): 6.0,
    ("topic", "enrich worker, whole chain", QUIX): 1.3,
    ("index", "enrich and index, whole chain", FAUST): 2.3,
    ("index", "enrich and index, whole chain", READY): 0.6,
}
"""How many times the posts a second of the peer, which does nothing but VADER, ours is to do."""


class Best(Struct, frozen=True):
    """The best of a contestant's runs, each figure for itself."""

    contestant: Contestant
    runs: list[Figure]

    @property
    def rate(self) -> float:
        """Posts a second."""
        return max(run.rate for run in self.runs)

    @property
    def cpu(self) -> float:
        """Microseconds a post."""
        return min(run.cpu for run in self.runs)


def compared(figures: dict[str, list[Figure]]) -> list[Row]:
    """Each of ours beside each peer that ends in the same place."""
    bests = [Best(c, figures[c.full]) for c in CONTESTANTS if figures.get(c.full)]
    return [
        _beside(ours, peer)
        for ours in bests
        for peer in bests
        if ours.contestant.ours
        and not peer.contestant.ours
        and ours.contestant.ends_in == peer.contestant.ends_in
    ]


def _beside(ours: Best, peer: Best) -> Row:
    end, name, other = ours.contestant.ends_in, ours.contestant.name, peer.contestant.name
    return Row(
        area=end,
        what=name,
        beside=other,
        got=ours.rate / peer.rate,
        goal=GOALS.get((end, name, other)),
        # Of the ready bodies only the sending counts, so their CPU says nothing.
        cpu=None if other.startswith(READY) else peer.cpu / ours.cpu,
    )
