"""What is to be remembered of authors, reckoned in plain Python from whole documents of posts."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from statistics import fmean
from typing import Any

Document = Mapping[str, Any]


def expected_authors(posts: Iterable[Document]) -> dict[str, dict[str, Any]]:
    """The document of each author, without ``updated_at``, from the documents of all posts."""
    by_author: defaultdict[str, list[Document]] = defaultdict(list)
    for post in posts:
        if not post["deleted"]:
            by_author[post["author"]["id"]].append(post)
    return {author: _expected(author, theirs) for author, theirs in by_author.items()}


def same(found: Document, expected: Document) -> bool:
    """Whether a document of the index is as expected: floats nearly, all else exactly."""
    found = {name: value for name, value in found.items() if name != "updated_at"}
    close = math.isclose(found.get("sentiment", 9), expected.get("sentiment", 9), abs_tol=1e-8)
    return close and {**found, "sentiment": 0} == {**expected, "sentiment": 0}


def _expected(author: str, posts: list[Document]) -> dict[str, Any]:
    posts = sorted(posts, key=lambda post: post["id"])
    posts.sort(key=lambda post: (_moment(post, "created_at"), _moment(post, "collected_at")), reverse=True)
    newest = posts[0]
    days = sorted(day for post in posts if (day := post.get("created_at") or post.get("collected_at")))
    days.sort(key=_parsed)
    moods = [post["sentiment"]["compound"] for post in posts if "sentiment" in post]
    found = {
        "id": author,
        "source": newest["source"],
        "handle": newest["author"].get("handle"),
        "name": newest["author"].get("name"),
        "customer": next(({"id": post["customer"]["id"]} for post in posts if "customer" in post), None),
        "first_seen": _written(days[0]) if days else None,
        "last_seen": _written(days[-1]) if days else None,
        "posts": len(posts),
        "complaints": sum(post.get("complaint", {}).get("is_complaint", False) for post in posts),
        "sentiment": fmean(moods) if moods else None,
    }
    return {name: value for name, value in found.items() if value is not None}


def _parsed(text: str) -> datetime:
    """The moment, in whole milliseconds as the index keeps it."""
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _moment(post: Document, name: str) -> datetime:
    return _parsed(post[name]) if name in post else datetime.min.replace(tzinfo=UTC)


def _written(text: str) -> str:
    return _parsed(text).isoformat().replace("+00:00", "Z")
