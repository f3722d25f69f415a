"""X as its interface is, version 2: a search of the last week, a filtered stream with rules, a token."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from email.utils import formatdate
from pathlib import Path
from typing import Any

from connectors._x.tweets import id_at
from connectors._x.walk import digest_of
from pipeline.core.protocols import Cursor
from testkit.platform.answers import Answer, Asked, Item, refusal
from testkit.platform.certificate import Certificate
from testkit.platform.faults import Dialect
from testkit.platform.server import PlatformServer
from testkit.platform.staged import ServedStage, served_stage
from testkit.platform.timeline import Timeline

TOKEN = "AAAAAAAAAAexample%3Dtok-77c1d02be9"
RULES = {"late": "parcel late", "torn": "(parcel torn) OR #torn"}
PREFIX = "groundswell:"
_WEEK = 7 * 86400.0
_PROBLEMS = "https://api.twitter.com/2/problems"


def native(number: int, moment: float) -> int:
    """The id of the post of this number, if it was written then: the later, the larger."""
    return id_at(datetime.fromtimestamp(moment, UTC)) | number


def tweet(number: int, moment: float) -> dict[str, Any]:
    """The post itself: every fourth is an answer, every third has trimmings, some are edited or repeated."""
    made = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    own = str(native(number, moment))
    data: dict[str, Any] = {
        "author_id": str(1000 + number % 5),
        "conversation_id": own,
        "created_at": made,
        "edit_history_tweet_ids": [own],
        "id": own,
        "lang": "en" if number % 2 else "zxx",
        "public_metrics": {"like_count": number, "retweet_count": 1, "impression_count": 10 * number},
        "text": f"My parcel number {number} is late &amp; &lt;torn&gt; ☹",
    }
    if number % 4 == 0:
        data["referenced_tweets"] = [{"type": "replied_to", "id": "1578522194770296832"}]
        data |= {"conversation_id": "1578522194770296832", "in_reply_to_user_id": "1000"}
    if number % 3 == 0:
        data["attachments"] = {"media_keys": ["3_77"]}
        data["entities"] = {
            "hashtags": [{"start": 0, "end": 5, "tag": "late"}],
            "mentions": [{"start": 6, "end": 11, "username": "acme", "id": "7"}],
            "urls": [
                {"url": "https://t.co/a", "expanded_url": "https://acme.example/help"},
                {"url": "https://t.co/b", "expanded_url": "https://x.com/a/photo/1", "media_key": "3_77"},
            ],
        }
    if number % 11 == 9:
        data["edit_history_tweet_ids"] = [str(first_of(number, moment)), own]
    if number % 11 == 7:
        data["text"] = "RT @acme: All parcels that were sent on Monday a…"
        data["referenced_tweets"] = [{"type": "retweeted", "id": "1578522108187283456"}]
    if number % 11 == 6:
        data["note_tweet"] = {"text": f"{data['text']} {'and so on ' * 60}"}
    return data


def first_of(number: int, moment: float) -> int:
    """The id of the first version of the post of this number."""
    return native(number, moment - 0.5) if number % 11 == 9 else native(number, moment)


def telling(number: int, moment: float) -> dict[str, Any]:
    """A post as the stream tells it, with what was asked for beside it."""
    data = tweet(number, moment)
    referred = [
        {
            "id": one["id"],
            "text": "All parcels that were sent on Monday are late",
            "author_id": "7",
            "conversation_id": one["id"],
            "edit_history_tweet_ids": [one["id"]],
        }
        for one in data.get("referenced_tweets", ())
    ]
    writer = {
        "id": data["author_id"],
        "name": f"Ann &amp; {number % 5}",
        "username": f"ann_{number % 5}",
        "description": "Coffee first.",
        "location": "Leeds",
        "public_metrics": {"followers_count": 12},
        "verified": number % 5 == 1,
    }
    picture = {"media_key": "3_77", "type": "photo", "url": "https://pbs.example/a.jpg"}
    media = [picture] if "attachments" in data else []
    tag = "somebody-elses" if number % 11 == 4 else PREFIX + ("torn" if number % 2 else "late")
    return {
        "data": data,
        "includes": {"users": [writer], "tweets": referred, "media": media},
        "matching_rules": [{"id": str(70 + number % 2), "tag": tag}],
    }


class Dialogue(Dialect):
    """How X puts it."""

    needed = ("data", "text")

    def limited(self, seconds: int, now: float) -> Answer:
        """A moment since 1970, by its own clock."""
        problem = {"title": "Too Many Requests", "detail": "Too Many Requests", "type": "about:blank"}
        headers = {
            "x-rate-limit-limit": "450",
            "x-rate-limit-remaining": "0",
            "x-rate-limit-reset": str(int(now) + seconds),
            "Date": formatdate(int(now), usegmt=True),
        }
        return refusal(429, problem, headers)

    def too_old(self, answer: Answer) -> Answer:
        """The search says so; the stream and its rules know no past."""
        return too_old(time.time() - _WEEK) if isinstance(answer.items, list) else answer

    def suspended(self, answer: Answer) -> Answer:
        """An app whose account may not read."""
        del answer
        problem = {"title": "Forbidden", "detail": "Your account is suspended.", "type": "about:blank"}
        return refusal(403, problem)

    def extended(self, data: Any) -> Any:
        """On every level."""
        wider = super().extended(data)
        wider["data"] = super().extended(wider["data"])
        users = [super(Dialogue, self).extended(user) for user in wider["includes"]["users"]]
        wider["includes"] = super().extended({**wider["includes"], "users": users})
        return wider


def too_old(oldest: float) -> Answer:
    """The answer to an id from before that moment."""
    moment = datetime.fromtimestamp(oldest, UTC)
    message = (
        f"'since_id' must be a tweet id created after {moment:%Y-%m-%dT%H:%MZ}. Please use a 'since_id' that"
        f" is larger than {id_at(moment)}"
    )
    return invalid({"parameters": {"since_id": ["1"]}, "message": message})


def invalid(*problems: Mapping[str, Any]) -> Answer:
    """The answer to a request that X does not understand."""
    detail = "One or more parameters to your request was invalid."
    whole = {"errors": problems, "title": "Invalid Request", "detail": detail}
    return refusal(400, {**whole, "type": f"{_PROBLEMS}/invalid-request"})


class Platform:
    """X, for one test: ``rules`` are those of the stream, by id; others' may stand there."""

    def __init__(self) -> None:
        self.rules: dict[str, dict[str, str]] = {}
        self._ids = 100

    def answer(self, asked: Asked, timeline: Timeline) -> Answer:
        """As X answers, if asked with the token."""
        if asked.headers.get("authorization") != f"Bearer {TOKEN}":
            return refusal(401, {"title": "Unauthorized", "detail": "Unauthorized", "type": "about:blank"})
        if asked.path == "/2/tweets/search/recent":
            return self._search(asked, timeline)
        if asked.path == "/2/tweets/search/stream":
            return self._stream(asked, timeline)
        if asked.path == "/2/tweets/search/stream/rules":
            return self._changed(json.loads(asked.body)) if asked.body else self._listed()
        return refusal(404)

    def _search(self, asked: Asked, timeline: Timeline) -> Answer:
        query, most = asked.last("query"), int(asked.last("max_results") or 10)
        since, now = int(asked.last("since_id") or 0), time.time()
        if since < id_at(datetime.fromtimestamp(now - _WEEK, UTC)):
            return too_old(now - _WEEK)
        if not sound(query):
            return invalid({"parameters": {"query": [query]}, "message": "no viable alternative at ')'"})
        before = int(asked.last("next_token").removeprefix("b26v") or 2**63)
        tags = [f"{PREFIX}{tag}" for tag, one in RULES.items() if one == query]
        found = [
            item
            for item in list(timeline.items)
            if item.at <= now and since < _id(item) < before and item.data["matching_rules"][0]["tag"] in tags
        ]
        found.sort(key=_id, reverse=True)
        token = f"b26v{_id(found[most - 1])}" if len(found) > most else ""
        return Answer(items=found[:most], wrap=lambda texts: _page(texts, token), headers=_limits(now))

    def _stream(self, asked: Asked, timeline: Timeline) -> Answer:
        begin = time.time() - 60 * int(asked.last("backfill_minutes") or 0)

        def fits(item: Item) -> bool:
            tag = item.data["matching_rules"][0]["tag"]
            known = {rule["tag"] for rule in self.rules.values()}
            return item.at >= begin and (tag in known or not tag.startswith(PREFIX))

        flow, headers = timeline.flow(fits), _limits(time.time())
        return Answer(form="lines", items=flow, headers=headers, keep_alives=True)

    def _listed(self) -> Answer:
        body = {"data": list(self.rules.values()), "meta": {"result_count": len(self.rules)}}
        return Answer(wrap=lambda _: json.dumps(body).encode())

    def _changed(self, change: Mapping[str, Any]) -> Answer:
        for one in change.get("delete", {}).get("ids", ()):
            del self.rules[one]
        added, problems = [], []
        for rule in change.get("add", ()):
            if not sound(rule["value"]):
                problems.append(_problem(rule, "UnprocessableEntity", "invalid-rules"))
            elif rule["value"] in [known["value"] for known in self.rules.values()]:
                problems.append(_problem(rule, "DuplicateRule", "duplicate-rules"))
            else:
                self._ids += 1
                self.rules[str(self._ids)] = {**rule, "id": str(self._ids)}
                added.append(self.rules[str(self._ids)])
        body: dict[str, Any] = {"data": added, "meta": {"summary": {"created": len(added)}}}
        if problems:
            body["errors"] = problems
        status = 400 if problems and not added else 201
        return Answer(status=status, wrap=lambda _: json.dumps(body).encode())


