"""The version of an event: one 63-bit integer whose order says which state of a post is the newest.

The order is that of (edit time, number of the re-enrichment or re-linking operation, time of
observation). It is a pure function of the payload and the operation, so the same input always has
the same version, an edit always beats a re-link of the older text, and a deletion beats all.

Packing, from the highest bit (docs/adr/0002 gives the reasons)::

    39 bits  edit time       1/256 s since 2006-01-01; 0 for a post never edited; all ones: deleted
    16 bits  operation       0 for the first enrichment
     8 bits  observation     logarithm of the age at which the post was observed, 0 if not said
"""

from __future__ import annotations

import math
from datetime import UTC, datetime

from pipeline.core.errors import FatalError
from pipeline.core.post import Post

EPOCH = datetime(2006, 1, 1, tzinfo=UTC)
TICKS = 256  # a second
MAX_EDIT = 2**39 - 1  # deleted; the last edit time that can be told apart is in 2074
MAX_OPERATION = 2**16 - 1
MAX_OBSERVATION = 2**8 - 1

# 255 steps over 70 years: each is 8.8 % of the age, so a refresh a minute is told apart within the
# first ten minutes, one an hour within the first half day, one a day within the first eleven.
OBSERVATION_STEPS = MAX_OBSERVATION / math.log(70 * 365.25 * 86400)


def version_of(post: Post, operation: int = 0) -> int:
    """The version of this state of the post under the given operation, 0 <= version < 2**63.

    Raises FatalError when the operations are used up (65,535 in the life of an installation).
    """
    if not 0 <= operation <= MAX_OPERATION:
        raise FatalError(f"operation {operation} is outside 0 to {MAX_OPERATION}: rebuild under a new prefix")
    if post.deleted:
        return pack(MAX_EDIT, operation, 0)
    if post.edited_at is None and post.collected_at is None:
        return operation << 8  # as below, for most posts
    return pack(_edit_ticks(post.edited_at), operation, _observation(post))


def pack(edit: int, operation: int, observation: int) -> int:
    """One integer of the three parts; the order of the integers is the order of the triples."""
    return edit << 24 | operation << 8 | observation


def unpack(version: int) -> tuple[int, int, int]:
    """The three parts of a version: edit ticks, operation, observation."""
    return version >> 24, version >> 8 & MAX_OPERATION, version & MAX_OBSERVATION


def change_of(version: int) -> int:
    """The version without its observation: 0 for a post that was never edited, linked anew or deleted."""
    return version >> 8


def edit_of(version: int) -> int:
    """The time of the edit alone, in ticks: 0 for a post that was never edited or deleted."""
    return version >> 24


def is_deletion(version: int) -> bool:
    """Whether this version is that of a deletion."""
    return edit_of(version) == MAX_EDIT


def _edit_ticks(edited_at: datetime | None) -> int:
    if edited_at is None:
        return 0
    # Whole numbers only: a float of microseconds since 2006 would round neighbouring edits together.
    past = edited_at - EPOCH
    micros = (past.days * 86400 + past.seconds) * 1_000_000 + past.microseconds
    return min(max(micros * TICKS // 1_000_000, 1), MAX_EDIT - 1)


def _observation(post: Post) -> int:
    """Steps of the logarithm of the seconds from the newest edit, or from creation, to collection."""
    since = post.edited_at or post.created_at
    if post.collected_at is None or since is None:
        return 0
    age = (post.collected_at - since).total_seconds()
    if age <= 0:
        return 0
    return min(1 + int(OBSERVATION_STEPS * math.log1p(age)), MAX_OBSERVATION)
