"""Files of rules and events for tests, in a few words each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from enrichers._regex import compile_search
from enrichers._signs_batch import TextSigns
from pipeline.core.reading import reading_of
from pipeline.core.routing import Router
from pipeline.core.routing_file import read_routing
from pipeline.core.rule_tests import columns_from

QUEUES = "".join(f"[queues.q{number}]\npriority = {number + 1}\n" for number in range(6))


def router_of(*conditions: str, head: str = "", rules: str = "") -> Router:
    """A router with a rule ``r0``, ``r1``, … into one of the six queues ``q0``, ``q1``, … for each condition.

    ``head`` stands at the top of the file, ``rules`` at its end.
    """
    tables = [
        f"[[rules]]\nid = \"r{number}\"\nqueue = \"q{number % 6}\"\nwhen = '''{condition}'''\n"
        for number, condition in enumerate(conditions)
    ]
    return read_routing("\n".join([head, QUEUES, *tables, rules]).encode(), "rules", compile_search)


def rules_of(router: Router, **event: Any) -> list[str]:
    """The ids of the rules that route an event, of which only some fields are said."""
    return [route.rule for route in router.route(columns_from(event))]


def holds(condition: str, **event: Any) -> bool:
    """Whether the condition holds for the event, by the index as well as by the slow way."""
    router = router_of(condition)
    columns = columns_from(event)
    quick = bool(router.route(columns))
    assert quick == bool(router.explain(columns).routes), "the index hides a rule that holds"
    return quick


def route_each(router: Router, events: Sequence[dict[str, Any]]) -> list[list[str]]:
    """As `rules_of`, for a batch."""
    rows = [columns_from(event) for event in events]
    batch = {name: [row[name] for row in rows] for name in router.columns}
    signs = TextSigns(router.watch).all_of(reading_of(batch))
    return [[route.rule for route in routes] for routes in router.route_all(batch, signs)]
