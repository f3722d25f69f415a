"""What connectors that ask for pages of JSON share: reading an answer, and sorting out its items. Pure.

A page that cannot be read is asked for again; an item that is no post is refused alone. Knows no platform and
no library of HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TypeVar

import msgspec

from connectors._refusal import reset_seconds
from pipeline.core.errors import RejectedError, RetryableError
from pipeline.core.post import Post
from pipeline.core.protocols import Limit
from pipeline.core.rejection import Rejection, reject

T = TypeVar("T")
_FAMILIES = ("x-ratelimit", "x-rate-limit", "ratelimit")
_LONGEST_NUMBER = 18


def page_of(body: bytes, form: type[T], who: str) -> T:
    """A whole answer; the items in it are best left as ``msgspec.Raw``. RetryableError where it is no such
    page, for what stands there now (a page of excuses, half a page) may soon be gone.
    """
    try:
        return msgspec.json.decode(body, type=form)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise RetryableError(f"the answer of {who} cannot be read: {error}") from None


def item_of(raw: bytes, form: type[T]) -> T:
    """One item in the platform's own form; fields that ``form`` does not name are left out. RejectedError
    names the field at fault.
    """
    try:
        return msgspec.json.decode(raw, type=form)
    except msgspec.ValidationError as error:
        raise RejectedError(str(error)) from None
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise RejectedError(f"cannot be read: {error}", "unreadable") from None


def sort_out(
    rows: Iterable[bytes | msgspec.Raw], parse: Callable[[bytes], Post | None], origin: str, now: datetime
) -> tuple[list[Post], list[Rejection]]:
    """The posts among the items, collected ``now``, and a rejection of each that is at fault; ``parse`` gives
    None for what becomes no post. ``origin`` says in rejections where they stood.
    """
    posts, rejected = [], []
    for row in rows:
        raw = bytes(row)
        try:
            if (post := parse(raw)) is not None:
                posts.append(msgspec.structs.replace(post, collected_at=now))
        except RejectedError as error:
            rejected.append(reject(raw, error, stage="collect", origin=origin, now=now))
    return posts, rejected


def limits_of(headers: Mapping[str, str], now: datetime) -> list[Limit]:
    """What the platform says may still be asked; none where it says nothing."""
    lower = {name.lower(): value for name, value in headers.items()}
    for family in _FAMILIES:
        left, total = (_number(lower.get(f"{family}-{name}", "")) for name in ("remaining", "limit"))
        if left is not None or total is not None:
            return [Limit("requests", left, total, reset_seconds(headers, now))]
    return []


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < _LONGEST_NUMBER else None
