"""Where a builder of the directory begins to read the customers topic: pure.

It goes on where it stood, unless what it has may hold a customer who is gone: then from the start.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from pipeline.app.topics import TOMBSTONE_DAYS

Ends = Mapping[int, tuple[int, int]]
"""Partition to its first offset and the offset after its last."""

# The topic forgets that a customer is gone some time after it has forgotten the customer. A directory that
# was not fed for so long could keep them for ever.
LONGEST_GAP = timedelta(days=TOMBSTONE_DAYS / 2)


def starts(
    positions: Mapping[int, int], ends: Ends, fresh_at: datetime | None, now: datetime
) -> tuple[dict[int, int], str]:
    """Partition to the offset to begin at, and why all is read anew, empty where it goes on."""
    why = _reason(positions, ends, fresh_at, now) if positions else ""
    if why or not positions:
        return {number: first for number, (first, _) in ends.items()}, why
    return {number: positions.get(number, first) for number, (first, _) in ends.items()}, ""


def _reason(positions: Mapping[int, int], ends: Ends, fresh_at: datetime | None, now: datetime) -> str:
    for number, position in sorted(positions.items()):
        first, after = ends.get(number, (0, 0))
        if position > after:
            return f"partition {number} ends at {after}, before {position}: the topic was made anew"
        if position < first:
            return f"partition {number} begins at {first}, behind {position}: records are gone"
    if fresh_at is None:
        return "the first reading was broken off"
    if now - fresh_at > LONGEST_GAP:
        return f"it was last up to date at {fresh_at:%Y-%m-%d %H:%M}; the topic may have forgotten who went"
    return ""
