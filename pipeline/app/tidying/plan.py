"""What is to be done with the indices of posts today. Pure: what they are like comes as an argument."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal

from msgspec import Struct

from pipeline.core.retention import Expiry, RetentionSettings, months_back
from sinks.months import Index

REPLACED_SHARE = 0.05
"""Of a month's documents: when so many more are only in its files, it is merged once more."""

MOST_SEGMENTS = 20
"""Late writes add small segments to a merged month; beyond so many it is merged once more."""


class Task(Struct, frozen=True):
    """One thing to do: with which index, of how many posts, and why."""

    what: Literal["drop", "close", "merge"]
    index: str
    posts: int
    why: str


def tasks(
    indices: Iterable[Index],
    settings: RetentionSettings,
    expiry: Expiry,
    merged: Mapping[str, str],
    now: datetime,
) -> list[Task]:
    """In the order in which they are done. ``merged`` is the uuid of each index that was merged before."""
    found: list[Task] = []
    open_from = months_back(now, settings.close_after_months)
    close = Expiry(posts=open_from) if settings.close_after_months else Expiry()
    for index in indices:
        if expiry.index(index.name):
            found.append(Task("drop", index.name, index.posts, f"older than {expiry.posts:%Y.%m}"))
        elif close.index(index.name):
            found += _closing(index, merged.get(index.name) == index.uuid)
    return found


def _closing(index: Index, was_merged: bool) -> Iterable[Task]:
    # One that somebody else blocked is theirs.
    if not index.closed and not index.blocked:
        yield Task("close", index.name, index.posts, "its month is over for long")
    if not was_merged and index.segments > 1:
        yield Task("merge", index.name, index.posts, f"{index.segments} segments")
    elif was_merged and (index.segments > MOST_SEGMENTS or index.replaced > REPLACED_SHARE * index.posts):
        why = f"{index.segments} segments, {index.replaced} replaced since it was merged"
        yield Task("merge", index.name, index.posts, why)
