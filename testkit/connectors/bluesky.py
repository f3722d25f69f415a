"""Jetstream as its hosts speak it, for the contract."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from connectors._bluesky.profiles import PATH
from pipeline.core.protocols import Cursor
from testkit.platform.answers import Answer, Asked, Item, refusal
from testkit.platform.certificate import Certificate
from testkit.platform.faults import Dialect
from testkit.platform.server import PlatformServer
from testkit.platform.staged import ServedStage, served_stage
from testkit.platform.timeline import Timeline

POST = "app.bsky.feed.post"
_DIGITS = "234567abcdefghijklmnopqrstuvwxyz"
_SECOND = 1_000_000


def tid(micros: int) -> str:
    """A time as the network writes it into keys and revisions."""
    number, text = micros << 10, ""
    for _ in range(13):
        number, digit = divmod(number, 32)
        text = _DIGITS[digit] + text
    return text


def did(number: int) -> str:
    """The account of this number."""
    return "did:plc:" + f"example{number}".ljust(24, "a")


def event(number: int, moment: float, record: Mapping[str, Any] | None, **commit: Any) -> dict[str, Any]:
    """A commit as Jetstream tells it."""
    micros = int(moment * _SECOND)
    body = {"rev": tid(micros), "operation": "create", "collection": POST, "rkey": key(number), **commit}
    if record is not None:
        body |= {"record": {"$type": body["collection"], **record}, "cid": f"bafyreiexample{number}"}
    return {"did": did(number % 5), "time_us": micros, "kind": "commit", "commit": body}


def key(number: int) -> str:
    """The key of the post of this number; it never changes."""
    return tid(1_700_000_000 * _SECOND + number)


def uri(number: int) -> str:
    """The address of the post of this number within the network."""
    return f"at://{did(number % 5)}/{POST}/{key(number)}"


def profile(account: str) -> dict[str, Any]:
    """What the service of profiles tells of an account."""
    name = account.rpartition(":")[2].rstrip("a")
    return {
        "did": account,
        "handle": f"{name}.example",
        "displayName": name.title(),
        "description": f"I am {name}",
        "followersCount": 7,
        "postsCount": 1,
        "viewer": {"muted": False},
    }


def people(asked: Asked) -> Answer:
    """As the service of profiles answers: by its path, and 25 accounts at most."""
    actors = asked.query.get("actors", [])
    if asked.path != PATH or not 0 < len(actors) <= 25:
        return refusal(400, {"error": "InvalidRequest"})
    body = json.dumps({"profiles": [profile(account) for account in actors]}).encode()
    return Answer(wrap=lambda _: body)


def record(number: int, moment: float) -> dict[str, Any]:
    """What the author's program writes: every fourth is an answer, every third has trimmings."""
    made = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    told: dict[str, Any] = {"createdAt": made, "text": f"My parcel number {number} is late ☹"}
    if number % 2:
        told["langs"] = ["en-GB", "cy"]
    if number % 4 == 0 and number >= 8:
        told["reply"] = {
            "root": {"cid": "bafyroot", "uri": uri(number - 8)},
            "parent": {"cid": "bafyparent", "uri": uri(number - 4)},
        }
    if number % 3 == 0:
        told["text"] += " #late @acme acme.example/help"
        told["tags"] = ["parcels"]
        told["facets"] = [
            {"index": {"byteStart": 0, "byteEnd": 2}, "features": [{"$type": "x#tag", "tag": "late"}]},
            {"index": {"byteStart": 3, "byteEnd": 5}, "features": [{"$type": "x#mention", "did": did(9)}]},
            {"features": [{"$type": "x#link", "uri": "https://acme.example/help"}]},
        ]
        told["embed"] = {
            "$type": "app.bsky.embed.recordWithMedia",
            "record": {"record": {"cid": "bafyquoted", "uri": uri(1)}},
            "media": {
                "images": [{"alt": "a torn box", "image": {"$type": "blob", "ref": {"$link": "bafypicture"}}}]
            },
        }
    return told


