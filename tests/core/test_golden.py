"""The wire form, byte for byte: a change here is a change for every log that was ever written.

Whoever has to change a file of tests/golden/ raises SCHEMA, as docs/adr/0007 says, and keeps reading the
old one.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import UNSET, Struct

from pipeline.core.case import Changes, Claim, Entry, Step, decode_entry, encode_entry
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
    decode_event,
    encode_event,
)
from pipeline.core.post import SCHEMA, Author, Post, decode_post, encode_post, stub
from pipeline.core.rejection import (
    Rejection,
    Strike,
    decode_rejection,
    decode_strike,
    encode_rejection,
    encode_strike,
    reject,
)
from pipeline.core.version import version_of

GOLDEN = Path(__file__).parents[1] / "golden"

SUMMER = timezone(timedelta(hours=2))
POST = Post(
    id="x:2107005952455645816",
    source="x",
    kind="reply",
    text="Drittes Mal diese Woche 😡 @larkwellhelp, still no “service”",
    lang="en",
    # Told in another zone; on the wire and in memory it is UTC.
    created_at=datetime(2026, 10, 5, 9, 12, 20, tzinfo=SUMMER),
    collected_at=datetime(2026, 10, 5, 7, 12, 24, 120000, UTC),
    edited_at=datetime(2026, 10, 5, 7, 20, 1, 500, UTC),
    url="https://x.example/samoyelade/status/2107005952455645816",
    author=Author(
        id="x:881023136",
        handle="samoyelade",
        name="Sam Oyelade",
        bio="Youth worker, runner, optimist",
        location="Tarnbridge",
        url="https://x.example/samoyelade",
        followers=590,
        verified=False,
    ),
    in_reply_to="x:2107005952455645000",
    thread="x:2107005952455640000",
    mentions=("larkwellhelp",),
    hashtags=("larkwell", "outage"),
    urls=("https://larkwell.example/status",),
    media=("https://media.example/1.jpg",),
    metrics={"likes": 14, "reposts": 1, "score": -3},
    direction="outbound",
)
EVENT = Event(
    post=POST,
    language=Language("en", 0.98),
    sentiment=Sentiment(-0.5267, "negative", 0.0, 0.7, 0.3, 0.91),
    entities=(Entity("brand:larkwell", "Larkwell", "brand", "@larkwellhelp", 26, 39, 0.9, -0.5),),
    complaint=Complaint(0.87, True, "outage", 0.6),
    intent=(Intent("refund", 0.74),),
    noise=Noise(0.02, "9f3c51"),
    contacts=(Contact("email", "text", "9f2c5d81aa03e7714b60"),),
    customer=CustomerLink("LW-204518", 0.93, ("handle", "number in text"), "consumer", 372.0),
    routes=(Route("care", 1, "angry-customer", datetime(2026, 10, 5, 8, 20, 5, tzinfo=UTC)),),
    versions={"language": "pycld2-0.42+1", "sentiment": "vaderSentiment-3.3.2+1"},
    index="groundswell-posts-2026.10",
    version=version_of(POST, 3),
    processed_at=datetime(2026, 10, 5, 7, 20, 5, tzinfo=UTC),
)
DELETION = Event(
    post=stub(POST),
    index="groundswell-posts-2026.10",
    version=version_of(stub(POST)),
    processed_at=datetime(2026, 10, 6, 8, 0, 0, tzinfo=UTC),
)
REJECTION = msgspec.structs.replace(
    reject(
        b'{"id":"x:7","text":"no author \xff"}',
        RejectedError("no valid JSON: invalid utf-8", "unreadable"),
        stage="enrich",
        origin="groundswell.posts-2-4711",
        now=datetime(2026, 10, 6, 8, 0, 0, tzinfo=UTC),
        key="x:7",
    ),
    cut=True,
    operation=2,
)

STEP = Entry(
    case="3f2a91bc5d0e7784",
    step=Step(
        revision=3,
        at=datetime(2026, 10, 6, 9, 30, 0, tzinfo=UTC),
        by="ann",
        did="moved",
        note="not ours",
        before=Changes(queue="care", priority=1, state="taken", assignee="ann"),
        after=Changes(
            source="x",
            author_id="x:1f",
            thread="t9",
            split="care",
            queue="billing",
            priority=4,
            state="new",
            assignee="",
            rule="angry-customer",
            opened_at=datetime(2026, 10, 5, 7, 20, 5, tzinfo=UTC),
            asked_at=datetime(2026, 10, 5, 7, 12, 20, tzinfo=UTC),
            due_at=datetime(2026, 10, 5, 8, 20, 5, tzinfo=UTC),
            first_response_at=datetime(2026, 10, 5, 7, 50, 0, tzinfo=UTC),
            resolved_at=None,
            customer_id="LW-204518",
            incident="i7",
            claims={
                "x:7": Claim(
                    version=3072,
                    queue="care",
                    priority=1,
                    rule="angry-customer",
                    due_at=datetime(2026, 10, 5, 8, 20, 5, tzinfo=UTC),
                    customer="LW-204518",
                )
            },
        ),
    ),
)

ALL: dict[str, tuple[Struct, Callable[[Any], bytes], Callable[[bytes], Struct]]] = {
    "post": (POST, encode_post, decode_post),
    "event": (EVENT, encode_event, decode_event),
    "deletion": (DELETION, encode_event, decode_event),
    "rejection": (REJECTION, encode_rejection, decode_rejection),
    "step": (STEP, encode_entry, decode_entry),
    "strike": (Strike(REJECTION.id, 4711), encode_strike, decode_strike),
}


def golden(name: str) -> bytes:
    return (GOLDEN / f"{name}.json").read_bytes().removesuffix(b"\n")


@pytest.mark.parametrize("name", ALL)
def test_what_is_written_is_the_golden_file_byte_for_byte(name: str) -> None:
    value, encode, _ = ALL[name]
    assert encode(value) == golden(name)


@pytest.mark.parametrize("name", ALL)
def test_the_golden_file_reads_as_what_was_written(name: str) -> None:
    value, _, decode = ALL[name]
    assert decode(golden(name)) == value


@pytest.mark.parametrize("value", [POST, EVENT, REJECTION])
def test_the_examples_leave_no_field_at_its_default(value: Struct) -> None:
    """So that a field which is added to a form must be added to its golden file, too."""
    left = list(_defaults(value, ""))
    # A deletion has a file of its own; the number of the schema is written from 2 on.
    assert set(left) <= {"deleted", "schema", "post.deleted", "post.schema"}


def _defaults(value: Struct, path: str) -> list[str]:
    found = []
    for field in msgspec.structs.fields(value):
        held, at = getattr(value, field.name), path + field.name
        if not field.required and held == field.default:
            found.append(at)
        for part in held if isinstance(held, tuple) else (held,):
            found += _defaults(part, f"{at}.") if isinstance(part, Struct) else []
    return found


def test_the_example_of_a_step_leaves_no_field_out() -> None:
    assert UNSET not in [getattr(STEP.step.after, field.name) for field in msgspec.structs.fields(Changes)]
    left = {f"step.before.{field.name}" for field in msgspec.structs.fields(Changes)}
    assert set(_defaults(STEP, "")) - left == {"schema"}


def test_a_deletion_holds_nothing_that_anybody_wrote() -> None:
    said = (POST.text, POST.author.id, POST.author.handle, POST.url, POST.thread, *POST.hashtags, *POST.media)
    assert not any(word.encode() in golden("deletion") for word in said)


@pytest.mark.parametrize(("name", "decode"), [("post", decode_post), ("event", decode_event)])
def test_a_missing_schema_means_one_and_a_higher_is_refused(
    name: str, decode: Callable[[bytes], Post | Event]
) -> None:
    assert decode(golden(name)).schema == 1
    said = golden(name)[:-1]
    assert decode(said + b',"schema":%d}' % SCHEMA) == decode(golden(name))
    with pytest.raises(RejectedError, match="upgrade Groundswell"):
        decode(said + b',"schema":%d}' % (SCHEMA + 1))


@pytest.mark.parametrize("name", ALL)
def test_unknown_fields_are_left_out(name: str) -> None:
    value, _, decode = ALL[name]
    assert decode(golden(name)[:-1] + b',"from_the_future":{"a":[1]}}') == value


def test_a_higher_schema_will_be_written_out() -> None:
    """Defaults are left out, so the day SCHEMA goes up its field must stop being one of them."""
    assert SCHEMA == 1 or all(
        b'"schema":%d' % SCHEMA in golden(name) for name in ("post", "event", "deletion")
    )


@pytest.mark.parametrize("name", ["post", "event", "deletion", "step"])
def test_the_golden_files_of_the_schema_before_read_as_these(name: str) -> None:
    """Who raises SCHEMA moves the old files into a folder `schema-N`, and they stay readable."""
    before = GOLDEN / f"schema-{SCHEMA - 1}" / f"{name}.json"
    assert before.exists() == (SCHEMA > 1)
    if SCHEMA > 1:
        value, _, decode = ALL[name]
        assert decode(before.read_bytes()) == value


def test_every_value_stands_in_its_struct() -> None:
    assert isinstance(REJECTION, Rejection)
    assert REJECTION.encoding == "base64"
    assert POST.created_at == datetime(2026, 10, 5, 7, 12, 20, tzinfo=UTC)
