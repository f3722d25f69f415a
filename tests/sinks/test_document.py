"""The document of an event: golden bytes, and the laws that readers rely on."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.event import (
    Complaint,
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

MOMENT = datetime(2026, 11, 22, 10, 0, 0, 123456, tzinfo=UTC)
FULL = Event(
    post=Post(
        id="x:1",
        kind="reply",
        text="Late again\n@acme 😡",
        lang="en",
        created_at=datetime(2026, 11, 22, 9, tzinfo=UTC),
        collected_at=MOMENT,
        edited_at=datetime(2026, 11, 22, 9, 30, tzinfo=UTC),
        url="https://x.example/1",
        author=Author(
            id="x:a", handle="ann", name="Ann", bio="b", location="Here", url="u", followers=0, verified=False
        ),
        in_reply_to="x:0",
        thread="x:t",
        mentions=("acme",),
        hashtags=("late",),
        urls=("https://a.example",),
        media=("m",),
        metrics={"likes": 0, "odd": 3},
    ),
    language=Language("en", 1.0),
    sentiment=Sentiment(-0.5, "negative", 0.0, 0.5, 0.5),
    entities=(Entity("brand:acme", "Acme", "brand", "@acme", 11, 16, sentiment=-0.5),),
    complaint=Complaint(0.9, True, "delay"),
    intent=(Intent("refund", 0.25),),
    noise=Noise(),
    customer=CustomerLink("c1", 0.75, ("handle",), "gold"),
    routes=(Route("care", 1, "late"),),
    versions={"sentiment": "vader-3.3.2"},
    index="groundswell-posts-2026.11",
    version=7,
    processed_at=MOMENT,
)
GOLDEN = (
    '{"id":"x:1","source":"x","kind":"reply","text":"Late again\\n@acme 😡","lang":"en",'
    '"author":{"id":"x:a","handle":"ann","name":"Ann","bio":"b","location":"Here","url":"u","followers":0,'
    '"verified":false},"created_at":"2026-11-22T09:00:00Z","collected_at":"2026-11-22T10:00:00.123456Z",'
    '"edited_at":"2026-11-22T09:30:00Z","url":"https://x.example/1","in_reply_to":"x:0","thread":"x:t",'
    '"mentions":["acme"],"hashtags":["late"],"urls":["https://a.example"],"media":["m"],'
    '"metrics":{"likes":0,"odd":3},"direction":"inbound","deleted":false,'
    '"language":{"code":"en","confidence":1.0},"sentiment":{"compound":-0.5,"label":"negative",'
    '"positive":0.0,"neutral":0.5,"negative":0.5},"entities":[{"id":"brand:acme","name":"Acme",'
    '"kind":"brand","text":"@acme","start":11,"end":16,"confidence":1.0,"sentiment":-0.5}],'
    '"complaint":{"probability":0.9,"is_complaint":true,"category":"delay","urgency":0.0},'
    '"intent":[{"name":"refund","probability":0.25}],"noise":{"spam":0.0},'
    '"customer":{"id":"c1","confidence":0.75,"evidence":["handle"],"segment":"gold"},'
    '"routes":[{"queue":"care","priority":1,"rule":"late"}],"versions":{"sentiment":"vader-3.3.2"},'
    '"version":7,"processed_at":"2026-11-22T10:00:00.123456Z"}'
)


def test_a_full_event_gives_these_bytes() -> None:
    assert encode(FULL).decode() == GOLDEN


def test_a_bare_event_leaves_out_what_it_does_not_have() -> None:
    post = Post(id="x:1", text="", author=Author(id="x:a"))
    bare = Event(post=post, index="i", version=0, processed_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert encode(bare) == (
        b'{"id":"x:1","source":"x","kind":"post","text":"","author":{"id":"x:a"},"direction":"inbound",'
        b'"deleted":false,"version":0,"processed_at":"2026-01-01T00:00:00Z"}'
    )


def test_a_deletion_gives_a_stub_without_a_word_of_anybodys() -> None:
    deletion = msgspec.structs.replace(FULL, post=stub(msgspec.structs.replace(FULL.post, deleted=True)))
    assert encode(deletion) == (
        b'{"id":"x:1","source":"x","kind":"reply","created_at":"2026-11-22T09:00:00Z","deleted":true,'
        b'"version":7,"processed_at":"2026-11-22T10:00:00.123456Z"}'
    )


texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(text=texts, name=texts, likes=st.integers(-(2**63), 2**63 - 1))
def test_a_document_is_one_line_that_reads_back(text: str, name: str, likes: int) -> None:
    post = Post(id="x:1", text=text, author=Author(id="x:a", name=name), metrics={"likes": likes})
    raw = encode(msgspec.structs.replace(FULL, post=post))
    assert b"\n" not in raw
    document: dict[str, Any] = json.loads(raw)
    assert (document["text"], document["author"].get("name", "")) == (text, name)
    assert document["metrics"]["likes"] == likes


@pytest.mark.parametrize("secret", ["text", "lang", "url", "mentions", "author", "sentiment", "customer"])
def test_a_stub_has_no(secret: str) -> None:
    deletion = msgspec.structs.replace(FULL, post=Post(id="x:1", text="", deleted=True))
    assert secret not in json.loads(encode(deletion))
