"""How a listing of Reddit is read without a gap. Pure.

A listing shows the newest first, a hundred a page, at most a thousand. A walk goes down from its top until it
comes to what earlier walks have taken; only then is its top what is known. So a walk may end at any page and
be taken up again, in another process too.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

from msgspec import Struct
from msgspec.structs import replace

from connectors._reddit.things import number_of

LISTING = 1000
"""Things that a listing of Reddit shows at most."""

LATE_SECONDS = 60.0
"""A thing may show in a listing so much later than another that was made after it."""

_ANCHORS = 3
_TRIES = 2
# Pages may overlap, so that a thing is counted twice; somewhere there must be an end.
_ENOUGH = 2 * LISTING


class Entry(Struct, frozen=True):
    """A thing of a page: its name, and when it was made, 0 where that is not told."""

    name: str
    at: float


class Walk(Struct, frozen=True, omit_defaults=True):
    """Where the reading of one listing stands.

    ``known`` is the newest thing of the last walk that came to its end, made at ``known_at``. While one is
    under way ``top`` is the newest that it has seen, ``low`` the oldest, ``taken`` their number, and
    ``after`` the last things of its last page, the last one first: one that is deleted meanwhile is no place
    to go on from. ``again`` counts how often all of these were lost, and the walk begun anew from the top,
    since one came down further than to ``least``.
    """

    known: str = ""
    known_at: float = 0.0
    top: str = ""
    top_at: float = 0.0
    low: str = ""
    low_at: float = 0.0
    taken: int = 0
    after: tuple[str, ...] = ()
    again: int = 0
    least: str = ""


class Gap(Struct, frozen=True):
    """A listing ended before it came to what is known: so many things, the oldest made at ``low_at``."""

    taken: int
    low_at: float
    known_at: float


class Step(Struct, frozen=True):
    """Where a walk stands behind one more page. It is ``over`` when all down to what is known was taken, or
    the listing has ended, with the ``gap`` where it ended too early. Else it goes on behind ``after``, or
    from the top where there is none.
    """

    walk: Walk
    over: bool = False
    gap: Gap | None = None


def step(
    walk: Walk, page: Sequence[Entry], more: bool, settled: Container[bytes | str], begin: float
) -> Step:
    """One page further. ``more`` is whether Reddit says that another follows, ``settled`` are names that
    earlier walks have taken, and nothing before ``begin`` is wanted.
    """
    if not page:
        if len(walk.after) > 1:
            return Step(replace(walk, after=walk.after[1:]))
        return _lost(walk, begin)
    newest, oldest = max(page, key=_number), min(page, key=_number)
    if not walk.top or number_of(newest.name) > number_of(walk.top):
        walk = replace(walk, top=newest.name, top_at=newest.at)
    lower = not walk.low or number_of(oldest.name) < number_of(walk.low)
    walk = replace(
        walk,
        taken=walk.taken + len(page),
        low=oldest.name if lower else walk.low,
        low_at=oldest.at if lower else walk.low_at,
        after=tuple(entry.name for entry in reversed(page[-_ANCHORS:])),
    )
    # A quarter of the page must be known, for one thing alone may have come up late.
    bottom = page[-max(len(page) // 4, 1) :]
    if all(_is_known(entry, walk, settled, begin) for entry in bottom):
        return Step(_over(walk), over=True)
    if not more or walk.taken >= _ENOUGH:
        return _ended(walk, begin)
    return Step(walk)


def _number(entry: Entry) -> int:
    return number_of(entry.name)


def _is_known(entry: Entry, walk: Walk, settled: Container[bytes | str], begin: float) -> bool:
    if entry.name in settled:
        return True
    if entry.at and walk.known_at:
        return entry.at < max(walk.known_at - LATE_SECONDS, begin)
    if entry.at and entry.at < begin:
        return True
    return bool(walk.known) and _number(entry) <= number_of(walk.known)


def _lost(walk: Walk, begin: float) -> Step:
    """Nothing stands behind what there was to go on from: the listing has ended with a full page, or all of
    that was deleted. Which of them it is shows the next time."""
    further = bool(walk.low) and (not walk.least or number_of(walk.low) < number_of(walk.least))
    again = 1 if further else walk.again + 1
    if not walk.after or again > _TRIES:
        return _ended(walk, begin)
    least = walk.low if further else walk.least
    return Step(Walk(known=walk.known, known_at=walk.known_at, again=again, least=least))


def _over(walk: Walk) -> Walk:
    known = walk.known
    if walk.top and (not known or number_of(walk.top) > number_of(known)):
        return Walk(known=walk.top, known_at=walk.top_at)
    return Walk(known=known, known_at=walk.known_at)


def _ended(walk: Walk, begin: float) -> Step:
    """At the end of the listing."""
    reached = not walk.low or (
        number_of(walk.low) <= number_of(walk.known)
        if walk.known
        else 0 < walk.low_at < begin or walk.taken < LISTING * 0.9
    )
    gap = None if reached else Gap(walk.taken, walk.low_at, walk.known_at or begin)
    return Step(_over(walk), over=True, gap=gap)
