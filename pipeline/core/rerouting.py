"""What becomes of a post's routes when it is enriched once more: pure.

Whoever has rules decide anew over a year of posts wants truer fields, and not a year of cases. So a post may
move from queue to queue, and leave one, but it comes to no more queues than it was in, unless that is asked
for. A queue that it was in already hears nothing of it, and promises what it promised.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from pipeline.core.event import Event, Route

STEP = "route"
"""The step that routes."""

HELD_MARK = ".held"
"""Ends the version of that step where it would have sent the post to more queues than it may."""


class Before(Struct, frozen=True):
    """The routes that a post had. ``held``: it may have no more of them than before, but for those of rules
    that read the customer where ``by_customer`` says so."""

    routes: tuple[Route, ...]
    held: bool
    by_customer: bool = False


class Lately:
    """The routes of posts that were published once more lately, the last ``most`` of one partition.

    A re-enrichment and a re-linking that meet do not know of each other: each tells the routes of before the
    other, under the same number. So what the second one tells is older than what was published.
    """

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._known: OrderedDict[str, tuple[int, tuple[Route, ...]]] = OrderedDict()

    def before(self, event: Event, told: Before) -> Before:
        """What the post had before this event: as it was told, or as it was published since."""
        version, routes = self._known.get(event.post.id, (-1, ()))
        return told if version < event.version else replace(told, routes=routes)

    def note(self, event: Event) -> None:
        """Remembers what is published."""
        self._known[event.post.id] = event.version, event.routes
        self._known.move_to_end(event.post.id)
        if len(self._known) > self._most:
            self._known.popitem(last=False)


def rerouted(
    event: Event, before: Before, reads_customer: Callable[[Route], bool] = lambda _: False
) -> tuple[Event, frozenset[str]]:
    """The event with the routes that it may have, and the queues among them that are new to the post.
    ``reads_customer``: whether it may hang on the customer that the post has this route."""
    known = {route.queue: route for route in before.routes}
    there = {route.queue for route in event.routes}
    room = sum(queue not in there for queue in known) if before.held else len(event.routes)
    routes: list[Route] = []
    gained: set[str] = set()
    for route in event.routes:
        if route.queue in known:
            # The promise counts from the first time that the post came.
            routes.append(replace(route, due_at=known[route.queue].due_at))
        elif room or (before.by_customer and reads_customer(route)):
            room = max(room - 1, 0)
            gained.add(route.queue)
            routes.append(route)
    versions = event.versions
    if len(routes) < len(event.routes) and STEP in versions:
        versions = versions | {STEP: versions[STEP] + HELD_MARK}
    return replace(event, routes=tuple(routes), versions=versions), frozenset(gained)
