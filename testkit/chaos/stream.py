"""What streams in a round, line by line from a seed, and the truth: what must be there at the end.

The truth follows from what was written alone. It knows nothing of versions, topics or indices: the newest
state of a post is that with the latest edit, and a deletion ends all.
"""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct

from testkit.unruly import spoiled

MARK = "state-"
"""Stands in every text, with the number of its line behind it: no two states have the same text."""
COMPLAINT = "broke"
"""Stands in all texts of a complaint; the rules of a round send it to a queue."""
RULES = f"""
mode = "first"
[queues.repairs]
priority = 2
first_response_minutes = 30
[[rules]]
id = "broke"
queue = "repairs"
when = 'text contains "{COMPLAINT}"'
"""

_PHRASES = (
    "the hub is fine since Tuesday, thank you",
    "my line broke again and nobody calls back",
    "anyone else with slow evenings?",
    "¡gracias, todo funciona! 🎉",
    "it broke for the third time, I want my money back",
    "seit gestern wieder alles gut",
)
_START = datetime(2026, 4, 1, tzinfo=UTC)
_EDITS = datetime(2026, 10, 1, tzinfo=UTC)


class Truth(Struct):
    """Posts by id: the text that each must have, None for the deleted; the complaints among them; and what
    must be rejected, as it was sent."""

    texts: dict[str, str | None]
    complaints: set[str]
    invalid: list[bytes]


class _Author:
    """Writes the lines of one stream."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.truth = Truth({}, set(), [])
        self.lines: list[bytes] = []
        self._posts: list[dict[str, Any]] = []
        self._edited: dict[str, datetime] = {}
        self._later: dict[int, bytes] = {}

    def write(self) -> None:
        """One more line, of the kind that chance says."""
        number = len(self.lines)
        if number in self._later:
            self.lines.append(self._later.pop(number))
            return
        kinds = (self._post, self._edit, self._deletion, self._repeat, self._early_edit, self._nonsense)
        few = len(self._posts) < 10
        [kind] = self.chance.choices(kinds, (68, 16, 5, 6, 4, 0.5))
        self.lines.append(self._post() if few else kind())

    def _new(self) -> dict[str, Any]:
        number = len(self.lines)
        phrase = self.chance.choice(_PHRASES)
        post: dict[str, Any] = {
            "id": f"x:{number}",
            "text": f"{phrase} {MARK}{number}",
            "author": {"id": f"x:author-{number % 997}", "handle": f"author_{number % 997}"},
        }
        if self.chance.random() > 0.05:
            # Over six months, which are six indices.
            post["created_at"] = (_START + timedelta(seconds=self.chance.randrange(180 * 86400))).isoformat()
        self._posts.append(post)
        self.truth.texts[post["id"]] = post["text"]
        if COMPLAINT in phrase:
            self.truth.complaints.add(post["id"])
        return post

    def _post(self) -> bytes:
        return _line(self._new())

    def _known(self) -> dict[str, Any]:
        """Mostly one of late, so that its states are near each other on their way, if not in one batch."""
        [near] = self.chance.choices((300, 3000, 0), (40, 40, 20))
        if not near:
            return self.chance.choice(self._posts)
        back = 1 + int(self.chance.expovariate(1 / near))
        return self._posts[-min(back, len(self._posts))]

    def _edit(self) -> bytes:
        return self._edit_of(self._known())

    def _edit_of(self, post: dict[str, Any]) -> bytes:
        """Nine of ten are newer than those before, the others come too late, or after a deletion."""
        number = len(self.lines)
        moment = _EDITS + timedelta(seconds=number)
        if self.chance.random() < 0.1:
            moment -= timedelta(days=30)
        edit = {
            **post,
            "text": post["text"].replace(MARK, f"(edited) {MARK}{number} "),
            "edited_at": moment.isoformat(),
        }
        if self.chance.random() < 0.2:
            edit.pop("created_at", None)
        if moment > self._edited.get(post["id"], _START) and self.truth.texts[post["id"]] is not None:
            self._edited[post["id"]] = moment
            self.truth.texts[post["id"]] = edit["text"]
        return _line(edit)

    def _deletion(self) -> bytes:
        post = self._known()
        self.truth.texts[post["id"]] = None
        bare = self.chance.random() < 0.5
        return _line({"id": post["id"], "deleted": True} if bare else {**post, "deleted": True})

    def _repeat(self) -> bytes:
        return self.lines[-min(1 + int(self.chance.expovariate(1 / 1000)), len(self.lines))]

    def _early_edit(self) -> bytes:
        """An edit that comes before its post."""
        post = self._new()
        place = len(self.lines) + self.chance.randrange(1, 400)
        while place in self._later:
            place += 1
        self._later[place] = _line(post)
        return self._edit_of(post)

    def _nonsense(self) -> bytes:
        line = spoiled(self.chance.choice(self._posts), len(self.lines), self.chance)
        self.truth.invalid.append(line)
        return line

    def end(self) -> None:
        """Writes what was put off."""
        self.lines += self._later.values()
        self._later.clear()


def stream(seed: int, count: int) -> tuple[list[bytes], Truth]:
    """Some ``count`` lines in the order in which they arrive, and what must come of them."""
    author = _Author(seed)
    while len(author.lines) < count:
        author.write()
    author.end()
    return author.lines, author.truth


def nonsense(seed: int, count: int) -> list[bytes]:
    """Records for the posts topic itself that are no posts."""
    chance = random.Random(seed)
    return [b'{"id": "x:%d", "text": %d}' % (chance.randrange(10**9), number) for number in range(count)]


def _line(post: dict[str, Any]) -> bytes:
    return json.dumps(post, ensure_ascii=False).encode()
