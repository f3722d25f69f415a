"""A budget of posts a calendar month, for platforms that bill every read. Pure.

The count stands in the cursor, so that it outlives the process. What was read and then not confirmed is paid
for all the same: this process counts it too.
"""

from __future__ import annotations

from datetime import UTC, datetime

from connectors._loose import count_of, text_of
from connectors._refusal import LONGEST_REST
from pipeline.core.errors import RetryableError
from pipeline.core.protocols import Cursor, Limit


class Budget:
    """``total`` posts a month in UTC; 0 sets no limit."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._month = ""
        self._spent = 0

    def recall(self, cursor: Cursor, now: datetime) -> None:
        """Takes up the count of a cursor; a month that is over counts no more."""
        month = f"{now:%Y-%m}"
        if month != self._month:
            self._month, self._spent = month, 0
        if text_of(cursor.get("month")) == month:
            self._spent = max(self._spent, count_of(cursor.get("read")) or 0)

    def spend(self, posts: int) -> None:
        """So many were read."""
        self._spent += posts

    def marks(self) -> Cursor:
        """What the cursor keeps of it."""
        return {"month": self._month, "read": self._spent}

    def left(self, most: int) -> int:
        """How many of ``most`` may be read now."""
        return min(most, max(self._total - self._spent, 0)) if self._total else most

    def used_up(self, who: str, key: str, now: datetime) -> RetryableError:
        """Why nothing is read till the next month; ``key`` is the setting that could be raised."""
        return RetryableError(
            f"the budget of {self._total} posts of {who} for {self._month} is used up: reading goes on at"
            f" {_next_month(now):%Y-%m-%d %H:%M} UTC, or once `{key}` is raised",
            min((_next_month(now) - now).total_seconds(), LONGEST_REST),
        )

    def limit(self, now: datetime) -> list[Limit]:
        """As a limit to be shown; none where there is none."""
        if not self._total:
            return []
        rest = (_next_month(now) - now).total_seconds()
        return [Limit("posts this month (budget)", self.left(self._total), self._total, rest)]


def _next_month(now: datetime) -> datetime:
    return datetime(now.year + now.month // 12, now.month % 12 + 1, 1, tzinfo=UTC)
