"""What was met in one listing of Reddit, so that a thing that shows on many pages is sent on once."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from datetime import datetime

from msgspec import Struct

from connectors._reddit.looks import Known, known_of
from connectors._reddit.things import Thing, name_in, post_of, thing_of
from connectors._reddit.walk import Entry
from pipeline.core.errors import RejectedError
from pipeline.core.post import Post
from pipeline.core.rejection import Rejection, reject

# Five times what a listing shows.
_REMEMBERED = 5000


class _Mark(Struct, frozen=True):
    """In which state a thing was met, and whether it was sent on."""

    edited: float
    gone: bool
    taken: bool


class Page(Struct):
    """What one page brings: ``entries`` are all of its things, ``known`` those of ``posts`` that live."""

    entries: list[Entry] = []
    posts: list[Post] = []
    rejected: list[Rejection] = []
    known: list[Known] = []
    marks: dict[bytes | str, _Mark] = {}


class Met:
    """The things of one listing that were met. ``origin`` names it in rejections.

    ``wanted`` says which posts are sent on; deletions are, and so are edits of what was.
    """

    def __init__(self, origin: str, wanted: Callable[[Post], bool]) -> None:
        self._origin = origin
        self._wanted = wanted
        self._settled: dict[bytes | str, _Mark] = {}
        self._fresh: dict[bytes | str, _Mark] = {}

    @property
    def settled(self) -> Container[bytes | str]:
        """The names that walks took which came to their end: what is below them was taken too."""
        return self._settled

    def sift(self, children: Sequence[bytes], begin: float, now: datetime) -> Page:
        """What is new on a page, the oldest first, of what was made since ``begin``; nothing is noted yet."""
        page = Page()
        for raw in children:
            try:
                thing = thing_of(raw)
                if thing is not None:
                    page.entries.append(Entry(thing.name, thing.at))
                    self._take(page, thing, begin, now)
            except RejectedError as error:
                self._refuse(page, raw, error, now)
        page.posts.reverse()
        return page

    def note(self, page: Page) -> None:
        """The page is sure to be returned."""
        self._fresh.update(page.marks)

    def settle(self) -> None:
        """The walk has come to its end."""
        before = [pair for pair in self._settled.items() if pair[0] not in self._fresh]
        self._settled = dict([*before, *self._fresh.items()][-_REMEMBERED:])
        self._fresh = {}

    def forget(self) -> None:
        """Nothing is sure of what was met."""
        self._settled, self._fresh = {}, {}

    def _mark(self, page: Page, key: bytes | str) -> _Mark | None:
        return page.marks.get(key) or self._fresh.get(key) or self._settled.get(key)

    def _take(self, page: Page, thing: Thing, begin: float, now: datetime) -> None:
        before = self._mark(page, thing.name)
        if before is not None and (before.edited, before.gone) == (thing.edited, thing.gone):
            page.marks.setdefault(thing.name, before)
            return
        taken = False
        if not 0 < thing.at < begin:
            post = post_of(thing, now)
            taken = thing.gone or (before is not None and before.taken) or self._wanted(post)
            if taken:
                page.posts.append(post)
                if not thing.gone:
                    page.known.append(known_of(thing, now.timestamp()))
        page.marks[thing.name] = _Mark(thing.edited, thing.gone, taken)

    def _refuse(self, page: Page, raw: bytes, error: RejectedError, now: datetime) -> None:
        """Once, however often it shows; its numbers change all the time, so it is known by its name."""
        name = name_in(raw)
        if name and not any(entry.name == name for entry in page.entries[-1:]):
            page.entries.append(Entry(name, 0.0))
        key = f"refused {name}" if name else raw
        if self._mark(page, key) is None:
            page.rejected.append(
                reject(raw, error, stage="collect", origin=self._origin, now=now, identity=name.encode())
            )
        page.marks[key] = _Mark(0.0, False, False)
