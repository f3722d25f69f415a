"""Events of Jetstream, Bluesky's public stream, and the posts that they tell of. Pure.

Most of an event was written by its author's program, so nothing in it can be relied upon.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from connectors._loose import dict_of, list_of, time_of, unique
from pipeline.core.errors import RejectedError
from pipeline.core.post import Author, Post

COLLECTION = "app.bsky.feed.post"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DID = re.compile(r"did:[a-z]+:[A-Za-z0-9._:%-]{1,200}")
_RKEY = re.compile(r"[A-Za-z0-9._:~-]{1,200}")


class Commit(Struct, frozen=True):
    """A change of one record; ``rev`` is the revision of the author's whole store."""

    operation: str = ""
    collection: str = ""
    rkey: str = ""
    rev: str = ""
    record: Any = None


class Event(Struct, frozen=True):
    """An event of Jetstream, as far as it is read. ``time_us`` is when the host heard of it."""

    kind: str = ""
    did: str = ""
    time_us: Annotated[int, Meta(ge=0, le=2**53)] = 0
    commit: Commit | None = None
    account: Any = None


_decode = msgspec.json.Decoder(Event).decode


def event_of(raw: bytes) -> Event:
    """One frame; raises RejectedError."""
    try:
        return _decode(raw)
    except msgspec.ValidationError as error:
        raise RejectedError(f"no event of Jetstream: {error}", "invalid") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RejectedError(f"no event of Jetstream: {error}", "unreadable") from None


def post_of(event: Event, now: datetime) -> Post | None:
    """The post that an event is about; None where it is about something else. Raises RejectedError.

    What is wrong with the trimmings (links, pictures, languages, dates) costs the trimmings, not the post.
    """
    commit = event.commit
    if event.kind != "commit" or commit is None or commit.collection != COLLECTION:
        return None
    try:
        native = _native(event.did, commit.rkey)
        if not _DID.fullmatch(event.did) or not _RKEY.fullmatch(commit.rkey):
            raise ValueError("did or commit.rkey is missing, or is none")
        if commit.operation == "delete":
            return deletion_of(event.did, commit.rkey, now)
        edited = _moment_of(commit.rev, event.time_us) if commit.operation == "update" else None
        return _live(event.did, native, _record(commit), edited, now)
    except ValueError as error:
        raise RejectedError(f"no post of Bluesky: {error}", "invalid") from None


def deletion_of(did: str, rkey: str, now: datetime) -> Post:
    """That the post of this account with this key is gone."""
    return Post(id=_id(_native(did, rkey)), text="", deleted=True, collected_at=now)


def _native(did: str, rkey: str) -> str:
    return f"at://{did}/{COLLECTION}/{rkey}"


def _record(commit: Commit) -> dict[str, Any]:
    if commit.operation not in ("create", "update"):
        raise ValueError(f"commit.operation is `{commit.operation[:40]}`")
    if not isinstance(commit.record, dict) or not isinstance(commit.record.get("text"), str):
        raise ValueError("commit.record.text is missing or no text")
    return commit.record


def _live(did: str, native: str, record: dict[str, Any], edited: datetime | None, now: datetime) -> Post:
    features = list(_features(record))
    tags = [*_texts(features, "tag"), *(tag for tag in list_of(record.get("tags")) if isinstance(tag, str))]
    replied = dict_of(record.get("reply"))
    links, media = _embedded(did, dict_of(record.get("embed")))
    return Post(
        id=_id(native),
        kind="reply" if replied else "post",
        text=record["text"],
        lang=next(iter(languages_of(record)), ""),
        created_at=time_of(record.get("createdAt")),
        collected_at=now,
        edited_at=edited,
        url=_page(native),
        author=Author(id=f"bluesky:{did}", url=f"https://bsky.app/profile/{did}"),
        in_reply_to=_reference(replied, "parent"),
        thread=_reference(replied, "root"),
        mentions=unique(_texts(features, "did")),
        hashtags=unique(tags),
        urls=unique([*_texts(features, "uri"), *links]),
        media=unique(media),
    )


def _id(native: str) -> str:
    return f"bluesky:{native}"


def _page(native: str) -> str:
    """Where people read it."""
    _, _, did, _, rkey = native.split("/", 4)
    return f"https://bsky.app/profile/{did}/post/{rkey}"


def _reference(replied: dict[str, Any], name: str) -> str:
    uri = dict_of(replied.get(name)).get("uri")
    return _id(uri) if isinstance(uri, str) and uri.startswith("at://") else ""


def _features(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for facet in list_of(record.get("facets")):
        yield from map(dict_of, list_of(dict_of(facet).get("features")))


def languages_of(record: Any) -> list[str]:
    """The languages that the author's program names (BCP 47)."""
    return [lang for lang in list_of(dict_of(record).get("langs")) if isinstance(lang, str) and lang]


def _embedded(did: str, embed: dict[str, Any]) -> tuple[list[str], list[str]]:
    """The links and the media of what is set below the text."""
    below = dict_of(embed.get("media"))
    links, media = _embedded(did, {**below, "media": None}) if below else ([], [])
    uri = dict_of(embed.get("external")).get("uri")
    if isinstance(uri, str):
        links.append(uri)
    quoted = dict_of(embed.get("record"))
    quoted_uri = quoted.get("uri") or dict_of(quoted.get("record")).get("uri")
    if isinstance(quoted_uri, str) and re.fullmatch(rf"at://[^/\s]+/{COLLECTION}/[^/\s]+", quoted_uri):
        links.append(_page(quoted_uri))
    pictures = [_blob(dict_of(image).get("image")) for image in list_of(embed.get("images"))]
    media += [f"https://cdn.bsky.app/img/feed_fullsize/plain/{did}/{cid}@jpeg" for cid in pictures if cid]
    if film := _blob(embed.get("video")):
        media.append(f"https://video.bsky.app/watch/{did}/{film}/playlist.m3u8")
    return links, media


def _blob(value: Any) -> str:
    link = dict_of(dict_of(value).get("ref")).get("$link")
    return link if isinstance(link, str) else ""


def _texts(dicts: Sequence[dict[str, Any]], name: str) -> list[str]:
    return [value for entry in dicts if isinstance(value := entry.get(name), str) and value]


_DIGITS = "234567abcdefghijklmnopqrstuvwxyz"


def micros_of(tid: str) -> int | None:
    """The time in a revision or a post's key, in microseconds since 1970; None where it has another form."""
    if len(tid) != 13 or not set(tid) <= set(_DIGITS):
        return None
    number = 0
    for digit in tid:
        number = number * 32 + _DIGITS.index(digit)
    # The lowest ten bits name the clock that made it.
    return number % 2**63 >> 10


def _moment_of(rev: str, time_us: int) -> datetime:
    """When a change was made, by its revision, which all hosts tell alike; else when the host heard."""
    micros = micros_of(rev)
    return _EPOCH + timedelta(microseconds=time_us if micros is None else micros)
