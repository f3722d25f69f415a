"""Comments and submissions of Reddit through praw, by the listings of the newest in the named subreddits.

Every read asks for one page. A page that holds nothing known is followed by the next one, so that a burst
between two polls comes whole; see ``_reddit/walk.py``. What was taken in is looked at again for some time,
for Reddit tells nobody of edits and deletions; see ``_reddit/looks.py``.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct, structs

from connectors._loose import text_of
from connectors._memory import at_home as at_home
from connectors._reddit.api import APPS, Api, Credentials
from connectors._reddit.looks import Change, Known, Shown, looked_at, next_look
from connectors._reddit.met import Met, Page
from connectors._reddit.taken import Taken
from connectors._reddit.things import data_in, name_in, post_of, thing_of
from connectors._reddit.walk import Gap, Walk, step
from connectors._session import check_address
from connectors._words import phrases_of, says_any
from pipeline.core.errors import ConfigError, RejectedError
from pipeline.core.post import Post
from pipeline.core.protocols import Cursor, Read
from pipeline.core.rejection import reject
from pipeline.core.settings import Secret, form
from pipeline.core.wording import Phrase

log = logging.getLogger("groundswell.reddit")

Listing = Literal["comments", "submissions"]
_Job = Literal["comments", "submissions", "looks"]
_PATHS: dict[Listing, str] = {"comments": "comments/", "submissions": "new"}

# How often to see whether anything is to be looked at again.
_LOOK_SECONDS = 5.0
# As many as Reddit tells of in one answer.
_LOOKS = 100
_SHORTEST_REST = 0.05
# Made by Reddit out of others; nobody's name.
_EVERYTHING = {"all", "popular"}
# Kinds of subreddits that nobody reads without an account that was let in.
_CLOSED = {"private", "employees_only", "gold_only", "quarantined"}

Subreddit = Annotated[
    str,
    Meta(
        pattern=r"^(?:[A-Za-z0-9][A-Za-z0-9_]{1,23}|reddit\.com)\Z",
        extra={"shape": "without r/, of letters, digits and _"},
    ),
]


def _address(description: str) -> Meta:
    return form(
        description, r"^https?://[^\s?#@]+[^\s?#@/]\Z", "of the form https://host without / at its end"
    )


class SETTINGS(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What ``[connectors.NAME]`` of kind ``reddit`` may say."""

    subreddits: Annotated[
        tuple[Subreddit, ...], Meta(min_length=1, max_length=100, description="the subreddits, without r/")
    ]
    client_id: Annotated[
        str, form("the id of the app that you made on Reddit", r"^[\w-]{5,60}\Z", "as Reddit shows it")
    ]
    client_secret: Annotated[Secret, Meta(description="file with the secret of that app")]
    user_agent: Annotated[
        str,
        form(
            "what we call ourselves to Reddit; its rules want the name of an account to turn to",
            r"^[ -~]{0,300}\Z",
            "of plain ASCII on one line",
        ),
    ] = ""
    comments: Annotated[bool, Meta(description="read comments")] = True
    submissions: Annotated[bool, Meta(description="read submissions")] = True
    words: Annotated[
        tuple[str, ...], Meta(max_length=1000, description="only posts with one of these words or phrases")
    ] = ()
    since_hours: Annotated[
        float, Meta(ge=0, le=8760, description="hours that the very first start reaches back")
    ] = 0.0
    poll_seconds: Annotated[
        float, Meta(ge=0.05, le=3600, description="seconds between two looks at a listing")
    ] = 10.0
    recheck_hours: Annotated[
        float,
        Meta(ge=0, le=720, description="hours for which edits and deletions are looked for; 0 is never"),
    ] = 24.0
    memory: Annotated[
        Path | None, Meta(description="folder of what is remembered; empty: one in the installation's home")
    ] = None
    batch: Annotated[int, Meta(ge=1, le=100, description="posts a request, at most")] = 100
    timeout_seconds: Annotated[float, Meta(gt=0, le=300, description="seconds to wait for an answer")] = 15.0
    login_url: Annotated[str, _address("where to sign in")] = "https://www.reddit.com"
    api_url: Annotated[str, _address("where to ask")] = "https://oauth.reddit.com"

    def __post_init__(self) -> None:
        if not self.comments and not self.submissions:
            raise ValueError("comments and submissions are both off: nothing would be read")
        for key in ("login_url", "api_url"):
            check_address(getattr(self, key), key)
        phrases_of(self.words)


