"""An unruly stream made of well-behaved posts: edits, deletions, exact repeats and invalid lines, by a seed.

What the end must hold follows from what was mixed in, so a test can check a pipeline without trusting it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct


class Mix(Struct, frozen=True):
    """How many of each to mix in."""

    edits: int
    deletions: int
    repeats: int
    invalid: int


class Expected(Struct):
    """What the end must hold: id to text for live posts, ids of stubs, and the invalid lines."""

    texts: dict[str, str]
    stubs: set[str]
    invalid: list[bytes]


def unruly(posts: Sequence[dict[str, Any]], mix: Mix, seed: int) -> tuple[list[bytes], Expected]:
    """JSON Lines in the order of arrival, and what must come of them.

    ``posts`` are valid posts with distinct ids and no edits among them. Edits may arrive before the
    text they replace, deletions before their post; some deletions carry text and author, some only an id.
    """
    chance = random.Random(seed)
    places: list[tuple[float, bytes]] = [(chance.random(), _line(post)) for post in posts]
    expected = Expected({post["id"]: post["text"] for post in posts}, set(), [])
    newest: dict[str, datetime] = {}
    for number, post in enumerate(chance.choices(posts, k=mix.edits)):
        moment = datetime(2018, 1, 1, tzinfo=UTC) + timedelta(
            seconds=chance.randrange(10**7), milliseconds=number
        )
        edit = {**post, "text": f"{post['text']} [edit {number}]", "edited_at": moment.isoformat()}
        if chance.random() < 0.2:
            edit.pop("created_at", None)
        places.append((chance.random(), _line(edit)))
        if moment > newest.get(post["id"], datetime.min.replace(tzinfo=UTC)):
            newest[post["id"]] = moment
            expected.texts[post["id"]] = edit["text"]
    for post in chance.sample(list(posts), mix.deletions):
        notice: dict[str, Any] = {"id": post["id"], "deleted": True}
        if chance.random() < 0.5:
            notice = {**post, "deleted": True}
        places.append((chance.random(), _line(notice)))
        expected.texts.pop(post["id"])
        expected.stubs.add(post["id"])
    places += [(chance.random(), line) for _, line in chance.sample(places, mix.repeats)]
    expected.invalid = [spoiled(chance.choice(posts), number, chance) for number in range(mix.invalid)]
    places += [(chance.random(), line) for line in expected.invalid]
    return [line for _, line in sorted(places, key=lambda place: place[0])], expected


def _line(post: dict[str, Any]) -> bytes:
    return json.dumps(post, ensure_ascii=False).encode()


def spoiled(post: dict[str, Any], number: int, chance: random.Random) -> bytes:
    """One of the ways in which a line is no post; each line differs from all others."""
    mark = {"note": f"invalid {number}"}
    whole = _line({**post, **mark})
    without_author = {name: value for name, value in post.items() if name != "author"}
    ways = [
        whole[: len(whole) // 2 + number % 7] + f"#{number}".encode(),
        _line({**post, **mark, "id": number}),
        _line({**post, **mark, "id": ""}),
        _line({**without_author, **mark}),
        _line({**post, **mark, "text": number}),
        _line({**post, **mark, "created_at": f"on day {number}"}),
        _line({**post, **mark, "created_at": "2017-10-01T00:00:00"}),
        f"[{number}]".encode(),
        b"\xff\xfe" + whole,
    ]
    return chance.choice(ways)


def lines_of(posts: Iterable[bytes]) -> bytes:
    """The content of a file of these lines."""
    return b"\n".join(posts) + b"\n"
