"""The reckoning of an explanation: what today's steps say beside what is stored, and delays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest
from msgspec.structs import replace

from enrichers import complaint, language, sentiment
from enrichers.route import RouteEnricher, read_router
from pipeline.app.explanation import Difference, Steps, judged, named_by, timeline
from pipeline.core.event import CustomerLink, Entity, Event
from pipeline.core.post import Author, Post
from pipeline.core.process import Chain

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
RULES = """
default = "general"
[queues.general]
[queues.angry]
priority = 1
[[rules]]
id = "angry"
queue = "angry"
when = 'sentiment.compound <= -0.4'
"""


@pytest.fixture
def steps(tmp_path: Any) -> Steps:
    path = tmp_path / "routing.toml"
    path.write_text(RULES)
    return [
        ("language", language.build(language.SETTINGS())),
        ("sentiment", sentiment.build(sentiment.SETTINGS())),
        ("complaint", complaint.build(complaint.SETTINGS())),
        ("route", RouteEnricher(read_router(path))),
    ]


def made(steps: Steps, **post: Any) -> Event:
    given = {
        "id": "x:1",
        "text": "The app crashes, this is terrible and awful",
        "author": Author(id="x:a"),
    } | post
    (event,) = Chain(steps).process([Post(**given)], [NOW], prefix="g", now=NOW)
    assert isinstance(event, Event)
    return event


def test_an_event_of_todays_steps_comes_out_as_it_is_stored(steps: Steps) -> None:
    event = made(steps)
    told = judged(event, steps)
    assert (told.today, told.problems) == ((), ())
    assert told.sentiment is not None
    assert event.sentiment is not None
    assert told.sentiment.compound == event.sentiment.compound
    assert told.complaint is not None
    assert event.complaint is not None
    assert told.complaint.probability == event.complaint.probability
    assert told.way is not None
    assert told.way.routes == event.routes
    assert not any(version.differs for version in told.versions)


def test_what_today_would_say_goes_through_all_steps_behind(steps: Steps) -> None:
    event = made(steps)
    assert event.sentiment is not None
    milder = replace(
        event,
        sentiment=replace(event.sentiment, compound=0.1, label="neutral"),
        routes=(replace(event.routes[0], queue="general", priority=5, rule="default"),),
        versions={**event.versions, "sentiment": "old"},
    )
    told = judged(milder, steps)
    assert [one.step for one in told.today] == ["sentiment", "route"]
    assert told.today[0] == Difference("sentiment", "neutral, 0.1", f"negative, {event.sentiment.compound:g}")
    assert [one.step for one in told.versions if one.differs] == ["sentiment"]
    # The way is that of what is stored: of a compound of 0.1.
    assert told.way is not None
    assert [route.queue for route in told.way.routes] == ["general"]


def test_the_link_to_a_customer_is_left_as_it_is(steps: Steps) -> None:
    class Linker:
        requires: ClassVar[tuple[str, ...]] = ("post",)
        assigns: ClassVar[str] = "customer"
        version = "other"

        def enrich(self, columns: Mapping[str, Sequence[Any]]) -> Sequence[Any]:
            raise AssertionError(columns)

    event = replace(made(steps), customer=CustomerLink("c1", 1.0))
    told = judged(
        replace(event, versions={**event.versions, "customer": "1.7"}), [*steps, ("customer", Linker())]
    )
    assert (told.today, told.problems) == ((), ())
    assert not any(version.differs for version in told.versions)


def test_a_step_that_fails_today_is_told_and_the_rest_goes_on(steps: Steps) -> None:
    class Broken:
        requires: ClassVar[tuple[str, ...]] = ("post",)
        assigns: ClassVar[str] = "noise"
        version = "1"

        def enrich(self, columns: Mapping[str, Sequence[Any]]) -> Sequence[Any]:
            raise ValueError(f"oh, {len(columns)}")

    told = judged(made(steps), [("noise", Broken()), *steps])
    assert told.problems == ("the step `noise` of today cannot take this post: oh, 1",)
    assert told.way is not None


def test_steps_that_are_gone_or_new_stand_among_the_versions(steps: Steps) -> None:
    event = replace(made(steps), versions={"language": "old", "noise": "3"})
    told = [(one.step, one.stored) for one in judged(event, steps).versions]
    assert told == [("language", "old"), ("sentiment", ""), ("complaint", ""), ("route", ""), ("noise", "3")]


def test_of_a_deletion_nothing_is_known(steps: Steps) -> None:
    told = judged(made(steps, deleted=True), steps)
    assert (told.way, told.sentiment, told.versions) == (None, None, ())


@pytest.mark.parametrize(
    ("post", "how"),
    [
        ({"lang": "en"}, "said by the platform"),
        ({}, "read in the text"),
        ({"text": "…"}, "cannot be told"),
    ],
)
def test_who_told_the_language(steps: Steps, post: dict[str, str], how: str) -> None:
    assert judged(made(steps, **post), steps).language_by.startswith(how)


@pytest.mark.parametrize(
    ("text", "span", "by"),
    [
        ("Acme", (3, 7), "alias"),
        ("@acme", (0, 5), "handle"),
        ("#acme", (0, 5), "hashtag"),
        ("@acme", (0, 0), "handle in the platform's own list"),
    ],
)
def test_what_named_an_entity(text: str, span: tuple[int, int], by: str) -> None:
    assert named_by(Entity("a", "A", "brand", text, *span)) == by


def test_delays_count_from_the_stage_that_was_waited_for() -> None:
    times = timeline(
        {
            "created": NOW,
            "edited": None,
            "collected": NOW + timedelta(seconds=5),
            "processed": NOW + timedelta(seconds=6),
            "case opened": None,
            "first response": NOW - timedelta(seconds=1),
        }
    )
    assert [(one.stage, one.after, one.delay) for one in times] == [
        ("created", "", None),
        ("collected", "created", 5.0),
        ("processed", "collected", 1.0),
        ("first response", "created", -1.0),
    ]
