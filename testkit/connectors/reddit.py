"""Reddit's interface as praw asks it: tokens, listings of the newest, things by name; for the contract."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from email.utils import formatdate
from pathlib import Path
from typing import Any

from pipeline.core.protocols import Cursor
from testkit.platform.answers import Answer, Asked, Item, refusal
from testkit.platform.certificate import Certificate
from testkit.platform.faults import Dialect
from testkit.platform.server import PlatformServer
from testkit.platform.staged import ServedStage, served_stage
from testkit.platform.timeline import Timeline

CLIENT = "groundswell-fixture"
SECRET = "sec-81d0a6f3c9-reddit"
TOKEN = "tok-77ab31e05f-reddit"
LISTING = 1000
_FIRST = 36**6
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_BASIC = b64encode(f"{CLIENT}:{SECRET}".encode()).decode()


def base36(number: int) -> str:
    """A number as Reddit writes it."""
    text = ""
    while number:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
    return text or "0"


def name(number: int) -> str:
    """Every third is a submission."""
    return f"{'t1' if number % 3 else 't3'}_{base36(_FIRST + number)}"


def comment(number: int, moment: float, **changes: Any) -> dict[str, Any]:
    """A comment as a listing holds it."""
    link = name(number - number % 3)
    data = {
        "name": f"t1_{base36(_FIRST + number)}",
        "author": f"writer_{number % 5}",
        "author_fullname": f"t2_{base36(1000 + number % 5)}",
        "body": f"My parcel number {number} is late & nobody answers ☹",
        "link_id": link,
        "parent_id": link if number % 2 else name(max(number - 3, 1)),
        "permalink": f"/r/parcels/comments/{link[3:]}/late/{base36(_FIRST + number)}/",
        "subreddit": "parcels",
        "created_utc": float(int(moment)),
        "edited": False,
        "score": number,
        "score_hidden": False,
        "replies": "",
    }
    return {"kind": "t1", "data": {**data, **changes}}


def submission(number: int, moment: float, **changes: Any) -> dict[str, Any]:
    """A submission as a listing holds it; every second one links to a page."""
    at = base36(_FIRST + number)
    data = {
        "name": f"t3_{at}",
        "author": f"writer_{number % 5}",
        "author_fullname": f"t2_{base36(1000 + number % 5)}",
        "title": f"Parcel {number}",
        "selftext": "" if number % 2 else f"Is number {number} late? See https://acme.example/{number}.",
        "is_self": number % 2 == 0,
        "url": f"https://news.example/{number}",
        "permalink": f"/r/acme/comments/{at}/parcel_{number}/",
        "subreddit": "acme",
        "created_utc": float(int(moment)),
        "edited": False,
        "score": number,
        "num_comments": number % 7,
    }
    return {"kind": "t3", "data": {**data, **changes}}


def item(number: int, moment: float) -> Item:
    """By its number: a submission or a comment, some edited, some removed before anybody saw them."""
    make = comment if number % 3 else submission
    if number % 13 == 8:
        gone = {"author": "[deleted]", "author_fullname": None}
        gone |= {"body": "[removed]"} if number % 3 else {"selftext": "[removed]"}
        data = make(number, moment, **gone)
        return Item(id=f"reddit:{name(number)}", deleted=True, data=data, at=moment)
    changes = {"edited": float(int(moment)) + 1} if number % 13 == 5 else {}
    return Item(id=f"reddit:{name(number)}", data=make(number, moment, **changes), at=moment)


class Site:
    """What Reddit says to each request.

    ``subreddits`` maps names to their type, ``things`` gives all there are, the oldest first. What stands in
    ``changed`` replaces the data of the thing of that name in answers to ``/api/info``, where None leaves it
    out; what stands in ``hidden`` is gone from the listings. ``left`` is how many requests may still be made.
    """

    def __init__(self, things: Callable[[], Iterable[Item]], subreddits: Mapping[str, str]) -> None:
        self.things = things
        self.subreddits = subreddits
        self.changed: dict[str, Mapping[str, Any] | None] = {}
        self.hidden: set[str] = set()
        self.left = 998.0
        self.reset = 600

    def __call__(self, asked: Asked) -> Answer:
        """The answer, healthy."""
        if asked.path == "/api/v1/access_token":
            return self._token(asked)
        if asked.headers.get("authorization", "").lower() != f"bearer {TOKEN}".lower():
            return refusal(401, {"message": "Unauthorized", "error": 401})
        assert asked.query["raw_json"] == ["1"], "without it Reddit escapes the texts"
        if asked.path == "/api/info/":
            return self._info(asked)
        return self._listing(asked)

    def _token(self, asked: Asked) -> Answer:
        if asked.headers.get("authorization") != f"Basic {_BASIC}":
            return refusal(401, {"message": "Unauthorized", "error": 401})
        assert b"grant_type=client_credentials" in asked.body, asked.body
        told = {"access_token": TOKEN, "token_type": "bearer", "expires_in": 86400, "scope": "*"}
        return self._told(json.dumps(told).encode())

    def _info(self, asked: Asked) -> Answer:
        if names := asked.last("sr_name"):
            found = [
                {"kind": "t5", "data": {"display_name": one, "subreddit_type": kind}}
                for one, kind in self.subreddits.items()
                if one.lower() in names.lower().split(",")
            ]
            return self._told(_listed([json.dumps(one).encode() for one in found], None))
        wanted = asked.last("id").split(",")
        assert len(wanted) <= 100, "Reddit tells of a hundred at most"
        by_name = {one.data["data"]["name"]: one.data for one in self.things()}
        children = []
        for one in wanted:
            change = self.changed.get(one, {})
            if one in by_name and change is not None:
                child = {**by_name[one], "data": {**by_name[one]["data"], **change}}
                children.append(json.dumps(child).encode())
        return self._told(_listed(children, None))

    def _listing(self, asked: Asked) -> Answer:
        _, _, names, sort = asked.path.rstrip("/").split("/")
        if not set(names.split("+")) & {*self.subreddits, "all"}:
            return Answer(status=302, headers={"Location": f"/subreddits/search?q={names}"})
        kind = {"comments": "t1", "new": "t3"}[sort]
        found = [one for one in self.things() if one.data["kind"] == kind][-LISTING:][::-1]
        found = [one for one in found if _name(one) not in self.hidden]
        if after := asked.last("after"):
            places = [place for place, one in enumerate(found) if _name(one) == after]
            found = found[places[0] + 1 :] if places else []
        limit = min(int(asked.last("limit") or 25), 100)
        shown = found[:limit]
        more = _name(shown[-1]) if len(found) > limit else None
        answer = self._told(b"")
        return Answer(items=shown, wrap=lambda texts: _listed(texts, more), headers=answer.headers)

    def _told(self, body: bytes) -> Answer:
        headers = {
            "x-ratelimit-remaining": str(self.left),
            "x-ratelimit-used": str(int(1000 - self.left)),
            "x-ratelimit-reset": str(self.reset),
            "Date": formatdate(usegmt=True),
        }
        return Answer(wrap=lambda _: body, headers=headers)


def _name(thing: Item) -> str:
    return str(thing.data["data"].get("name"))


def _listed(children: list[bytes], after: str | None) -> bytes:
    told = json.dumps(after).encode()
    return b'{"kind":"Listing","data":{"after":' + told + b',"children":[' + b",".join(children) + b"]}}"


class RedditDialect(Dialect):
    """How Reddit puts it."""

    reset_header = "x-ratelimit-reset"
    needed = ("data", "author")

    def too_old(self, answer: Answer) -> Answer:
        """Its listings end, and say nothing of it."""
        return answer

    def suspended(self, answer: Answer) -> Answer:
        """An app whose account may do nothing any longer."""
        del answer
        return refusal(403, {"message": "Forbidden", "error": 403})

    def extended(self, data: Any) -> Any:
        """On both levels."""
        wider = super().extended(data)
        return {**wider, "data": super().extended(wider["data"])} if isinstance(data, dict) else wider


_OLD = {"known": "t1_dbhn11d", "known_at": 1_482_373_050.0}
_STALE: Cursor = {
    "begin": 1_482_370_000.0,
    "comments": _OLD,
    "submissions": {"known": "t3_5jo13y", "known_at": 1_482_373_050.0},
}


class RedditFixture:
    """Two subreddits, by pages of seven; some items are edited, some removed."""

    kind = "reddit"
    exempt: Mapping[str, str] = {}
    secrets: tuple[str, ...] = (SECRET, TOKEN, _BASIC)
    stale: Cursor | None = _STALE

    def item(self, number: int, moment: float) -> Item:
        """See :func:`item`."""
        return item(number, moment)

    def answer(self, asked: Asked, timeline: Timeline) -> Answer:
        """See :class:`Site`."""
        return Site(lambda: list(timeline.items), {"parcels": "public", "acme": "restricted"})(asked)

    def table(self, server: PlatformServer) -> Mapping[str, Any]:
        """Small pages, short rests, a short patience; see :func:`table`."""
        return table(server.url)

    def stage(
        self, folder: Path, certificate: Certificate | None = None
    ) -> AbstractContextManager[ServedStage]:
        """One server, which signs in too."""
        secret = folder / "reddit.secret"
        secret.write_text(SECRET, encoding="utf-8")
        return served_stage(
            self.item,
            self.answer,
            lambda server: {**self.table(server), "client_secret_file": str(secret)},
            RedditDialect(),
            certificate,
        )


def table(url: str) -> dict[str, Any]:
    """The settings for a site at this address, but for the secret."""
    return {
        "subreddits": ["parcels", "acme"],
        "client_id": CLIENT,
        "user_agent": "python:groundswell:test (by u/nobody)",
        "since_hours": 1,
        "poll_seconds": 0.05,
        "batch": 7,
        "timeout_seconds": 1,
        "login_url": url,
        "api_url": url,
    }


FIXTURE = RedditFixture()
