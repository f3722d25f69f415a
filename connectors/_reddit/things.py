"""Things of Reddit, as its listings hold them, and the posts that they become. Pure.

Whoever wrote one chose its texts and links, so nothing but its name can be relied upon.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Literal, TypeGuard
from urllib.parse import urlsplit

from msgspec import Struct

from connectors._loose import dict_of, read_json, rows_of, unique
from pipeline.core.errors import RejectedError
from pipeline.core.post import Author, Post

SITE = "https://www.reddit.com"

_NAME = re.compile(r"t[13]_[0-9a-z]{1,13}")
_ACCOUNT = re.compile(r"t2_[0-9a-z]{1,13}")
_HANDLE = re.compile(r"[A-Za-z0-9_-]{1,40}")
# What stands in place of a text, a title or an author that is gone.
_GONE = re.compile(
    r"\[ ?(?:deleted|removed)(?: by (?:user|moderators?|reddit)\b[^\]]{0,80})? ?\]", re.IGNORECASE
)
_LINK = re.compile(r"https?://[^\s<>\[\]\"`\\]+")
_ADDRESSED = re.compile(r"(?<![\w/.])/?u/([A-Za-z0-9_-]{3,20})\b")
_BEHIND_A_LINK = ".,;:!?*_~'"
_PICTURES = ("i.redd.it", "i.imgur.com")
_FILMS = "v.redd.it"


class Thing(Struct, frozen=True):
    """A comment (``t1``) or a submission (``t3``). ``name`` is Reddit's name of it within the site; ``at``
    and ``edited`` are in seconds since 1970, 0 where Reddit tells none. ``gone`` says that it was deleted or
    removed. ``digest`` changes with its text.
    """

    kind: Literal["t1", "t3"]
    name: str
    data: dict[str, Any]
    text: str
    at: float
    edited: float
    gone: bool

    @property
    def number(self) -> int:
        """Its number; later things of a kind have higher ones."""
        return number_of(self.name)

    @property
    def digest(self) -> int:
        """63 bits that say whether the text is the same."""
        return int.from_bytes(blake2b(self.text.encode(), digest_size=8).digest()) >> 1


def number_of(name: str) -> int:
    """The number within a name such as ``t1_dbhn11d``."""
    return int(name[3:], 36)


def thing_of(raw: bytes) -> Thing | None:
    """One child of a listing; None where it is neither comment nor submission. Raises RejectedError."""
    try:
        child = read_json(raw)
    except ValueError as error:
        raise RejectedError(f"no thing of Reddit: {error}", "unreadable") from None
    kind, data = dict_of(child).get("kind"), dict_of(child).get("data")
    if not isinstance(kind, str) or not isinstance(data, dict):
        raise RejectedError("no thing of Reddit: kind or data is missing", "invalid")
    if kind not in ("t1", "t3"):
        return None
    name = data.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name) or not name.startswith(kind):
        raise RejectedError("no thing of Reddit: data.name is missing, or is none", "invalid")
    return Thing(
        kind="t1" if kind == "t1" else "t3",
        name=name,
        data=data,
        text=_text(kind, data),
        at=_seconds(data.get("created_utc")),
        edited=_seconds(data.get("edited")),
        gone=_is_gone(kind, data),
    )


def name_in(raw: bytes) -> str:
    """The name of what may be no sound thing, empty where it has none."""
    name = data_in(raw).get("name")
    return name if isinstance(name, str) and _NAME.fullmatch(name) else ""


def data_in(raw: bytes) -> dict[str, Any]:
    """What a child of any kind says of itself, as far as it can be read."""
    try:
        return dict_of(dict_of(read_json(raw)).get("data"))
    except ValueError:
        return {}


def _text(kind: str, data: dict[str, Any]) -> str:
    parts = [data.get("body")] if kind == "t1" else [data.get("title"), data.get("selftext")]
    for field, part in zip(("body",) if kind == "t1" else ("title", "selftext"), parts, strict=True):
        if not isinstance(part, str):
            raise RejectedError(f"no thing of Reddit: data.{field} is missing or no text", "invalid")
    return "\n\n".join(part for part in parts if part)


def _is_gone(kind: str, data: dict[str, Any]) -> bool:
    """Whether its text or its author was taken away: Reddit asks to keep neither then."""
    places = ("author", "body") if kind == "t1" else ("author", "title", "selftext")
    if any(
        isinstance(data[place], str) and _GONE.fullmatch(data[place].strip())
        for place in places
        if place in data
    ):
        return True
    return kind == "t3" and isinstance(data.get("removed_by_category"), str)


def post_of(thing: Thing, now: datetime) -> Post:
    """The post, or the notice of its deletion. Raises RejectedError where it names no author.

    What is wrong with the trimmings (links, pictures, numbers, dates) costs the trimmings, not the post.
    """
    kind: Literal["comment", "post"] = "comment" if thing.kind == "t1" else "post"
    if thing.gone:
        return gone_post(thing.name, thing.at, now)
    data = thing.data
    links, media = _below(data)
    return Post(
        id=_id(thing.name),
        kind=kind,
        text=thing.text,
        created_at=_moment(thing.at),
        collected_at=now,
        edited_at=_moment(thing.edited),
        url=_page(thing),
        author=_author(data),
        in_reply_to=_reference(data.get("parent_id")) if thing.kind == "t1" else "",
        thread=_reference(data.get("link_id")) if thing.kind == "t1" else _id(thing.name),
        mentions=unique(_ADDRESSED.findall(thing.text)),
        urls=unique([*_links_in(thing.text), *links]),
        media=unique(media),
        metrics=_metrics(thing.kind, data),
    )


def gone_post(name: str, at: float, now: datetime) -> Post:
    """The notice that the thing of this name was deleted or removed."""
    kind: Literal["comment", "post"] = "comment" if name.startswith("t1") else "post"
    return Post(id=_id(name), kind=kind, text="", created_at=_moment(at), collected_at=now, deleted=True)


def _id(name: str) -> str:
    return f"reddit:{name}"


def _reference(name: Any) -> str:
    return _id(name) if isinstance(name, str) and _NAME.fullmatch(name) else ""


def _page(thing: Thing) -> str:
    """Where people read it."""
    path = thing.data.get("permalink")
    if isinstance(path, str) and path.startswith("/r/") and not re.search(r"\s", path):
        return SITE + path
    if thing.kind == "t3":
        return f"{SITE}/comments/{thing.name[3:]}/"
    link = _reference(thing.data.get("link_id"))
    return f"{SITE}/comments/{link.removeprefix('reddit:t3_')}/_/{thing.name[3:]}/" if link else ""


def _author(data: dict[str, Any]) -> Author:
    """By the number of the account; by its name where Reddit tells no number, as in years long ago."""
    number, handle = data.get("author_fullname"), data.get("author")
    if not isinstance(handle, str) or not _HANDLE.fullmatch(handle):
        raise RejectedError("no thing of Reddit: data.author is missing, or is none", "invalid")
    known = isinstance(number, str) and _ACCOUNT.fullmatch(number)
    return Author(
        id=_id(number) if known and isinstance(number, str) else f"reddit:u/{handle}",
        handle=handle,
        url=f"{SITE}/user/{handle}",
    )


def _metrics(kind: str, data: dict[str, Any]) -> dict[str, int]:
    told = {"replies": data.get("num_comments")} if kind == "t3" else {}
    if not (data.get("score_hidden") or data.get("hide_score")):
        told["score"] = data.get("score")
    return {name: value for name, value in told.items() if type(value) is int and abs(value) < 2**53}


def _below(data: dict[str, Any]) -> tuple[list[str], list[str]]:
    """The links and the media of what a submission shows, or of pictures within a comment."""
    links, media = [], list(_pictures(data))
    for key in ("secure_media", "media"):
        film = dict_of(dict_of(data.get(key)).get("reddit_video")).get("fallback_url")
        media += [film] if _is_link(film) else []
    shown = data.get("url_overridden_by_dest") or data.get("url")
    if _is_link(shown) and data.get("is_self") is not True:
        host = _host(shown)
        if data.get("post_hint") == "image" or host in _PICTURES:
            media.append(shown)
        elif host != _FILMS and not media:
            links.append(shown)
    for parent in rows_of(data.get("crosspost_parent_list"))[:1]:
        path = parent.get("permalink")
        links += [SITE + path] if isinstance(path, str) and path.startswith("/r/") else []
        of_parent = _below({**parent, "crosspost_parent_list": None})
        links, media = links + of_parent[0], media + of_parent[1]
    return links, media


def _pictures(data: dict[str, Any]) -> Iterator[str]:
    """Of a gallery, in its order, or within a text."""
    known = dict_of(data.get("media_metadata"))
    order = [row.get("media_id") for row in rows_of(dict_of(data.get("gallery_data")).get("items"))]
    for key in order or list(known):
        source = dict_of(dict_of(known.get(key) if isinstance(key, str) else None).get("s"))
        link = source.get("u") or source.get("gif") or source.get("mp4")
        if _is_link(link):
            yield link


def _links_in(text: str) -> list[str]:
    return [_closed(link).rstrip(_BEHIND_A_LINK) for link in _LINK.findall(text)]


def _closed(link: str) -> str:
    """Up to a bracket that was opened before the link, as Markdown has it."""
    depth = 0
    for place, letter in enumerate(link):
        depth += (letter == "(") - (letter == ")")
        if depth < 0:
            return link[:place]
    return link


def _is_link(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and re.fullmatch(r"https?://\S+", value) is not None


def _host(link: str) -> str:
    try:
        return urlsplit(link).hostname or ""
    except ValueError:
        return ""


def _seconds(value: Any) -> float:
    """0 where it is no time that a calendar has."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 2**33:
        return 0.0
    return float(value)


def _moment(seconds: float) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None