def sound(query: str) -> bool:
    """Whether X understands the query, as far as this one goes into it."""
    return query.count("(") == query.count(")") and not query.endswith(":")


def _problem(rule: Mapping[str, str], title: str, kind: str) -> dict[str, Any]:
    details = ["no viable alternative at character ')' (at position 7)"] if "invalid" in kind else []
    return {"value": rule["value"], "details": details, "title": title, "type": f"{_PROBLEMS}/{kind}"}


def _id(item: Item) -> int:
    return int(item.data["data"]["id"])


def _limits(now: float) -> dict[str, str]:
    return {
        "x-rate-limit-limit": "450",
        "x-rate-limit-remaining": "449",
        "x-rate-limit-reset": str(int(now) + 900),
    }


def _page(texts: Sequence[bytes], token: str) -> bytes:
    """The posts of a page, with what stands beside them once for all."""
    tellings = [json.loads(text) for text in texts]
    meta: dict[str, Any] = {"result_count": len(tellings)}
    body: dict[str, Any] = {"meta": meta}
    if tellings:
        body["data"] = [one["data"] for one in tellings]
        body["includes"] = {
            name: _once(row for one in tellings for row in one["includes"][name])
            for name in ("users", "tweets", "media")
        }
        ids = [int(one["data"]["id"]) for one in tellings]
        meta |= {"newest_id": str(max(ids)), "oldest_id": str(min(ids))}
    if token:
        meta["next_token"] = token
    return json.dumps(body).encode()


