"""How far the search has come for each rule, and which rule is asked next.

X tells the newest first, page by page. So the id that a search begins behind moves only when all pages down
to it were delivered; until then the token of the next page stands beside it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from connectors._loose import dict_of
from connectors._x.tweets import Page, id_at

# X forgets after a week. Where nothing was said for a day, the beginning is brought on, to some time ago, for
# the search knows of a post only a while after it was written.
_QUIET = timedelta(days=1)
_LATE = timedelta(hours=1)
# X's clocks are among each other so far apart, at most.
_SKEW = timedelta(minutes=1)
# A page may be empty though more follow. After so many without anything older, no end will come.
_MOST_IDLE = 20


class Walk(Struct, frozen=True, omit_defaults=True):
    """A rule's search: what follows ``since`` is read, of which all before ``token``'s page is delivered.

    ``newest`` is the newest id seen on the way, ``oldest`` the oldest, and ``idle`` how many pages in a row
    told nothing older; ``of`` is a digest of the query that the token belongs to.
    """

    of: str
    since: int
    newest: int = 0
    token: str = ""
    oldest: int = 0
    idle: int = 0

    def after(
        self,
        page: Page,
        clock: datetime | None,
        reread: timedelta = timedelta(),
        latest: datetime | None = None,
    ) -> Walk:
        """Once ``page`` is delivered; ``clock`` is the platform's, ``latest`` what no post is later than.

        What was written within ``reread`` of it is asked for again the next time. A platform whose pages
        lead in a circle has come to its end.
        """
        newest = max(self.newest, page.newest)
        further = page.oldest > 0 and (not self.oldest or page.oldest < self.oldest)
        idle = 0 if further else self.idle + 1
        if page.next_token not in ("", self.token) and idle < _MOST_IDLE:
            oldest = page.oldest if further else self.oldest
            return replace(self, newest=newest, token=page.next_token, oldest=oldest, idle=idle)
        if reread:
            newest = min(newest, id_at(clock - reread)) if clock else 0
        if latest:
            # One wrong id must not have all that is said for years passed over.
            newest = min(newest, id_at(latest + _SKEW))
        return self.sobered(latest).anew(newest).brought_on(clock)

    def sobered(self, latest: datetime | None) -> Walk:
        """The same, or from an hour before ``latest`` where its beginning has not come yet: then a clock was
        wrong when it was set."""
        if latest is None or self.since <= id_at(latest + _SKEW):
            return self
        return Walk(self.of, id_at(latest - _LATE))

    def anew(self, since: int = 0) -> Walk:
        """From the first page again, and from ``since`` where that is later."""
        return Walk(self.of, max(self.since, since))

    def brought_on(self, clock: datetime | None) -> Walk:
        """The same where something was said within a day."""
        if self.token or clock is None or self.since >= id_at(clock - _QUIET):
            return self
        return self.anew(id_at(clock - _LATE))


def walks_of(cursor: Mapping[str, object], rules: Mapping[str, str], since: int) -> dict[str, Walk]:
    """The walk of every rule, as the cursor has it; new ones begin behind ``since``."""
    kept = dict_of(cursor.get("walks"))
    walks = {}
    for tag, query in rules.items():
        of = digest_of(query)
        try:
            walk = msgspec.convert(kept.get(tag), Walk)
        except msgspec.ValidationError:
            walk = Walk(of, since)
        walks[tag] = walk if walk.of == of else Walk(of, walk.since)
    return walks


def digest_of(query: str) -> str:
    """A short digest, which tells whether a query is still the same."""
    return hashlib.sha256(query.encode()).hexdigest()[:12]


class Turns:
    """Which rule is due. A rule that was read up to now rests for ``interval`` seconds.

    ``clock`` is in seconds and only grows.
    """

    def __init__(self, interval: float, clock: Callable[[], float]) -> None:
        self._interval = interval
        self._clock = clock
        self._due: dict[str, float] = {}

    def next(self, tags: Iterable[str]) -> str | None:
        """The rule that has waited longest; None while all of them rest."""
        tag = min(tags, key=lambda one: self._due.get(one, 0.0), default=None)
        return tag if tag is not None and self._due.get(tag, 0.0) <= self._clock() else None

    def took(self, tag: str, *, up_to_now: bool) -> None:
        """A page was read, the last one or not."""
        self._due[tag] = self._clock() + (self._interval if up_to_now else 0.0)

    def rest(self, tags: Iterable[str]) -> float:
        """Seconds until one is due; 0 while one is."""
        return max(min(self._due.get(tag, 0.0) for tag in tags) - self._clock(), 0.0)
