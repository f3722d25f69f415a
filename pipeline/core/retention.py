"""How long posts are kept: the settings, and which posts are past their time at a given moment.

Pure, and counted in whole months of UTC. A post counts by the month of its index; one of the undated index by
the month in which it was collected, or else processed, for that is the only date that it has.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

from msgspec import Meta, Struct

from pipeline.core.event import Event
from pipeline.core.index_name import is_dated
from pipeline.core.post import Post

_MONTH = re.compile(r"-posts-(\d{4})\.(\d{2})\Z")
_ALL = datetime.min.replace(tzinfo=UTC)

# A stub must outlive what stands in the topics, and the file of a topic a little longer than its records.
_MARGIN = timedelta(days=31)


class RetentionSettings(Struct, frozen=True, kw_only=True):
    """How long posts are kept, and when their indices are closed to writing."""

    months: Annotated[
        int,
        Meta(
            ge=0,
            le=1200,
            description="Whole months before the current one whose posts are kept; what is older is dropped"
            " from the index and the log ([retention.md](retention.md)). 0 keeps all for ever.",
        ),
    ] = 0
    close_after_months: Annotated[
        int,
        Meta(
            ge=0,
            le=1200,
            description="Whole months before the current one whose indices stay as they are; older ones are"
            " merged to one segment and closed to writing. Late edits and deletions still get in. 0: never.",
        ),
    ] = 2
    stub_months: Annotated[
        int,
        Meta(
            ge=0,
            le=1200,
            description="Whole months before the current one whose stubs of deleted posts are kept, counted"
            " from the deletion; never shorter than posts and refusals stay in their topics. 0: for ever.",
        ),
    ] = 12
    hour: Annotated[
        int,
        Meta(
            ge=0,
            le=23,
            description="The hour of the day, in UTC, from which the role index does all this, once a day.",
        ),
    ] = 3


class Expiry(Struct, frozen=True):
    """Up to when all is past its time: posts of before ``posts``, stubs of deletions of before ``stubs``.
    Both are the first moment of a month."""

    posts: datetime = _ALL
    stubs: datetime = _ALL

    @property
    def is_endless(self) -> bool:
        """Whether nothing is ever past its time."""
        return self == Expiry()

    @property
    def ends(self) -> dict[str, datetime]:
        """The moments that are set, each by the name of what is past its time before it."""
        moments = {"posts": self.posts, "stubs": self.stubs}
        return {name: moment for name, moment in moments.items() if moment is not _ALL}

    @property
    def drops_posts(self) -> bool:
        """Whether any post is ever past its time."""
        return self.posts is not _ALL

    def post(self, post: Post, observed: datetime) -> bool:
        """Whether a post that the log took in at ``observed`` is past its time."""
        if not self.drops_posts:
            return False
        seen, created = post.collected_at or observed, post.created_at
        try:
            date = created if created is not None and is_dated(created, seen) else seen
        except OverflowError:  # collected on the last day of the calendar: the chain says what is wrong
            return False
        return date < self.posts

    def event(self, event: Event) -> bool:
        """Whether an event is past its time: by its month, or as the stub of an old deletion."""
        if event.post.deleted and event.processed_at < self.stubs:
            return True
        if not self.drops_posts:
            return False
        return (month_of(event.index) or event.post.collected_at or event.processed_at) < self.posts

    def index(self, name: str) -> bool:
        """Whether all that the index of a month holds is past its time; never the undated one's."""
        began = month_of(name) if self.drops_posts else None
        return began is not None and began < self.posts


def expiry(settings: RetentionSettings, topic_days: int, now: datetime) -> Expiry:
    """What is past its time ``now``; ``topic_days`` is how long posts and refusals stay in their topics."""
    horizon = now - timedelta(days=topic_days) - _MARGIN
    return Expiry(
        posts=months_back(now, settings.months) if settings.months else _ALL,
        stubs=months_back(min(months_back(now, settings.stub_months), horizon), 0)
        if settings.stub_months
        else _ALL,
    )


def months_back(now: datetime, months: int) -> datetime:
    """The first moment of the month that lies so many months before that of ``now``, in UTC."""
    years, month = divmod(now.year * 12 + now.month - 1 - months, 12)
    return datetime(years, month + 1, 1, tzinfo=UTC) if years >= 1 else _ALL


def month_of(index: str) -> datetime | None:
    """The first moment of the month whose posts the index holds; None for the undated one, and any other."""
    found = _MONTH.search(index)
    try:
        return datetime(int(found[1]), int(found[2]), 1, tzinfo=UTC) if found else None
    except ValueError:
        return None
