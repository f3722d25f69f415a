"""What the index holds of a post comes back as the very post, and so do its links."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import RejectedError
from pipeline.core.event import Contact, CustomerLink, Event
from pipeline.core.post import Author, Post, decode_post, encode_post
from sinks.elastic import Stored, encode, post_of, stored_of

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
lists = st.lists(words, max_size=3).map(tuple)
counts = st.integers(-(2**63), 2**63 - 1)
times = st.none() | st.datetimes(timezones=st.just(UTC))
AUTHORS = st.builds(
    Author,
    id=words.map("x:".__add__),
    handle=words,
    name=words,
    bio=words,
    location=words,
    url=words,
    followers=st.none() | counts,
    verified=st.none() | st.booleans(),
)
POSTS = st.builds(
    Post,
    id=st.integers(0).map("x:{}".format),
    kind=st.sampled_from(["post", "review", "message"]),
    text=words,
    lang=words,
    created_at=times,
    collected_at=times,
    edited_at=times,
    url=words,
    author=AUTHORS,
    in_reply_to=words,
    thread=words,
    mentions=lists,
    hashtags=lists,
    urls=lists,
    media=lists,
    metrics=st.dictionaries(words, counts, max_size=3),
    direction=st.sampled_from(["inbound", "outbound"]),
)
CONTACTS = st.lists(st.builds(Contact, words, words, words), max_size=3).map(tuple)
LINKS = st.builds(
    CustomerLink,
    words,
    st.floats(0, 1),
    lists,
    words,
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
)


@given(POSTS, CONTACTS, st.none() | LINKS)
def test_what_is_written_comes_back(
    post: Post, contacts: tuple[Contact, ...], customer: CustomerLink | None
) -> None:
    event = Event(
        post=post,
        contacts=contacts,
        customer=customer,
        index="p-posts-2026.11",
        version=7,
        processed_at=NOW,
        versions={"customer": "customer-1"},
    )
    document = msgspec.json.decode(encode(event))
    assert stored_of(document) == Stored(post, contacts, customer)
    assert decode_post(encode_post(post_of(document))) == post, "and goes into the posts topic as it was"


@pytest.mark.parametrize(
    "document", [{}, {"id": "x:1"}, {"id": 1, "text": "a"}, {"id": "x:1", "text": "a", "contacts": 3}]
)
def test_what_is_no_document_of_a_post_is_told(document: dict[str, object]) -> None:
    with pytest.raises(RejectedError):
        stored_of(document)
