"""An invented platform with a web interface as most have it, and a connector that can be flawed at will.

The connector shows what a sound one looks like; with a flaw it shows that the contract finds it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import urllib3
from msgspec import Struct

from connectors._refusal import refused
from pipeline.core.errors import ConfigError, RejectedError, RetryableError
from pipeline.core.post import Author, Post
from pipeline.core.protocols import Cursor, Limit, Read
from pipeline.core.rejection import reject
from testkit.platform.answers import Answer, Asked, Item, refusal
from testkit.platform.faults import Dialect
from testkit.platform.server import PlatformServer
from testkit.platform.staged import ServedStage, served_stage
from testkit.platform.timeline import Timeline

TOKEN = "tok-5d1f0c77e2"
PAGE = 7
_LARGEST = 4 * 1024 * 1024
_REMEDY = "renew the token of the sample and put it into token_file"

log = logging.getLogger("groundswell.sample")


class SampleItem(Struct, frozen=True):
    """One post as the platform tells it."""

    number: int
    text: str
    by: str
    at: float


def parse(raw: bytes) -> Post:
    """One item as a post. Raises RejectedError."""
    try:
        item = msgspec.json.decode(raw, type=SampleItem)
        if not item.by or any(letter.isspace() for letter in item.by):
            raise ValueError("`by` is no name")
        return Post(
            id=f"sample:{item.number}",
            text=item.text,
            author=Author(id=f"sample:{item.by}"),
            created_at=datetime.fromtimestamp(item.at, UTC),
        )
    except msgspec.ValidationError as error:
        raise RejectedError(str(error)) from None
    except (ValueError, OverflowError, OSError, RecursionError) as error:
        raise RejectedError(str(error), "unreadable") from None


class SampleConnector:
    """Asks for one page a read. ``flaw`` names what it does wrong, empty for nothing."""

    def __init__(self, url: str, token: str, flaw: str = "") -> None:
        self._url = url
        self._token = token
        self._flaw = flaw
        self._reads = 0
        self._pool = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(1.0))

    def __repr__(self) -> str:
        return (
            f"SampleConnector({self._token!r})" if self._flaw == "shows its secret" else "SampleConnector()"
        )

    def read(self, cursor: Cursor | None) -> Read:
        """The next page after the cursor."""
        self._reads += 1
        after = (cursor or {"after": -1})["after"]
        status, headers, body = self._ask(after)
        if status == 400 and b"too old" in body:
            if self._flaw != "starts over in silence":
                log.warning("the sample no longer has what follows the cursor: begins with its oldest")
            return Read(posts=[], cursor={"after": -1}, wait=0.0)
        if status != 200:
            return self._refused(status, headers, cursor or {"after": after})
        try:
            rows = msgspec.json.decode(body, type=dict[str, list[msgspec.Raw]])["items"]
        except (msgspec.DecodeError, KeyError) as error:
            raise RetryableError(f"the sample's answer cannot be read: {error}") from None
        return self._page([bytes(row) for row in rows], headers, after)

    def _ask(self, after: int) -> tuple[int, Mapping[str, str], bytes]:
        largest = 10**9 if self._flaw == "takes in any body" else _LARGEST
        try:
            answer = self._pool.request(
                "GET",
                f"{self._url}/items?after={after}",
                headers={"Authorization": f"Bearer {self._token}", "Accept-Encoding": "gzip"},
                preload_content=False,
                redirect=self._flaw == "follows redirects",
                retries=urllib3.Retry(3) if self._flaw == "follows redirects" else False,
            )
            try:
                body = answer.read(largest + 1, decode_content=True)
                if len(body) > largest:
                    raise RetryableError(f"the sample's answer is longer than {largest} bytes")
                rest = answer.read(1, decode_content=True)
                return answer.status, dict(answer.headers), body + rest
            finally:
                answer.close()
        except urllib3.exceptions.HTTPError as error:
            shown = self._token if self._flaw == "tells its secret" else "the sample"
            raise RetryableError(f"{shown} cannot be reached ({type(error).__name__})") from None

    def _refused(self, status: int, headers: Mapping[str, str], cursor: Cursor) -> Read:
        if self._flaw == "swallows refusals":
            return Read(posts=[], cursor=cursor, wait=1.0)
        error = refused(status, headers, "the sample", _REMEDY, datetime.now(UTC))
        if self._flaw == "tries refused credentials again" and isinstance(error, ConfigError):
            raise RetryableError(str(error))
        if self._flaw == "ignores the reset" and isinstance(error, RetryableError):
            raise RetryableError(str(error))
        raise error

    def _page(self, rows: list[bytes], headers: Mapping[str, str], after: int) -> Read:
        posts, rejected = [], []
        for row in rows:
            try:
                posts.append(self._flawed(parse(row)))
            except RejectedError as error:
                if self._flaw == "drops bad posts":
                    continue
                rejected.append(
                    reject(row, error, stage="collect", origin="the sample", now=datetime.now(UTC))
                )
        numbers = [int(post.id.split(":")[1].split("-")[0]) for post in posts]
        behind = max(numbers, default=after)
        if self._flaw == "keeps a cursor ahead of its posts" and len(posts) == PAGE:
            posts = posts[:-1]
        if rejected and not posts:
            behind = after + len(rows)
        wait = 0.0 if rows or self._flaw == "never rests" else 0.05
        left = headers.get("X-Limit-Left", "")
        limits = [Limit("requests", left=int(left))] if left.isdecimal() else []
        return Read(posts=posts, rejected=rejected, cursor={"after": behind}, wait=wait, limits=limits)

    def _flawed(self, post: Post) -> Post:
        if self._flaw == "has unstable ids":
            return msgspec.structs.replace(post, id=f"{post.id}-{self._reads}-{id(self)}")
        if self._flaw == "lets texts vary":
            return msgspec.structs.replace(post, text=f"{post.text} {id(self)}")
        return post

    def close(self) -> None:
        """Lets go of its sockets."""
        self._pool.clear()


class SampleFixture:
    """Keys by bearer token, pages of seven, and a header that says how much may still be asked."""

    kind = "sample"
    exempt: Mapping[str, str] = {}
    secrets: tuple[str, ...] = (TOKEN,)
    stale: Cursor | None = None

    def item(self, number: int, moment: float) -> Item:
        """The item of this number."""
        data = {"number": number, "text": f"My parcel number {number} is late", "by": "ann", "at": moment}
        return Item(id=f"sample:{number}", data=data, at=moment)

    def answer(self, asked: Asked, timeline: Timeline) -> Answer:
        """A page behind ``after``."""
        if asked.headers.get("authorization") != f"Bearer {TOKEN}":
            return refusal(401)
        after = int(asked.last("after"))
        items = timeline.items[after + 1 : after + 1 + PAGE]
        return Answer(items=items, wrap=_enveloped, headers={"X-Limit-Left": "449"})

    def table(self, server: PlatformServer) -> Mapping[str, Any]:
        """Its address."""
        return {"url": server.url}

    def stage(self, folder: Path) -> AbstractContextManager[ServedStage]:
        """One server."""
        del folder
        return served_stage(self.item, self.answer, self.table, Dialect())


def _enveloped(texts: list[bytes]) -> bytes:
    return b'{"items":[' + b",".join(texts) + b"]}"
