"""An event: a post with all that the enrichers found, one version of it; the pipeline's result.

Owns the form of events and their reading and writing. Every later step, the index, the queues and
every export see this and only this.

None of these structs can be part of a circle, so the garbage collector need not look at them (``gc=False``):
it would walk through all events of a batch again and again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from pipeline.core.errors import RejectedError
from pipeline.core.post import SCHEMA, Post, Time
from pipeline.core.wire import Reader, Upgrade, newer

Share = Annotated[float, Meta(ge=0.0, le=1.0)]


class Language(Struct, gc=False, frozen=True):
    """``code`` is BCP 47, or ``und`` where none could be told. ``confidence`` is 0 to 1."""

    code: str
    confidence: Share


class Sentiment(Struct, gc=False, frozen=True, omit_defaults=True):
    """``compound`` runs from -1 to 1; positive, neutral and negative are shares that sum to 1.

    ``label`` is positive, neutral or negative. ``probability`` is that of the label, where a
    calibrated model gives one.
    """

    compound: Annotated[float, Meta(ge=-1.0, le=1.0)]
    label: str
    positive: Share
    neutral: Share
    negative: Share
    probability: Share | None = None


class Entity(Struct, gc=False, frozen=True, omit_defaults=True):
    """A name found in the text: ``start`` and ``end`` count characters of the original text.

    Both are 0 where not the text but the platform's own list of mentions or tags names the entity.
    Where several entities claim the same words, each has its share of the ``confidence``.
    """

    id: str
    name: str
    kind: str
    text: str
    start: int
    end: int
    confidence: Share = 1.0
    sentiment: float | None = None


class Complaint(Struct, gc=False, frozen=True, omit_defaults=True):
    """Whether the author complains, about what, and how urgent it is. All shares are 0 to 1."""

    probability: Share
    is_complaint: bool
    category: str = ""
    urgency: Share = 0.0


class Intent(Struct, gc=False, frozen=True):
    """What the author wants done."""

    name: str
    probability: Share


class Noise(Struct, gc=False, frozen=True, omit_defaults=True):
    """``spam`` is a probability; posts of one ``signature`` are near copies of each other."""

    spam: Share = 0.0
    signature: str = ""


class Contact(Struct, gc=False, frozen=True):
    """An e-mail address, telephone number or customer number that a post shows, as a key that says nothing.

    ``kind`` is email, phone or number; ``place`` is text, bio or header (of a mail). ``key`` is the
    hexadecimal form of the key of :mod:`pipeline.core.linking`: posts can be found again by it when a
    customer with that address comes to be known, and it cannot be read as an address. For the same end,
    the author's own handle is there too: ``kind`` handle, ``place`` author.
    """

    kind: str
    place: str
    key: str


class CustomerLink(Struct, gc=False, frozen=True, omit_defaults=True):
    """The customer whom the author is taken to be, how surely (0 to 1), and why.

    ``evidence`` holds short phrases such as "handle" or "email in text". ``segment`` and ``value`` (what
    the customer is worth to us a year, in the currency of the customers' file) are of the time of linking.
    """

    id: str
    confidence: Share
    evidence: tuple[str, ...] = ()
    segment: str = ""
    value: float | None = None


class Route(Struct, gc=False, frozen=True, omit_defaults=True):
    """The queue a rule chose, and the priority there; 1 is the most pressing.

    ``due_at`` is when the first response is due, None where the queue promises none.
    """

    queue: str
    priority: int
    rule: str
    due_at: Time | None = None


class Event(Struct, gc=False, frozen=True, omit_defaults=True, kw_only=True):
    """The current state of one post. ``version`` and ``index`` follow the rules of the modules so named."""

    post: Post
    language: Language | None = None
    sentiment: Sentiment | None = None
    entities: tuple[Entity, ...] = ()
    complaint: Complaint | None = None
    intent: tuple[Intent, ...] = ()
    noise: Noise | None = None
    contacts: tuple[Contact, ...] = ()
    customer: CustomerLink | None = None
    routes: tuple[Route, ...] = ()
    versions: dict[str, str] = {}
    index: str
    version: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    processed_at: Time
    # 1 for ever, for a missing number means 1; a later schema is written out.
    schema: int = 1

    def __post_init__(self) -> None:
        if self.schema > SCHEMA:
            raise newer(self.schema, SCHEMA)


# An event holds its post whole: what changes there changes here.
BEFORE: Upgrade | None = None

_decode: Reader[Event] = Reader(Event, SCHEMA, BEFORE)
_encoder = msgspec.json.Encoder()
_encode = _encoder.encode


def decode_event(raw: bytes) -> Event:
    """Read one event from its JSON form; raises RejectedError with the path of the fault."""
    try:
        return _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RejectedError(f"no valid event: {error}", "invalid") from None


def encode_event(event: Event) -> bytes:
    """The JSON form of an event, without the fields that hold their defaults."""
    return _encode(event)


def encode_lines(events: Sequence[Event]) -> bytes:
    """The JSON forms of events, a line feed behind each."""
    return _encoder.encode_lines(events)
