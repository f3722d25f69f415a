"""Which posts are to be enriched once more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest

from pipeline.core.errors import ConfigError, RejectedError
from pipeline.core.event import Event, encode_event
from pipeline.core.post import Author, Post
from pipeline.core.process import Chain
from pipeline.core.reenrichment import Choice, Wish, glance_at

AT = datetime(2026, 11, 20, tzinfo=UTC)


class Step:
    """A step that only has a version."""

    requires = ("post",)
    assigns: ClassVar[str] = ""

    def __init__(self, assigns: str, version: str) -> None:
        self.assigns = assigns  # type: ignore[misc]
        self.version = version

    def enrich(self, columns: Mapping[str, Sequence[Any]]) -> Sequence[Any]:
        return [None] * len(columns["post"])


class Linking(Step):
    def is_current(self, version: str) -> bool:
        return version.startswith("1.")


CHAIN = Chain(
    [
        ("language", Step("language", "4")),
        ("customer", Linking("customer", "1.77")),
        ("route", Step("routes", "9")),
    ]
)
TODAY = {"language": "4", "customer": "1.3", "route": "9"}


def verdict(wish: Wish, versions: Mapping[str, str] = TODAY, **post: Any) -> str:
    made = Post(**{"id": "x:1", "text": "hello", "author": Author(id="x:9"), "source": "x", **post})
    event = Event(post=made, versions=dict(versions), index="i", version=5, processed_at=AT)
    return Choice(wish, CHAIN).verdict(glance_at(encode_event(event)))


def test_another_version_of_any_step_or_of_the_named_ones_is_stale() -> None:
    assert verdict(Wish()) == "current"
    old = TODAY | {"language": "3"}
    assert verdict(Wish(), old) == verdict(Wish(steps=("language",)), old) == "stale"
    assert verdict(Wish(steps=("route",)), old) == "current"
    assert verdict(Wish(), TODAY | {"customer": "0.77"}) == "stale"


def test_steps_that_came_or_went_count() -> None:
    less = {name: TODAY[name] for name in ("customer", "route")}
    assert verdict(Wish(), less) == verdict(Wish(steps=("language",)), less) == "stale"
    assert verdict(Wish(), TODAY | {"mood": "1"}) == "stale"
    assert verdict(Wish(steps=("language",)), TODAY | {"mood": "1"}) == "current"


def test_what_was_held_back_is_stale_only_for_who_wants_new_cases() -> None:
    held = TODAY | {"route": "9.held"}
    assert verdict(Wish(), held) == "current"
    assert verdict(Wish(new_cases=True), held) == "stale"
    assert verdict(Wish(), TODAY | {"route": "8.held"}) == "stale"


def test_only_what_was_asked_for_and_never_what_is_deleted() -> None:
    old = TODAY | {"language": "3"}
    day = datetime(2026, 11, 10, tzinfo=UTC)
    assert verdict(Wish(), old, deleted=True) == "deleted"
    assert verdict(Wish(source="mail"), old) == "other"
    assert verdict(Wish(since=day, until=AT), old, created_at=day) == "stale"
    assert verdict(Wish(until=day), old, created_at=day) == "other"
    assert verdict(Wish(since=AT), old, created_at=day) == "other"
    # Without a time of writing that of collection counts, and without both that of enriching.
    assert verdict(Wish(since=AT), old, collected_at=day) == "other"
    assert verdict(Wish(since=AT), old) == "stale"


def test_who_names_a_step_that_is_none_is_told() -> None:
    with pytest.raises(ConfigError, match=r"`langage` is not among enrich\.steps, did you mean `language`"):
        Choice(Wish(steps=("langage",)), CHAIN)


def test_the_step_that_differs_is_named() -> None:
    choice = Choice(Wish(), CHAIN)
    assert choice.fault(TODAY) == ""
    assert choice.fault(TODAY | {"language": "3"}) == "`language` as 3 in place of 4"
    assert choice.fault({}) == "`language` as nothing in place of 4"
    assert "the steps language, customer, route, mood" in choice.fault(TODAY | {"mood": "1"})


def test_what_is_no_event_is_told() -> None:
    with pytest.raises(RejectedError):
        glance_at(b"\xff{}")
