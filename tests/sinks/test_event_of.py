"""A document reads back as the event that it was made of, whatever the event."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import RejectedError
from pipeline.core.event import (
    Complaint,
    Contact,
    CustomerLink,
    Entity,
    Event,
    Intent,
    Language,
    Noise,
    Route,
    Sentiment,
)
from pipeline.core.post import Author, Post, stub
from sinks.elastic import encode
from sinks.reading import event_of

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
shares = st.floats(0, 1)
counts = st.integers(-(2**63), 2**63 - 1)
zones = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))])
times = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=zones)
lists = st.lists(texts, max_size=3).map(tuple)


def some(item: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(item, max_size=3).map(tuple)


authors = st.builds(
    Author,
    id=texts.filter(bool),
    handle=texts,
    name=texts,
    bio=texts,
    location=texts,
    url=texts,
    followers=st.none() | counts,
    verified=st.none() | st.booleans(),
)
posts = st.builds(
    Post,
    id=st.just("x:1"),
    kind=st.sampled_from(["post", "review", "article"]),
    text=texts,
    lang=texts,
    created_at=st.none() | times,
    collected_at=st.none() | times,
    edited_at=st.none() | times,
    url=texts,
    author=authors,
    in_reply_to=texts,
    thread=texts,
    mentions=lists,
    hashtags=lists,
    urls=lists,
    media=lists,
    metrics=st.dictionaries(texts, counts, max_size=3),
    direction=st.sampled_from(["inbound", "outbound"]),
)
entities = st.builds(
    Entity,
    *[texts] * 4,
    start=counts,
    end=counts,
    confidence=shares,
    sentiment=st.none() | st.floats(-1, 1),
)
customers = st.builds(
    CustomerLink,
    texts,
    shares,
    lists,
    texts,
    value=st.none() | st.floats(allow_nan=False, allow_infinity=False),
)
events = st.builds(
    Event,
    post=posts,
    language=st.none() | st.builds(Language, texts, shares),
    sentiment=st.none()
    | st.builds(Sentiment, st.floats(-1, 1), texts, shares, shares, shares, st.none() | shares),
    entities=some(entities),
    complaint=st.none() | st.builds(Complaint, shares, st.booleans(), texts, shares),
    intent=some(st.builds(Intent, texts, shares)),
    noise=st.none() | st.builds(Noise, shares, texts),
    contacts=some(st.builds(Contact, texts, texts, texts)),
    customer=st.none() | customers,
    routes=some(st.builds(Route, texts, counts, texts, st.none() | times)),
    versions=st.dictionaries(texts, texts, max_size=3),
    index=texts,
    version=st.integers(0, 2**63 - 1),
    processed_at=times,
)


@given(events)
def test_a_document_reads_back_as_its_event(event: Event) -> None:
    assert event_of(json.loads(encode(event)), event.index) == event


def test_the_strategy_fills_every_field_that_an_event_has() -> None:
    """Otherwise a new field could be lost on the way and no test would see it."""
    given_fields = {name for name in Event.__struct_fields__ if name != "schema"}
    assert given_fields == {
        *("post", "language", "sentiment", "entities", "complaint", "intent", "noise", "contacts"),
        *("customer", "routes", "versions", "index", "version", "processed_at"),
    }


@given(posts, times)
def test_a_stub_reads_back_as_a_deletion(post: Post, now: datetime) -> None:
    gone = stub(msgspec.structs.replace(post, deleted=True))
    event = Event(post=gone, index="i", version=2**63 - 1, processed_at=now)
    assert event_of(json.loads(encode(event)), "i") == event


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"id": "x:1", "version": 1}, "processed_at"),
        ({"id": "x:1", "version": "one", "processed_at": "2026-01-01T00:00:00Z"}, "version"),
        ({"id": "nobody", "version": 1, "processed_at": "2026-01-01T00:00:00Z"}, "id"),
    ],
)
def test_what_is_no_document_of_ours_is_told(source: dict[str, object], words: str) -> None:
    with pytest.raises(RejectedError, match=words):
        event_of(source)
