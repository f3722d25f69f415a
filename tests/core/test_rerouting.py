"""Routes of posts that are enriched once more: they move, and come to no more queues unless that is asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pipeline.core.event import Event, Route
from pipeline.core.headers import before_of, once_more, operation_of
from pipeline.core.post import Author, Post
from pipeline.core.rerouting import Before, Lately, rerouted

AT = datetime(2026, 11, 22, tzinfo=UTC)
LATER = AT + timedelta(days=9)


def routes(due: datetime) -> st.SearchStrategy[tuple[Route, ...]]:
    """Some routes, each to a queue of its own."""
    return st.lists(st.sampled_from("abcde"), unique=True).map(
        lambda queues: tuple(Route(queue, 3, f"rule-{queue}", due) for queue in queues)
    )


def event(found: tuple[Route, ...]) -> Event:
    post = Post(id="x:1", text="hello", author=Author(id="x:9"))
    versions = {"language": "1", "route": "7"}
    return Event(post=post, routes=found, versions=versions, index="i", version=0, processed_at=LATER)


def queues(found: tuple[Route, ...]) -> list[str]:
    return [route.queue for route in found]


@given(routes(AT), routes(LATER), st.booleans())
def test_no_more_queues_than_before_no_notice_twice_no_promise_anew(
    old: tuple[Route, ...], new: tuple[Route, ...], held: bool
) -> None:
    after, gained = rerouted(event(new), Before(old, held))
    there = queues(after.routes)
    assert gained == set(there) - set(queues(old))
    assert {route.due_at for route in after.routes if route.queue not in gained} <= {AT}
    assert {route.due_at for route in after.routes if route.queue in gained} <= {LATER}
    # What it keeps it keeps, and in the order of the rules.
    assert there == [queue for queue in queues(new) if queue in there]
    assert set(queues(old)) & set(queues(new)) <= set(there)
    if held:
        assert len(there) == min(len(new), len(old))
    else:
        assert there == queues(new)
    mark = "7.held" if len(there) < len(new) else "7"
    assert after.versions == {"language": "1", "route": mark}


@given(routes(AT), routes(LATER), st.frozensets(st.sampled_from("abcde")))
def test_a_changed_customer_brings_a_post_only_to_queues_of_rules_that_read_customers(
    old: tuple[Route, ...], new: tuple[Route, ...], on_customer: frozenset[str]
) -> None:
    before = Before(old, held=True, by_customer=True)
    after, gained = rerouted(event(new), before, lambda route: route.queue in on_customer)
    held, _ = rerouted(event(new), replace(before, by_customer=False), lambda _: True)
    there, wanted = set(queues(after.routes)), set(queues(new)) - set(queues(old))
    assert gained == there - set(queues(old))
    assert wanted & on_customer <= gained
    assert len(there) <= len({*queues(held.routes), *(wanted & on_customer)})
    assert len(there) >= len(held.routes)


def test_the_versions_of_a_batch_are_not_touched() -> None:
    """All events of a batch share them."""
    one = event((Route("a", 3, "r"),))
    rerouted(one, Before((), held=True))
    assert one.versions == {"language": "1", "route": "7"}


@given(routes(AT), routes(LATER), st.integers(0, 3), st.integers(0, 3))
def test_what_was_published_since_counts_more_than_what_was_told(
    told: tuple[Route, ...], since: tuple[Route, ...], published: int, coming: int
) -> None:
    lately = Lately()
    lately.note(replace(event(since), version=published))
    found = lately.before(replace(event(()), version=coming), Before(told, held=True))
    assert found == Before(since if published >= coming else told, held=True)


def test_only_the_last_posts_are_remembered() -> None:
    lately = Lately(2)
    route = (Route("a", 3, "r"),)
    for id in ("x:1", "x:2", "x:1", "x:3"):
        lately.note(replace(event(route), post=replace(event(()).post, id=id)))
    known = [
        id
        for id in ("x:1", "x:2", "x:3")
        if lately.before(
            replace(event(()), post=replace(event(()).post, id=id)), Before((), held=True)
        ).routes
    ]
    assert known == ["x:1", "x:3"]


@given(routes(AT), st.booleans(), st.integers(1, 65535))
def test_headers_say_what_was_before(old: tuple[Route, ...], held: bool, operation: int) -> None:
    headers = once_more(operation, Before(old, held))
    as_read = [(name, value.encode()) for name, value in headers]
    assert before_of(as_read) == Before(old, held)
    assert operation_of(as_read) == operation


@given(st.binary())
def test_headers_that_nobody_can_read_count_as_none(value: bytes) -> None:
    found = before_of([("routes", value)])
    assert found is None or not found.held
    assert before_of([("operation", b"3")]) is None