def _once(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    kept: dict[Any, dict[str, Any]] = {}
    for row in rows:
        kept.setdefault(row.get("media_key") or row["id"], row)
    return list(kept.values())


_LONG_AGO = id_at(datetime(2023, 1, 1, tzinfo=UTC))
_STALE: Cursor = {
    "month": "2023-01",
    "read": 9,
    "walks": {tag: {"of": digest_of(query), "since": _LONG_AGO} for tag, query in RULES.items()},
}


class XFixture:
    """Two rules; some posts are answers, edits, reposts or long ones, and some come of others' rules."""

    kind = "x"
    exempt: Mapping[str, str] = {}
    secrets: tuple[str, ...] = (TOKEN,)
    stale: Cursor | None = _STALE

    def __init__(self, **table: Any) -> None:
        self._table = table

    def item(self, number: int, moment: float) -> Item:
        """By its number; one in eleven comes of another program's rule, and is no post of ours."""
        ours = number % 11 != 4
        post = f"x:{first_of(number, moment)}" if ours else ""
        return Item(id=post, data=telling(number, moment), at=moment)

    def table(self, server: PlatformServer, token: Path) -> Mapping[str, Any]:
        """The smallest pages, and a short patience."""
        fixed = {"rules": RULES, "bearer_token_file": str(token), "address": server.url, "batch": 10}
        return {**fixed, "posts_per_month": 0, "interval_seconds": 0.05, "timeout_seconds": 1, **self._table}

    def stage(
        self, folder: Path, certificate: Certificate | None = None
    ) -> AbstractContextManager[ServedStage]:
        """One server."""
        token = folder / "bearer_token"
        token.write_text(f"{TOKEN}\n")
        answer = Platform().answer
        return served_stage(
            self.item, answer, lambda server: self.table(server, token), Dialogue(), certificate
        )


FIXTURE = XFixture()
MODES = {"stream": XFixture(mode="stream", backfill_minutes=1)}