class Jetstream(Dialect):
    """How Jetstream puts it."""

    needed = ("commit", "record", "text")

    def too_old(self, answer: Answer) -> Answer:
        """It begins with the oldest event that it still has, and says nothing of it."""
        return answer

    def off_clock(self, answer: Answer, seconds: float) -> Answer:
        """Its events carry the host's own time."""

        def shifted(items: Iterable[Item | None]) -> Iterator[Item | None]:
            for item in items:
                if item is None:
                    yield None
                    continue
                micros = item.data["time_us"] + int(seconds * _SECOND)
                yield replace(item, data={**item.data, "time_us": micros})

        return replace(answer, items=shifted(answer.items))

    def extended(self, data: Any) -> Any:
        """On every level."""
        wider = super().extended(data)
        if isinstance(wider.get("commit"), dict):
            commit = super().extended(wider["commit"])
            if "record" in commit:
                commit["record"] = super().extended(commit["record"])
            wider["commit"] = commit
        return wider


_STALE: Cursor = {"time_us": 1_700_000_000 * _SECOND}


class BlueskyFixture:
    """Some 10 percent of what comes are likes, accounts, identities; some are deletions and edits."""

    kind = "bluesky"
    exempt: Mapping[str, str] = {
        "account suspended": "Jetstream knows no accounts of its readers",
        "gzip": "the connector offers no compression, so a host has none to use",
    }
    secrets: tuple[str, ...] = ()
    stale: Cursor | None = _STALE

    def item(self, number: int, moment: float) -> Item:
        """By its number: a like, an account, a deletion or an edit of the post before, else a post."""
        if number % 11 == 4:
            like = {"subject": {"cid": "bafyliked", "uri": uri(1)}}
            return Item(data=event(number, moment, like, collection="app.bsky.feed.like"), at=moment)
        if number % 11 == 5:
            told = {"active": False, "did": did(7), "seq": number, "status": "suspended"}
            micros = int(moment * _SECOND)
            data = {"did": did(7), "time_us": micros, "kind": "account", "account": told}
            return Item(data=data, at=moment)
        if number % 11 == 8:
            data = event(number, moment, None, operation="delete", rkey=key(number - 1))
            data["did"] = did((number - 1) % 5)
            return Item(id=f"bluesky:{uri(number - 1)}", deleted=True, data=data, at=moment)
        operation = "update" if number % 11 == 9 else "create"
        data = event(number, moment, record(number, moment), operation=operation)
        return Item(id=f"bluesky:{uri(number)}", data=data, at=moment)

    def answer(self, asked: Asked, timeline: Timeline) -> Answer:
        """As a host answers: from the cursor on, or what comes from now where it lies ahead or is missing."""
        assert asked.path == "/subscribe", asked.path
        wanted = asked.query.get("wantedCollections", [])
        authors = asked.query.get("wantedDids", [])
        cursor = float(asked.last("cursor") or "inf") / _SECOND
        begin = cursor if cursor <= time.time() else time.time()

        def fits(item: Item) -> bool:
            commit = item.data.get("commit", {})
            told = not commit or commit["collection"] in wanted
            return item.at >= begin and told and (not authors or item.data["did"] in authors)

        return Answer(form="websocket", items=timeline.flow(fits))

    def table(self, server: PlatformServer, people: PlatformServer) -> Mapping[str, Any]:
        """Small batches and a short patience; narrowed, so that a memory is needed, by what all posts say."""
        return {
            "hosts": [server.socket_url],
            "since_hours": 1,
            "batch": 7,
            "timeout_seconds": 1,
            "words": ["parcel"],
            "profiles": people.url,
            "profiles_seconds": 5,
        }

    @contextmanager
    def stage(self, folder: Path, certificate: Certificate | None = None) -> Iterator[ServedStage]:
        """One host, and the service of profiles, which is well throughout: no fault of its ends a read."""
        del folder
        with (
            PlatformServer(people) as asked,
            served_stage(
                self.item, self.answer, lambda server: self.table(server, asked), Jetstream(), certificate
            ) as stage,
        ):
            yield stage


FIXTURE = BlueskyFixture()