def build(settings: SETTINGS) -> Reddit:
    """The connector; ConfigError where the secret can be none. Asks Reddit nothing before the first read."""
    if not re.fullmatch(r"[!-~]+", settings.client_secret.reveal()):
        raise ConfigError(
            "the secret in client_secret_file is empty, or has spaces or other signs that none has: copy it"
            " anew, whole"
        )
    if not settings.user_agent:
        log.warning(
            "Reddit wants to know whom to turn to: set `user_agent`, as docs/connectors/reddit.md says"
        )
    taken = Taken(settings.memory) if settings.memory and settings.recheck_hours > 0 else None
    return Reddit(settings, phrases_of(settings.words), taken)


def parse(raw: bytes) -> Post | None:
    """One child of a listing as a post; None for what is neither comment nor submission.

    Raises RejectedError.
    """
    thing = thing_of(raw)
    return None if thing is None else post_of(thing, datetime.now(UTC))


class _Place(Struct, frozen=True):
    """The cursor: nothing made before ``begin`` is wanted, ``looks`` counts those that found something."""

    begin: float
    comments: Walk = Walk()
    submissions: Walk = Walk()
    looks: int = 0

    def walk(self, listing: Listing) -> Walk:
        return self.comments if listing == "comments" else self.submissions


class Reddit:
    """Asks by turns for a page of each listing, and looks again at what was taken in."""

    def __init__(
        self,
        settings: SETTINGS,
        phrases: Sequence[Phrase],
        taken: Taken | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._phrases = phrases
        self._now = now
        self._clock = clock
        called = settings.user_agent or f"python:groundswell:{version('groundswell')} (no contact given)"
        credentials = Credentials(
            settings.client_id, settings.client_secret, called, settings.login_url, settings.api_url
        )
        self._api = Api(credentials, settings.timeout_seconds, clock, lambda: self._now())
        self._taken = taken
        self._names = "+".join(settings.subreddits)
        self._listings: list[Listing] = [one for one in _PATHS if getattr(settings, one)]
        jobs: list[_Job] = [*self._listings, "looks"]
        self._due = dict.fromkeys(jobs, -1.0)
        self._served = dict.fromkeys(jobs, -1.0)
        self._met = {one: Met(self._path(one), self._wanted) for one in self._listings}
        self._unsaid: list[Change] = []
        self._began: float | None = None
        self._cursor: Cursor | None = None
        self._checked = False

    def read(self, cursor: Cursor | None) -> Read:
        """One page of a listing, or one look at what was taken in, or nothing while neither is due."""
        if cursor != self._cursor:
            self._begin_anew()
        elif self._unsaid and self._taken:
            # The runtime comes back with our cursor, so what the look found is safely sent.
            self._taken.note(self._unsaid)
            self._unsaid = []
        if self._began is None:
            self._began = self._now().timestamp()
        if not self._checked:
            self._check_subreddits()
            self._checked = True
        place = self._place(cursor)
        job = self._job(place)
        if job is None:
            return self._answer(place, Page())
        self._served[job] = self._clock()
        return self._look(place) if job == "looks" else self._turn_page(place, job)

    def close(self) -> None:
        """Lets go of its sockets and its file."""
        self._api.close()
        if self._taken is not None:
            self._taken.close()

    def _begin_anew(self) -> None:
        """From a cursor that is not the last one that we gave: what came after it may be lost."""
        self._unsaid = []
        for met in self._met.values():
            met.forget()

    def _place(self, cursor: Cursor | None) -> _Place:
        if cursor is None:
            assert self._began is not None
            return _Place(self._began + self._api.skew - self._settings.since_hours * 3600)
        try:
            return msgspec.convert(cursor, _Place)
        except msgspec.ValidationError as error:
            raise ConfigError(
                f"the kept cursor is none of Reddit's ({error}): give the connector a new name"
            ) from None

    def _check_subreddits(self) -> None:
        """ConfigError that names those which nobody can read: in A+B Reddit leaves them out in silence."""
        asked = [name for name in self._settings.subreddits if name.lower() not in _EVERYTHING]
        if not asked:
            return
        remedy = f"see at {APPS} that the app is still there"
        found = self._api.listing("api/info/", {"sr_name": ",".join(asked)}, remedy)
        problems = _unreadable(asked, [bytes(raw) for raw in found.children])
        if problems:
            raise ConfigError(f"{', '.join(problems)}: mend `subreddits`, which must be open to everybody")

    def _job(self, place: _Place) -> _Job | None:
        """What to do now, the one whose turn is longest ago; None while nothing is due."""
        now = self._clock()
        ready: list[_Job] = [one for one in self._listings if place.walk(one).after or self._due[one] <= now]
        if self._taken is not None and self._due["looks"] <= now and self._api.spare:
            ready.append("looks")
        return min(ready, key=lambda job: self._served[job], default=None)

    def _answer(self, place: _Place, page: Page) -> Read:
        self._cursor = msgspec.to_builtins(place)
        rest = 0.0
        # The runtime must come back before what a look found can be noted.
        if self._job(place) is None and not self._unsaid:
            now = self._clock()
            rest = min((due - now for due in self._due.values() if due > now), default=_SHORTEST_REST)
        return Read(
            posts=page.posts,
            rejected=page.rejected,
            cursor=self._cursor,
            wait=max(rest, _SHORTEST_REST) if rest else 0.0,
            limits=self._api.limits,
        )

    def _path(self, listing: Listing) -> str:
        return f"r/{self._names}/{_PATHS[listing]}"

    def _turn_page(self, place: _Place, listing: Listing) -> Read:
        walk, met = place.walk(listing), self._met[listing]
        asked: dict[str, str | int] = {"limit": self._settings.batch}
        if walk.after:
            asked["after"] = walk.after[0]
        found = self._api.listing(self._path(listing), asked, self._remedy())
        page = met.sift([bytes(raw) for raw in found.children], place.begin, self._now())
        behind = step(walk, page.entries, found.after is not None, met.settled, place.begin)
        self._remember(page.known)
        # Nothing is noted before all of it is sure to be returned.
        met.note(page)
        if behind.over:
            met.settle()
        if behind.gap is not None:
            self._warn(listing, behind.gap)
        if not walk.after:
            # From its start: a walk that was taken up again says nothing of what came since.
            self._due[listing] = self._clock() + self._settings.poll_seconds
        return self._answer(structs.replace(place, **{listing: behind.walk}), page)

    def _remedy(self) -> str:
        names = ", ".join(f"r/{name}" for name in self._settings.subreddits)
        return f"see that {names} can be read without an account, and mend `subreddits`"

    def _remember(self, known: Sequence[Known]) -> None:
        """Before the read with them is returned, so that nothing is sent that is not looked at again."""
        if self._taken is None:
            return
        now, hours = self._now().timestamp(), self._settings.recheck_hours
        looks = [(one, next_look(one.at, now, hours)) for one in known]
        self._taken.remember([(one, due) for one, due in looks if due is not None])

    def _warn(self, listing: Listing, gap: Gap) -> None:
        log.warning(
            "%s shows only the newest %d, back to %s, and we had come up to %s: what was said in the %.0f"
            " minutes between is lost; lower `poll_seconds`, or split `subreddits` among connectors",
            self._path(listing),
            gap.taken,
            _in_words(gap.low_at),
            _in_words(gap.known_at),
            max(gap.low_at - gap.known_at, 0) / 60,
        )

    def _look(self, place: _Place) -> Read:
        """At what was taken in and is due; what it finds is noted once the runtime comes back."""
        assert self._taken is not None
        now = self._now()
        known = self._taken.due(now.timestamp(), _LOOKS)
        page = Page()
        self._due["looks"] = self._clock() + (_LOOK_SECONDS if len(known) < _LOOKS else 0.0)
        if not known:
            return self._answer(place, page)
        found = self._api.listing("api/info/", {"id": ",".join(one.name for one in known)}, self._remedy())
        shown = self._shown([bytes(raw) for raw in found.children], page, now)
        if not shown.things and len(known) > 1:
            log.warning(
                "Reddit shows none of %d posts that it showed before: they are asked for again", len(known)
            )
        page.posts, changes = looked_at(known, shown, now, self._settings.recheck_hours)
        if not page.posts and not page.rejected:
            self._taken.note(changes)
            return self._answer(place, page)
        self._unsaid = changes
        return self._answer(structs.replace(place, looks=place.looks + 1), page)

    def _shown(self, children: Sequence[bytes], page: Page, now: datetime) -> Shown:
        shown = Shown()
        for raw in children:
            try:
                thing = thing_of(raw)
                if thing is not None:
                    shown.things[thing.name] = thing, post_of(thing, now)
            except RejectedError as error:
                name = name_in(raw)
                shown.refused.add(name)
                page.rejected.append(
                    reject(raw, error, stage="collect", origin="api/info", now=now, identity=name.encode())
                )
        return shown

    def _wanted(self, post: Post) -> bool:
        return says_any(self._phrases, post.text)


def _unreadable(names: Sequence[str], children: Sequence[bytes]) -> list[str]:
    """What is wrong with each subreddit that not everybody can read, by what Reddit tells of them all."""
    kinds: dict[str, str] = {}
    for raw in children:
        data = data_in(raw)
        kind = "quarantined" if data.get("quarantine") is True else text_of(data.get("subreddit_type"))
        kinds[text_of(data.get("display_name")).lower()] = kind
    absent = [f"there is no r/{name}" for name in names if name.lower() not in kinds]
    closed = [f"r/{name} is {kinds[name.lower()]}" for name in names if kinds.get(name.lower()) in _CLOSED]
    return absent + closed


def _in_words(seconds: float) -> str:
    return (
        datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds") if seconds else "an unknown time"
    )
