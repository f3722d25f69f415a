"""What a platform says to one request, as data: a fault bends it before it goes onto the wire.

Knows nothing of sockets; :mod:`testkit.platform.sending` puts an answer onto the wire.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from msgspec import Struct

Form = Literal["page", "lines", "events", "websocket"]
"""``page``: one body with a length; the others are streams: lines in chunks, server-sent events, frames."""


class Item(Struct, frozen=True, kw_only=True):
    """One thing that a platform tells, in its own form.

    ``id`` is that of the post which it must become, with its source; empty where it becomes none (a like, a
    profile). ``deleted`` says that the post must come as a deletion. ``at`` is when it was told, in seconds
    since 1970. ``raw`` stands on the wire in place of ``data`` where it is no JSON.
    """

    id: str = ""
    data: Any = None
    deleted: bool = False
    at: float = 0.0
    raw: bytes = b""

    def text(self) -> bytes:
        """As it stands on the wire."""
        return self.raw or json.dumps(self.data, ensure_ascii=False).encode()


class Asked(Struct, frozen=True):
    """A request as it came in; the names of the headers are in lower case."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes = b""

    def last(self, name: str) -> str:
        """The last value of a parameter, empty where it is missing."""
        return self.query.get(name, [""])[-1]


class Answer(Struct, frozen=True, kw_only=True):
    """``items`` may be endless in a stream; None among them is a moment without news, in which the
    server looks whether it is to let go. With ``hold`` a stream stays open behind its last item.

    What faults set: ``silent`` never answers; ``cut_after`` so many items breaks the wire within the next;
    ``keep_alives`` puts the form's own between all items; ``padding`` sends so many bytes of filler in
    place of an item.
    """

    status: int = 200
    headers: Mapping[str, str] = {}
    form: Form = "page"
    items: Iterable[Item | None] = ()
    wrap: Callable[[list[bytes]], bytes] | None = None
    hold: bool = False
    silent: bool = False
    cut_after: int | None = None
    keep_alives: bool = False
    gzip: bool = False
    padding: int = 0


def listed(texts: list[bytes]) -> bytes:
    """The body of a page: a JSON array."""
    return b"[" + b",".join(texts) + b"]"


def refusal(status: int, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer without news, such as a 503."""
    text = json.dumps(body if body is not None else {"error": f"status {status}"}).encode()
    return Answer(status=status, headers=headers or {}, wrap=lambda _: text)
