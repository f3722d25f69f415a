"""A post: what somebody said, once, as its platform tells it; and the strict reading of one.

This module owns the form of a post and all that makes one valid. It knows nothing of where posts
come from or go to.

A live post needs ``id``, ``text`` and ``author.id``; a deletion needs ``id`` and ``deleted``. Unknown
fields are left out. All else that is wrong makes a :class:`RejectedError` that names the field.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import force_setattr

from pipeline.core.errors import RejectedError
from pipeline.core.wire import Reader, Upgrade, newer

SCHEMA = 1
"""Version of the wire form of posts and events; a higher one is refused, a missing one means 1."""

BEFORE: Upgrade | None = None
"""Turns the form of the schema before into this one's, where they differ."""

Kind = Literal["post", "comment", "reply", "review", "message", "chat", "call", "article"]
Direction = Literal["inbound", "outbound"]

# Elasticsearch takes an _id of at most 512 bytes; an id here is checked in bytes below.
MAX_ID_BYTES = 512
MAX_POST_BYTES = 4 * 1024 * 1024
"""The longest JSON form of a post that is taken; some forty times the longest text of any platform."""

_ID = r"^[a-z0-9][a-z0-9_.-]*:\S+$"
Id = Annotated[str, Meta(pattern=_ID, description="source:native_id")]
Count = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Time = Annotated[datetime, Meta(tz=True)]


class Author(Struct, gc=False, frozen=True, omit_defaults=True, kw_only=True):
    """Who wrote a post, as the platform tells it. ``id`` is ``source:native_author_id``."""

    id: str = ""
    handle: str = ""
    name: str = ""
    bio: str = ""
    location: str = ""
    url: str = ""
    followers: Count | None = None
    verified: bool | None = None


NOBODY = Author()
"""The author of a deletion."""


class Post(Struct, gc=False, frozen=True, omit_defaults=True, kw_only=True):
    """One version of one post. Times are aware and in UTC; an absent one is None.

    ``id`` is that of the first version where a platform gives each edit a new one. ``lang`` is the
    platform's own word (BCP 47), empty where it says nothing. ``direction`` is outbound for posts of
    our own accounts. A post with ``deleted`` carries nothing that anybody wrote.
    """

    id: Id
    source: str = ""
    kind: Kind = "post"
    text: str
    lang: str = ""
    created_at: Time | None = None
    collected_at: Time | None = None
    edited_at: Time | None = None
    url: str = ""
    author: Author = NOBODY
    in_reply_to: str = ""
    thread: str = ""
    mentions: tuple[str, ...] = ()
    hashtags: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    media: tuple[str, ...] = ()
    metrics: dict[str, Count] = {}
    direction: Direction = "inbound"
    deleted: bool = False
    # 1 for ever, for a missing number means 1; a later schema is written out.
    schema: int = 1

    def __post_init__(self) -> None:
        if self.schema > SCHEMA:
            raise newer(self.schema, SCHEMA)
        prefix = self.id.partition(":")[0]
        if not self.source:
            force_setattr(self, "source", prefix)
        elif self.source != prefix:
            raise ValueError(f"id must begin with its source, `{self.source}:`")
        # A character takes up to four bytes, so most ids need no encoding to be known short enough.
        if len(self.id) > MAX_ID_BYTES // 4 and len(self.id.encode()) > MAX_ID_BYTES:
            raise ValueError(f"id is longer than {MAX_ID_BYTES} bytes")
        for name in ("created_at", "collected_at", "edited_at"):
            moment: datetime | None = getattr(self, name)
            if moment is not None and moment.tzinfo is not UTC:
                force_setattr(self, name, _in_utc(name, moment))


def _in_utc(name: str, moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{name} is outside the calendar in UTC") from None


def stub(post: Post) -> Post:
    """The text-free rest of a deleted post: its id, its kind and the time that names its index."""
    return Post(
        id=post.id, source=post.source, kind=post.kind, text="", created_at=post.created_at, deleted=True
    )


class _Deletion(Struct, frozen=True):
    """A notice of deletion that may say no more than whose."""

    id: Id
    deleted: bool
    kind: Kind = "post"
    created_at: Time | None = None


class _BareDeletion(Struct, frozen=True):
    """What a deletion cannot do without: somebody's no counts whatever else is wrong with the notice."""

    id: Id
    deleted: bool


_decode: Reader[Post] = Reader(Post, SCHEMA, BEFORE)
_decode_bare_deletion = msgspec.json.Decoder(_BareDeletion).decode
_decode_deletion = msgspec.json.Decoder(_Deletion).decode
_encode = msgspec.json.Encoder().encode


def decode_post(raw: bytes) -> Post:
    """Read one post from its JSON form. A deletion comes back as its stub.

    Raises RejectedError, whose message names the faulty field. A lone surrogate in a text becomes
    U+FFFD: platforms that cut a text inside a character send such, and the post is no worse for it.
    """
    if len(raw) > MAX_POST_BYTES:
        # No exact number: a reader of lines hands on no more of a long one than shows that it is too long.
        raise RejectedError(f"longer than {MAX_POST_BYTES} bytes, the most that a post may have", "too_big")
    try:
        post = _decode(raw)
    except msgspec.ValidationError as error:
        return _deletion(raw, error)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        post = _decode_mended(raw, error)
    except RecursionError:
        raise RejectedError("no valid JSON: nested too deeply", "unreadable") from None
    if post.deleted:
        return stub(post)
    if not post.author.id:
        raise RejectedError("author.id is missing, and this is not a deletion", "invalid")
    return post


def encode_post(post: Post) -> bytes:
    """The JSON form of a post, without the fields that hold their defaults."""
    return _encode(post)


def without_lone_surrogates(raw: bytes) -> bytes:
    """The same JSON with U+FFFD for halves of characters, which platforms send that cut a text within one.

    Raises ValueError where it is no JSON, RecursionError where it is nested too deeply.
    """
    loose: Any = json.loads(raw.decode("utf-8", "surrogatepass"))
    mended = json.dumps(loose, ensure_ascii=False).encode("utf-16", "surrogatepass")
    return mended.decode("utf-16", "replace").encode()


def _decode_mended(raw: bytes, error: Exception) -> Post:
    """Second, slower reading of a line that msgspec refuses only for a lone surrogate."""
    unreadable = RejectedError(f"no valid JSON: {error}", "unreadable")
    try:
        return _decode(without_lone_surrogates(raw))
    except msgspec.ValidationError as fault:
        raise RejectedError(_plain(fault), "invalid") from None
    except (ValueError, RecursionError):
        raise unreadable from None


def _deletion(raw: bytes, error: msgspec.ValidationError) -> Post:
    """The stub, if what is no whole post is a notice of deletion; else the refusal for the first fault."""
    refusal = RejectedError(_plain(error), "invalid")
    try:
        notice = _decode_deletion(raw)
    except msgspec.ValidationError:
        try:
            bare = _decode_bare_deletion(raw)
        except msgspec.ValidationError:
            raise refusal from None
        notice = _Deletion(bare.id, bare.deleted)
    if not notice.deleted:
        raise refusal
    return Post(id=notice.id, kind=notice.kind, text="", created_at=notice.created_at, deleted=True)


def _plain(error: msgspec.ValidationError) -> str:
    """msgspec's message with the path first: "$.author.id: Expected `str`, got `int`"."""
    message, at, path = str(error).rpartition(" - at `")
    if "matching regex" in message:
        message = "Expected `source:native_id` without spaces, the source in lower case"
    return f"{path.rstrip('`')}: {message}" if at else str(error)
