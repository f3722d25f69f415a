"""Looking again at what was taken in: when, and what follows from what Reddit then shows. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from connectors._reddit.things import Thing, gone_post
from pipeline.core.post import Post

FIRST_SECONDS = 600.0
"""The age at which a thing is looked at first."""

ABSENT_SECONDS = 600.0
"""How long to wait until what Reddit did not show is looked for once more."""

_GROWTH = 3.0


class Known(Struct, frozen=True):
    """A thing that was taken in: when it was made and last edited, and its text's digest. ``absent`` is how
    often in a row Reddit did not show it."""

    name: str
    at: float
    edited: float
    digest: int
    absent: int = 0


class Change(Struct, frozen=True):
    """What a look at a thing makes of what is known of it: to be looked at again at ``due``, in seconds since
    1970; None forgets it."""

    known: Known
    due: float | None


def known_of(thing: Thing, now: float) -> Known:
    """What is to be remembered of a thing that is taken in now."""
    return Known(thing.name, thing.at or now, thing.edited, thing.digest)


def next_look(at: float, now: float, hours: float) -> float | None:
    """When a thing made at ``at`` is looked at next, in seconds since 1970; None once it is ``hours`` old.

    Each look is at three times the age of the one before, the last one at ``hours``: most of what is deleted
    or edited is so early.
    """
    age, last = max(now - at, 0.0), hours * 3600
    if age >= last:
        return None
    return at + min(max(FIRST_SECONDS, age * _GROWTH), last)


class Shown(Struct):
    """What Reddit showed: things and their posts by name, and the names of what was refused."""

    things: dict[str, tuple[Thing, Post]] = {}
    refused: set[str] = set()


def looked_at(
    known: Sequence[Known], shown: Shown, now: datetime, hours: float
) -> tuple[list[Post], list[Change]]:
    """The edits and deletions that a look found, and what to make of each thing that it was for."""
    posts: list[Post] = []
    changes: list[Change] = []
    moment = now.timestamp()
    believed = bool(shown.things) or len(known) == 1
    for one in known:
        if one.name in shown.refused:
            changes.append(Change(one, next_look(one.at, moment, hours)))
            continue
        if one.name not in shown.things:
            # Reddit leaves out what is gone for good, and now and then what is not: one miss says little.
            absent = replace(one, absent=one.absent + believed)
            if absent.absent >= 2:
                posts.append(gone_post(one.name, one.at, now))
                changes.append(Change(absent, None))
            else:
                changes.append(Change(absent, moment + ABSENT_SECONDS))
            continue
        thing, post = shown.things[one.name]
        if thing.gone:
            posts.append(post)
            changes.append(Change(one, None))
            continue
        if (thing.edited, thing.digest) != (one.edited, one.digest):
            posts.append(post)
        fresh = Known(one.name, one.at, thing.edited, thing.digest)
        changes.append(Change(fresh, next_look(one.at, moment, hours)))
    return posts, changes
