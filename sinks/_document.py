"""An event as the document that readers of the index see: pure, and the same bytes for the same event.

Knows nothing of Elasticsearch but that a document is one line of JSON. The fields are explained in
docs/fields.md and mapped in configs/index-template.json; a test holds the three together.
"""

from __future__ import annotations

import msgspec

from pipeline.core.event import Entity, Event
from pipeline.core.post import Author, Post

_encode = msgspec.json.Encoder().encode

Document = dict[str, object]

# In the order in which a person reads them; what a post does not have is left out.
_OF_POST = (
    "created_at",
    "collected_at",
    "edited_at",
    "url",
    "in_reply_to",
    "thread",
    "mentions",
    "hashtags",
    "urls",
    "media",
    "metrics",
)
_OF_AUTHOR = ("id", "handle", "name", "bio", "location", "url", "followers", "verified")


def encode(event: Event) -> bytes:
    """The document of ``event``: one line of JSON in UTF-8, without the line's end.

    A deletion gives a stub that holds nothing anybody wrote: id, source, kind, created_at where
    known, deleted, version, processed_at.
    """
    return _encode(_stub(event) if event.post.deleted else _live(event))


def _stub(event: Event) -> Document:
    post = event.post
    document: Document = {"id": post.id, "source": post.source, "kind": post.kind}
    if post.created_at is not None:
        document["created_at"] = post.created_at
    document["deleted"] = True
    document["version"] = event.version
    document["processed_at"] = event.processed_at
    return document


def _live(event: Event) -> Document:
    document = _said(event.post)
    _add_findings(document, event)
    if event.versions:
        document["versions"] = event.versions
    document["version"] = event.version
    document["processed_at"] = event.processed_at
    return document


def _said(post: Post) -> Document:
    """What the platform says of the post."""
    document: Document = {"id": post.id, "source": post.source, "kind": post.kind}
    # An empty text is a fact (a picture without words), unlike an empty url.
    document["text"] = post.text
    if post.lang:
        document["lang"] = post.lang
    document["author"] = _author(post.author)
    for name in _OF_POST:
        value = getattr(post, name)
        if value:
            document[name] = value
    document["direction"] = post.direction
    document["deleted"] = False
    return document


def _author(author: Author) -> Document:
    found: Document = {}
    for name in _OF_AUTHOR:
        value = getattr(author, name)
        # No followers and not verified are facts too.
        if value is not None and value != "":
            found[name] = value
    return found


def _add_findings(document: Document, event: Event) -> None:
    """What the enrichers found. Numbers that hold their default are written out: a search for
    ``complaint.urgency:0`` has to find them."""
    if event.language is not None:
        document["language"] = event.language
    if event.sentiment is not None:
        document["sentiment"] = event.sentiment
    if event.entities:
        document["entities"] = [_entity(entity) for entity in event.entities]
    if (complaint := event.complaint) is not None:
        found: Document = {"probability": complaint.probability, "is_complaint": complaint.is_complaint}
        if complaint.category:
            found["category"] = complaint.category
        document["complaint"] = found | {"urgency": complaint.urgency}
    if event.intent:
        document["intent"] = event.intent
    if (noise := event.noise) is not None:
        signature: Document = {"signature": noise.signature} if noise.signature else {}
        document["noise"] = {"spam": noise.spam} | signature
    if event.contacts:
        document["contacts"] = event.contacts
    if event.customer is not None:
        document["customer"] = event.customer
    if event.routes:
        document["routes"] = event.routes


def _entity(entity: Entity) -> Document:
    found: Document = {
        "id": entity.id,
        "name": entity.name,
        "kind": entity.kind,
        "text": entity.text,
        "start": entity.start,
        "end": entity.end,
        "confidence": entity.confidence,
    }
    if entity.sentiment is not None:
        found["sentiment"] = entity.sentiment
    return found
