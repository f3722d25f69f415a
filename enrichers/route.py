"""The queues of a post by the rules of ``routing.toml``; see docs/routing.md.

What the step requires follows from the rules: a rule that reads a column which no earlier step makes
is refused when the chain is built, not silently false.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar

from msgspec import Meta, Struct, structs

from enrichers._regex import compile_search
from enrichers._signs_batch import TextSigns
from pipeline.core.errors import ConfigError
from pipeline.core.event import Route
from pipeline.core.reading import reading_of
from pipeline.core.routing import Router, Routes
from pipeline.core.routing_file import read_routing

NO_RULES = "none"
"""The version of a step without a file."""


class SETTINGS(Struct, frozen=True, forbid_unknown_fields=True):
    """What ``[enrichers.route]`` may say."""

    file: Annotated[
        Path | None, Meta(description="the rules, such as routing.toml; without it nothing is routed")
    ] = None


def build(settings: SETTINGS) -> RouteEnricher:
    """The step; reads the file of rules. ConfigError with every problem of it."""
    return RouteEnricher(read_router(settings.file) if settings.file else None)


def read_router(path: Path) -> Router:
    """The router of a file of rules. ConfigError with the path and every problem."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"routing file {path} cannot be read: {error.strerror}") from None
    return read_routing(raw, f"routing file {path}", compile_search)


class RouteEnricher:
    """Assigns ``routes`` by the rules. See :class:`pipeline.core.protocols.Enricher`."""

    assigns: ClassVar[str] = "routes"

    def __init__(self, router: Router | None) -> None:
        self.requires: tuple[str, ...] = _columns(router) if router else ("post",)
        self.version = router.version if router else NO_RULES
        self.router = router
        self._signs = TextSigns(router.watch) if router else None

    def enrich(self, columns: Mapping[str, Sequence[Any]]) -> list[tuple[Route, ...]]:
        """The routes of each post, none without rules."""
        if self.router is None or self._signs is None:
            return [()] * len(columns["post"])
        found = self.router.route_all(columns, self._signs.all_of(reading_of(columns)))
        if "observed" not in self.requires:
            return found
        due: dict[tuple[Routes, datetime], Routes] = {}
        for i, (routes, observed) in enumerate(zip(found, columns["observed"], strict=True)):
            if routes:
                # Few pairs are different where posts were taken in together.
                known = due.get((routes, observed))
                if known is None:
                    known = due[routes, observed] = tuple(self._due(route, observed) for route in routes)
                found[i] = known
        return found

    def _due(self, route: Route, observed: datetime) -> Route:
        """The route with the time by which its queue promises an answer, counted from ``observed``."""
        assert self.router is not None
        due = self.router.queues[route.queue].due_at(observed)
        return route if due is None else structs.replace(route, due_at=due)


def _columns(router: Router) -> tuple[str, ...]:
    promised = any(queue.first_response_minutes is not None for queue in router.queues.values())
    return tuple(dict.fromkeys((*router.columns, *(("observed",) if promised else ()))))
