"""Events for tests of cases, in a few words each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline.core.event import CustomerLink, Event, Route
from pipeline.core.post import Author, Post, stub
from pipeline.core.version import version_of

START = datetime(2026, 11, 22, 10, tzinfo=UTC)


def minutes(count: float) -> datetime:
    """So long after `START`."""
    return START + timedelta(minutes=count)


def route(queue: str, priority: int = 5, due: float | None = None) -> Route:
    """A route by the rule that has the queue's name."""
    return Route(queue, priority, f"rule-{queue}", None if due is None else minutes(due))


def event(  # noqa: PLR0913 - what tests vary
    id: str = "x:1",
    routes: Sequence[Route] = (),
    *,
    author: str = "x:ann",
    at: float = 0,
    operation: int = 0,
    customer: str = "",
    **post: Any,
) -> Event:
    """The event of a post that was written, and processed, ``at`` so many minutes after `START`."""
    said: dict[str, Any] = {"text": "it broke", "author": Author(id=author), "created_at": minutes(at)}
    made = Post(id=id, **said | post)
    if made.deleted:
        made = stub(made)
    return Event(
        post=made,
        routes=tuple(routes),
        customer=CustomerLink(customer, 1.0) if customer else None,
        index="i",
        version=version_of(made, operation),
        processed_at=minutes(at),
    )
