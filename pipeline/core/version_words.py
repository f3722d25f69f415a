"""The version of an event in words: which edit, which operation, and how old the post was when seen."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from msgspec import Struct

from pipeline.core.version import EPOCH, MAX_EDIT, OBSERVATION_STEPS, TICKS, unpack


class VersionParts(Struct, frozen=True):
    """``edited_at`` is exact to 1/256 s, None for a post never edited. ``seen_after`` are the least and the
    most seconds from creation or edit to collection, None where the post does not say."""

    deleted: bool
    edited_at: datetime | None
    operation: int
    seen_after: tuple[float, float] | None


def parts_of(version: int) -> VersionParts:
    """The parts of a version, read back into what they were made of."""
    edit, operation, observation = unpack(version)
    deleted = edit == MAX_EDIT
    edited_at = None if deleted or not edit else EPOCH + timedelta(seconds=edit / TICKS)
    return VersionParts(deleted, edited_at, operation, _ages(observation))


def _ages(observation: int) -> tuple[float, float] | None:
    if not observation:
        return None
    low, high = (math.expm1(step / OBSERVATION_STEPS) for step in (observation - 1, observation))
    return low, high
