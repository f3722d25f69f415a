"""Which posts are looked at when customers change, and which of them are sent once more."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pipeline.app.directory.relink import joined, queries, relinked, targets_of
from pipeline.core.customer import Account, Customer
from pipeline.core.event import CustomerLink, Event, Route
from pipeline.core.headers import before_of, operation_of, places_of
from pipeline.core.linking import Known, handle_contact, keys_of, link
from pipeline.core.post import Author, Post, decode_post
from pipeline.core.rerouting import Before
from pipeline.core.version import MAX_OPERATION, pack
from pipeline.identity.directory import Change
from sinks.elastic import encode

ANN = Customer(
    id="c1",
    emails=("ann@example.org",),
    accounts=(Account("x", "ann"), Account("reddit", id="reddit:t2_5")),
    segment="gold",
)
BEN = Customer(id="c2", accounts=(Account("x", "ann"), Account("twitter", "ben", "77")))
POST = Post(id="x:1", text="hello", author=Author(id="x:500", handle="@Ann"))


class Held:
    """A directory of these customers."""

    def __init__(self, customers: Iterable[Customer]) -> None:
        self.by_id = {customer.id: customer for customer in customers}

    def holders(self, key: bytes) -> Sequence[str]:
        return [customer.id for customer in self.by_id.values() if key in keys_of(customer)]

    def known(self, customer_id: str) -> Known | None:
        found = self.by_id.get(customer_id)
        return found and Known(found.id, found.segment, found.value, found.consent)


def document(
    post: Post, customer: CustomerLink | None = None, routes: tuple[Route, ...] = ()
) -> dict[str, Any]:
    contact = handle_contact(post.source, post.author)
    event = Event(
        post=post,
        contacts=(contact,) if contact else (),
        customer=customer,
        routes=routes,
        index="i",
        version=0,
        processed_at=datetime(2026, 11, 22, tzinfo=UTC),
    )
    found: dict[str, Any] = json.loads(encode(event))
    return found


def test_a_post_is_found_by_the_customer_as_they_were_and_as_they_are() -> None:
    moved = replace(ANN, accounts=(Account("x", "ann_new"),), consent=False)
    targets = targets_of([Change(2, 41, "c1", moved), Change(0, 7, "c2", None)], {"c1": ANN, "c2": BEN})
    assert targets.ids == {"c1", "c2"}
    wanted = {key.hex() for customer in (ANN, BEN, replace(moved, consent=None)) for key in keys_of(customer)}
    assert targets.keys == wanted, "also the keys of who said no, for their posts have them"
    assert targets.accounts >= {"reddit:t2_5", "x:77", "twitter:77"}
    assert targets.places == {2: 41, 0: 7}
    contact = handle_contact(POST.source, POST.author)
    assert contact is not None
    assert contact.key in targets.keys, "however the post writes the handle"


def test_several_changes_are_looked_at_together() -> None:
    one = targets_of([Change(0, 3, "c1", ANN)], {})
    two = targets_of([Change(0, 9, "c2", BEN), Change(1, 1, "c1", None)], {})
    both = joined([one, two])
    assert both.ids == {"c1", "c2"}
    assert both.keys == one.keys | two.keys
    assert both.accounts == one.accounts | two.accounts
    assert both.places == {0: 9, 1: 1}


@given(st.sets(st.text("ab", max_size=4)), st.integers(1, 7))
def test_every_id_stands_in_one_query_and_no_query_is_too_long(ids: set[str], terms: int) -> None:
    targets = targets_of([Change(0, 0, f"c{id}", None) for id in ids], {})
    asked = [query["bool"]["filter"][0]["terms"]["customer.id"] for query in queries(targets, terms)]
    assert sorted(id for some in asked for id in some) == sorted(targets.ids)
    assert all(0 < len(some) <= terms for some in asked)


def test_a_post_that_gets_a_customer_is_sent_once_more() -> None:
    record = relinked(document(POST), pack(9, 2, 30), Held([ANN]), {1: 5}, "posts")
    assert record is not None
    assert (record.topic, record.key) == ("posts", b"x:1")
    assert decode_post(record.value or b"") == POST
    assert operation_of(record.headers) == 3
    assert places_of(record.headers) == {1: 5}


def test_it_says_where_the_post_was_and_may_come_to_queues_of_rules_for_customers() -> None:
    """Lest those queues get a second notice; yet the rules for this very customer may want the post."""
    held = (Route("billing", 3, "bills", datetime(2026, 11, 22, 14, tzinfo=UTC)), Route("press", 5, "news"))
    for routes in ((), held):
        record = relinked(document(POST, routes=routes), pack(9, 2, 30), Held([ANN]), {1: 5}, "posts")
        assert record is not None
        assert before_of(record.headers) == Before(routes, held=True, by_customer=True)


def test_a_post_whose_link_is_right_is_left_alone() -> None:
    right = link(POST.source, POST.author, (), Held([ANN]))
    assert right is not None
    assert relinked(document(POST, right), 0, Held([ANN]), {}, "posts") is None
    assert relinked(document(POST), 0, Held([]), {}, "posts") is None


def test_whatever_of_the_link_differs_is_a_reason() -> None:
    right = link(POST.source, POST.author, (), Held([ANN]))
    assert right is not None
    for wrong in (
        replace(right, id="c9"),
        replace(right, segment=""),
        replace(right, value=3.0),
        replace(right, confidence=0.1),
        replace(right, evidence=()),
    ):
        assert relinked(document(POST, wrong), 0, Held([ANN]), {}, "posts") is not None


def test_who_is_gone_who_said_no_and_who_shares_a_handle_loses_the_link() -> None:
    stored = document(POST, link(POST.source, POST.author, (), Held([ANN])))
    for held in (Held([]), Held([replace(ANN, consent=False)]), Held([ANN, BEN])):
        assert relinked(stored, 0, held, {}, "posts") is not None


def test_deletions_and_our_own_posts_are_never_linked() -> None:
    assert relinked({"id": "x:1", "deleted": True}, 0, Held([ANN]), {}, "posts") is None
    ours = document(replace(POST, direction="outbound"))
    assert relinked(ours, 0, Held([ANN]), {}, "posts") is None


def test_the_last_operation_can_be_used_again() -> None:
    record = relinked(document(POST), pack(0, MAX_OPERATION, 0), Held([ANN]), {}, "posts")
    assert record is not None
    assert operation_of(record.headers) == MAX_OPERATION
