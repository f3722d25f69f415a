"""Which index a post lives in: one a month of creation, and one for posts without a usable date.

A pure function of the payload and of the moment the log took the post in; it never reads a clock,
so the same log always gives the same index.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

EARLIEST = datetime(2006, 1, 1, tzinfo=UTC)
_MONTH = re.compile(r"[0-9]{4}\.(0[1-9]|1[0-2])")
SKEW = timedelta(days=1)
"""How far ahead of our own time a platform's clock may be before a date counts as in the future."""


def index_of(prefix: str, created_at: datetime | None, observed_at: datetime) -> str:
    """The name of the index, such as ``groundswell-posts-2026.11`` or ``groundswell-posts-undated``.

    ``observed_at`` is when the post was first seen (its ``collected_at``, else the log's own time).
    """
    if created_at is None or not is_dated(created_at, observed_at):
        return undated(prefix)
    # As `%Y.%m` would, in half the time.
    return f"{prefix}-posts-{created_at.year}.{created_at.month:02}"


def is_dated(created_at: datetime, observed_at: datetime) -> bool:
    """Whether the date can be meant: not before 2006, and not in the future of whoever observed it."""
    return EARLIEST <= created_at <= observed_at + SKEW


def undated(prefix: str) -> str:
    """The index of posts whose date is missing, before 2006 or in the future."""
    return f"{prefix}-posts-undated"


def holds_posts(prefix: str, name: str) -> bool:
    """Whether an index of that name is one of ours for posts: not another installation's, whose prefix only
    begins as ours, nor one that somebody made by hand."""
    kind = name.removeprefix(f"{prefix}-posts-")
    return kind != name and (kind == "undated" or _MONTH.fullmatch(kind) is not None)


def alias(prefix: str) -> str:
    """The name under which all indices of posts are read."""
    return f"{prefix}-posts"
