"""What platforms do wrong, each a small object with a name, so that all of them can stand in one table.

A fault bends an answer (:class:`testkit.platform.answers.Answer`). What is told in a platform's own words
(how it says that a limit is reached, that a cursor is too old, that an account is suspended) it asks of
the platform's ``Dialect``. ``duty`` is what a connector owes in return:

``config``   ConfigError that says what to do; after a person did it, nothing is lost
``retry``    RetryableError; then nothing is lost
``recover``  nothing is lost and nothing refused, with or without a RetryableError on the way
``reject``   the one bad item becomes a rejection, all others arrive
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from email.utils import formatdate
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from testkit.platform.answers import Answer, Item, refusal

Duty = Literal["config", "retry", "recover", "reject"]
DAY = 86400.0

RESET_SECONDS = 2
"""When a limit ends that the faults tell of: long enough to see that it is waited for."""

HUGE = 100 * 1024 * 1024
"""Bytes of the body that nobody should take in."""


class Dialect:
    """How a platform puts it; a fixture overrides what its platform says otherwise."""

    reset_header: str = "Retry-After"
    needed: tuple[str | int, ...] = ("text",)
    """The path within an item's data of a field without which it is no post."""
    too_old_status: int = 400

    def limited(self, seconds: int, now: float) -> Answer:
        """The answer to one request too many; ``now`` is the platform's clock."""
        headers = {self.reset_header: str(seconds), "Date": formatdate(now, usegmt=True)}
        return refusal(429, headers=headers)

    def too_old(self, answer: Answer) -> Answer:
        """The answer to a cursor that reaches behind what the platform still has."""
        del answer
        return refusal(self.too_old_status, {"error": "the cursor is too old"})

    def suspended(self, answer: Answer) -> Answer:
        """The answer to an account that may no longer read."""
        del answer
        return refusal(403, {"error": "this account is suspended"})

    def off_clock(self, answer: Answer, seconds: float) -> Answer:
        """As a server says it whose clock is off by so much."""
        del answer
        return self.limited(RESET_SECONDS, time.time() + seconds)

    def extended(self, data: Any) -> Any:
        """An item's data with fields that nobody has heard of."""
        return {**data, "zz_new": {"list": [1, None], "text": "x"}} if isinstance(data, dict) else data


class Fault(Struct, frozen=True):
    """``bend`` gets the healthy answer and the dialect; ``elsewhere`` is an address that nobody may ask.

    One ``of_items`` waits for an answer that has posts: a token has none, and would be no trial.
    """

    name: str
    duty: Duty
    bend: Callable[[Answer, Dialect], Answer]
    resets: bool = False
    redirects: bool = False
    of_items: bool = False


def status(code: int) -> Callable[[Answer, Dialect], Answer]:
    """Answers with this status and no news."""
    return lambda _, __: refusal(code)


def _keeping(**changes: Any) -> Callable[[Answer, Dialect], Answer]:
    return lambda answer, _: replace(answer, **changes)


def _with_items(
    bend: Callable[[Iterable[Item | None], Dialect], Iterable[Item | None]],
) -> Callable[[Answer, Dialect], Answer]:
    return lambda answer, dialect: replace(answer, items=bend(answer.items, dialect))


def _twice(items: Iterable[Item | None], _: Dialect) -> Iterator[Item | None]:
    for item in items:
        yield item
        if item is not None:
            yield item


def _shuffled(items: Iterable[Item | None], _: Dialect) -> Iterator[Item | None]:
    """Within runs of up to ten: what comes together is told in any order."""
    chance = random.Random(1)
    run: list[Item] = []
    for item in items:
        if item is not None:
            run.append(item)
        if item is None or len(run) == 10:
            chance.shuffle(run)
            yield from run
            run = []
            if item is None:
                yield None
    chance.shuffle(run)
    yield from run


def _extended(items: Iterable[Item | None], dialect: Dialect) -> Iterator[Item | None]:
    for item in items:
        yield replace(item, data=dialect.extended(item.data)) if item is not None else None


MISSING = object()


def posts_among(items: Sequence[Item | None]) -> int:
    """How many of the items of a page are posts, and no deletions."""
    return sum(item is not None and bool(item.id) and not item.deleted for item in items)


def _spoiled(value: Any) -> Callable[[Answer, Dialect], Answer]:
    """The third post, or the last of a page of fewer, lacks the field that it needs, or has something else
    there."""

    def bend(items: Iterable[Item | None], dialect: Dialect) -> Iterator[Item | None]:
        seen, wanted = 0, min(3, posts_among(items)) if isinstance(items, Sequence) else 3
        for item in items:
            if item is not None and item.id and not item.deleted:
                seen += 1
                if seen == wanted:
                    yield Item(data=put(item.data, dialect.needed, value))
                    continue
            yield item

    return _with_items(bend)


def put(data: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """A copy of ``data`` with ``value`` at the path; without it for MISSING."""
    if not path:
        return value
    copy = dict(data) if isinstance(data, dict) else list(data)
    key: Any = path[0]
    if len(path) == 1 and value is MISSING:
        del copy[key]
    else:
        copy[key] = put(copy[key], path[1:], value)
    return copy


FAULTS: tuple[Fault, ...] = (
    Fault("401", "config", status(401)),
    Fault("403", "config", status(403)),
    Fault("404", "config", status(404)),
    Fault("account suspended", "config", lambda answer, dialect: dialect.suspended(answer)),
    Fault("429", "retry", lambda _, dialect: dialect.limited(RESET_SECONDS, time.time()), resets=True),
    Fault("500", "retry", status(500)),
    Fault("503", "retry", status(503)),
    Fault("no answer", "retry", _keeping(silent=True)),
    Fault(
        "redirect",
        "retry",
        lambda _, __: Answer(status=302, headers={"Location": "ELSEWHERE"}),
        redirects=True,
    ),
    Fault("body of 100 MB", "recover", _keeping(padding=HUGE)),
    Fault("cut within an item", "recover", _keeping(cut_after=2)),
    Fault("keep-alives", "recover", _keeping(keep_alives=True)),
    Fault("duplicates", "recover", _with_items(_twice), of_items=True),
    Fault("out of order", "recover", _with_items(_shuffled), of_items=True),
    Fault("cursor too old", "recover", lambda answer, dialect: dialect.too_old(answer)),
    Fault("clock a day ahead", "recover", lambda answer, dialect: dialect.off_clock(answer, DAY)),
    Fault("clock a day behind", "recover", lambda answer, dialect: dialect.off_clock(answer, -DAY)),
    Fault("gzip", "recover", _keeping(gzip=True)),
    Fault("unknown fields", "recover", _with_items(_extended), of_items=True),
    Fault("missing field", "reject", _spoiled(MISSING), of_items=True),
    Fault("mistyped field", "reject", _spoiled([1, {"a": None}]), of_items=True),
)
