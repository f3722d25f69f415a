"""Notices of what a queue got, for programs that hand cases on: one record a route, without text or names.

Their form is explained in docs/cases.md. A repeat has the same id and version, so it can be told.
"""

from __future__ import annotations

from collections.abc import Callable, Container

import msgspec
from msgspec import Struct

from enrichers.route import RouteEnricher
from pipeline.app.producer import Record
from pipeline.app.topics import Topics
from pipeline.core.case import cases_of
from pipeline.core.event import Event, Route
from pipeline.core.post import Time
from pipeline.core.process import Chain
from pipeline.core.routing import Router

_encode = msgspec.json.Encoder().encode


class Notice(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """``id`` is that of the case, ``version`` that of the event."""

    id: str
    post_id: str
    queue: str
    priority: int
    rule: str
    due_at: Time | None = None
    version: int
    source: str
    url: str = ""
    customer_id: str = ""
    processed_at: Time
    # 1 for ever, for a missing number means 1; a later schema is written out.
    schema: int = 1


def notices(event: Event, topics: Topics, only: Container[str] | None = None) -> list[Record]:
    """The notices of an event, one a route; with ``only``, of the routes to these queues."""
    post = event.post
    return [
        Record(
            topics.queue_of(route.queue).name,
            post.id.encode(),
            _encode(
                Notice(
                    id=id,
                    post_id=post.id,
                    queue=route.queue,
                    priority=route.priority,
                    rule=route.rule,
                    due_at=route.due_at,
                    version=event.version,
                    source=post.source,
                    url=post.url,
                    customer_id=event.customer.id if event.customer else "",
                    processed_at=event.processed_at,
                )
            ),
        )
        for id, route in cases_of(event)
        if only is None or route.queue in only
    ]


def queues_of(chain: Chain) -> list[str]:
    """The names of the queues to which the steps of a chain may route."""
    return sorted({name for router in _routers(chain) for name in router.queues})


def reading_customers(chain: Chain) -> Callable[[Route], bool]:
    """Whether it may hang on the customer that a post has a route by the rules of the chain."""
    names: set[str] = set()
    for router in _routers(chain):
        readers = router.readers("customer")
        if any(rule.route is None for rule in router.rules if rule.id in readers):
            return lambda _: True  # one that ends the reading decides on all behind it
        names.update(readers)
    return lambda route: route.rule in names


def _routers(chain: Chain) -> list[Router]:
    return [step.router for _, step in chain.steps if isinstance(step, RouteEnricher) and step.router]
