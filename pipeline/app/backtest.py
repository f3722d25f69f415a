"""What the rules would have made of posts from before: per queue the number then and now, and who moved.

Reads events (of the events topic, or of ``groundswell enrich``) and posts, in any mixture. Of several
states of one post the newest counts. Memory holds a few words a post, and no text but of those shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec
from msgspec import Struct

from pipeline.core.errors import ConfigError, RejectedError
from pipeline.core.event import Event, Route, decode_event
from pipeline.core.post import Post, decode_post
from pipeline.core.process import Chain
from pipeline.core.routing import Router, columns_of

ROUTE = "route"
UNROUTED = "(none)"
UNDATED = "undated"
_EXCERPT = 120

Queues = tuple[str, ...]


class _Sort(Struct):
    """Tells an event, which holds a post, from a post."""

    post: msgspec.Raw = msgspec.Raw()


class State(Struct, frozen=True):
    """The newest state of one post: ``before`` is None where no earlier routing is known."""

    version: int
    day: str
    before: Queues | None
    now: Queues
    rule: str
    excerpt: str


class QueueLoad(Struct, frozen=True):
    """One queue: posts before and now, and now a day: on average, and on the busiest."""

    queue: str
    before: int | None
    now: int
    per_day: float
    busiest: int
    busiest_day: str


class Moved(Struct, frozen=True):
    """A post that changes its queue."""

    id: str
    before: Queues
    now: Queues
    rule: str
    text: str


class Tally(Struct, frozen=True):
    """The whole comparison. ``posts`` counts what is routed at all; ``moved`` is in the order of the file."""

    posts: int
    days: int
    refused: int
    loads: list[QueueLoad]
    moved: list[Moved]


class Backtest:
    """One comparison under way."""

    def __init__(self, chain: Chain, router: Router, current: Router | None, now: datetime) -> None:
        """``router`` has the rules to try, ``current`` those that posts go by so far; None: not known."""
        self._chain = chain
        self._router = router
        self._current = current
        self._now = now
        self._states: dict[str, State] = {}
        self._gone: dict[str, int] = {}
        self._refused = 0

    def add(self, lines: Sequence[bytes]) -> None:
        """Takes lines of JSON in. Blank ones do not count; those that are no event and no post are counted.

        Raises ConfigError for a post where the rules read what the chain does not find in posts.
        """
        posts: list[Post] = []
        for raw in lines:
            if not raw or raw.isspace():
                continue
            try:
                if _is_event(raw):
                    self._recorded(decode_event(raw))
                else:
                    posts.append(decode_post(raw))
            except RejectedError:
                self._refused += 1
        if posts:
            self._enrich(posts)

    def _enrich(self, posts: list[Post]) -> None:
        _check(self._router, self._chain.columns)
        observed = [post.created_at or self._now for post in posts]
        for outcome in self._chain.process(posts, observed, prefix="backtest", now=self._now):
            if isinstance(outcome, Event):
                current = self._current
                self._keep(outcome, _queues(current.route(columns_of(outcome))) if current else None)
            else:
                self._refused += 1

    def _recorded(self, event: Event) -> None:
        """An event that no rules have seen has no routing to compare with."""
        routed = event.routes or ROUTE in event.versions
        self._keep(event, _queues(event.routes) if routed else None)

    def _keep(self, event: Event, before: Queues | None) -> None:
        post, version = event.post, event.version
        earlier = self._states.get(post.id)
        if version < (earlier.version if earlier else self._gone.get(post.id, 0)):
            return
        if post.deleted or post.direction == "outbound":
            self._states.pop(post.id, None)
            self._gone[post.id] = version
            return
        routes = self._router.route(columns_of(event))
        now = _queues(routes)
        day = f"{post.created_at:%Y-%m-%d}" if post.created_at else UNDATED
        rules = ", ".join(route.rule for route in routes)
        moved = before is not None and before != now
        text = " ".join(post.text.split())[:_EXCERPT] if moved else ""
        self._states[post.id] = State(version, day, before, now, rules, text)

    def tally(self) -> Tally:
        """What came out, queues in the order of the file of rules."""
        states = self._states.values()
        days = {state.day for state in states} - {UNDATED}
        names = [*self._router.queues, *sorted(_named(states) - set(self._router.queues)), UNROUTED]
        return Tally(
            len(self._states),
            len(days),
            self._refused,
            [_load(name, states, len(days)) for name in names],
            [
                Moved(id, state.before, state.now, state.rule, state.excerpt)
                for id, state in self._states.items()
                if state.before is not None and state.before != state.now
            ],
        )


def _check(router: Router, found: frozenset[str]) -> None:
    missing = [column for column in router.columns if column not in found]
    if missing:
        told = "; ".join(f"`{column}` (rule `{router.readers(column)[0]}`)" for column in missing)
        raise ConfigError(f"the rules read what no step of enrich.steps finds: {told}")


def _is_event(raw: bytes) -> bool:
    try:
        return bool(bytes(msgspec.json.decode(raw, type=_Sort).post))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False  # the reading of posts says what is wrong


def _queues(routes: Iterable[Route]) -> Queues:
    return tuple(route.queue for route in routes)


def _named(states: Iterable[State]) -> set[str]:
    return {queue for state in states for queue in (*(state.before or ()), *state.now)}


def _load(name: str, states: Iterable[State], days: int) -> QueueLoad:
    def there(queues: Queues) -> bool:
        return not queues if name == UNROUTED else name in queues

    known = [state.before for state in states if state.before is not None]
    by_day: Counter[str] = Counter(state.day for state in states if there(state.now))
    now = sum(by_day.values())
    by_day.pop(UNDATED, None)
    day, busiest = max(by_day.items(), key=lambda pair: (pair[1], pair[0]), default=("", 0))
    return QueueLoad(
        queue=name,
        before=sum(map(there, known)) if known else None,
        now=now,
        per_day=sum(by_day.values()) / days if days else 0.0,
        busiest=busiest,
        busiest_day=day,
    )
