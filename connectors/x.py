"""Posts of X by rules: through its recent search, or live through its filtered stream.

Both need a bearer token, and X bills what is read: a budget bounds it. While the stream was down, the search
reads what was said.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from msgspec import Meta, Struct, to_builtins

from connectors._budget import Budget
from connectors._pages import limits_of, sort_out
from connectors._session import Bearer, check_address
from connectors._x.api import HOSTS, Api, session_for
from connectors._x.live import LATE_SECONDS, Live
from connectors._x.refusal import WHO, StalePage, TooOld
from connectors._x.stream import Stream
from connectors._x.tweets import id_at, is_of, post_of
from connectors._x.walk import Turns, Walk, walks_of
from pipeline.core.errors import ConfigError, RetryableError
from pipeline.core.post import Post
from pipeline.core.protocols import Cursor, Limit, Read
from pipeline.core.rejection import Rejection
from pipeline.core.settings import Secret, form

log = logging.getLogger("groundswell.x")

# A page of the search has ten posts at least and a hundred at most.
_LEAST_PAGE, _LARGEST_PAGE = 10, 100
_HISTORY = timedelta(days=7)
_MARGIN = timedelta(minutes=10)
# Posts come over the stream nearly in order.
_OVERLAP = timedelta(seconds=15)
_LINGER_SECONDS = 0.5
_REST_SECONDS = 0.1

Query = Annotated[str, Meta(min_length=1, max_length=4096)]


class SETTINGS(Struct, frozen=True, forbid_unknown_fields=True):
    """What ``[connectors.NAME]`` of kind ``x`` may say."""

    rules: Annotated[
        dict[str, Query], Meta(description="what is read: a query in X's own language under a name of yours")
    ]
    bearer_token: Annotated[Secret, Meta(description="the app's bearer token")] = Secret()
    mode: Annotated[
        Literal["search", "stream"], Meta(description="ask again and again, or listen to the filtered stream")
    ] = "search"
    posts_per_month: Annotated[
        int, Meta(ge=0, le=10**9, description="posts to read in a calendar month, at most; 0 sets no limit")
    ] = 10_000
    since_hours: Annotated[
        float, Meta(ge=0, le=167, description="hours that the very first start of a rule reaches back")
    ] = 1.0
    interval_seconds: Annotated[
        float, Meta(ge=0.05, le=86400, description="seconds between two searches for the same rule")
    ] = 60.0
    fill_gaps: Annotated[
        bool, Meta(description="with the stream: read by search what was said while it was down")
    ] = True
    backfill_minutes: Annotated[
        int, Meta(ge=0, le=5, description="minutes that the stream itself repeats, where the access has that")
    ] = 0
    tag_prefix: Annotated[
        str,
        form(
            "how the tags of our rules begin at X; rules with other tags are left alone",
            r"^[A-Za-z0-9_.:-]{1,60}\Z",
            "of at most 60 letters, digits, `_`, `.`, `:` and `-`",
        ),
    ] = "groundswell:"
    batch: Annotated[int, Meta(ge=10, le=10_000, description="posts a read, at most")] = 1000
    timeout_seconds: Annotated[
        float, Meta(gt=0, le=300, description="seconds to wait for a sign of life")
    ] = 25.0
    address: Annotated[
        str,
        form("where X is asked", r"^https?://[^\s@?#]+\Z", "of the form https://host"),
    ] = HOSTS[1]

    def __post_init__(self) -> None:
        if not self.bearer_token:
            raise ValueError(
                "there is no bearer token: create an app in the X developer portal, put its bearer token into"
                " a file, and name that in bearer_token_file"
            )
        if not self.rules:
            raise ValueError("rules is empty: name in it what is to be read")
        for tag, query in self.rules.items():
            if not tag or len(tag) > 100 or not tag.isprintable() or not query.strip():
                raise ValueError(
                    f"rules has {tag[:100]!r}: a rule needs a name of at most 100 characters and a query"
                )
        if 0 < self.posts_per_month < _LEAST_PAGE:
            raise ValueError(f"posts_per_month is below {_LEAST_PAGE}, the least that X gives at once")
        check_address(self.address, "address")


def build(settings: SETTINGS) -> X:
    """The connector; ConfigError for a token that is none. Asks nothing before the first read."""
    return X(settings, Bearer(settings.bearer_token, "the token in bearer_token_file"))


def parse(raw: bytes) -> Post | None:
    """One post with what X tells beside it; None for a line that tells of none. Raises RejectedError."""
    return post_of(raw, datetime.now(UTC))


class Found(Struct, frozen=True):
    """What a page told, where the rule stands behind it, and whether the page was the first, or the last."""

    tellings: Sequence[bytes]
    walk: Walk
    from_start: bool = False
    to_end: bool = False


class X:
    """A read is a page of the search for a rule, or what the stream has told since the last one."""

    def __init__(
        self,
        settings: SETTINGS,
        token: Bearer,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._now = now
        self._rules = {tag: query.strip() for tag, query in settings.rules.items()}
        self._api = Api(session_for(settings.address, token, settings.timeout_seconds), now)
        self._budget = Budget(settings.posts_per_month)
        self._turns = Turns(settings.interval_seconds, clock)
        self._live = Live(lambda: self._stream(token), clock)
        self._synchronised = False
        self._looked = False
        self._at: Cursor | None = None
        self._limits: Sequence[Limit] = ()
        # Kept, so that what is said while X does not answer is not passed over.
        self._start = id_at(now() - timedelta(hours=settings.since_hours))

    def read(self, cursor: Cursor | None) -> Read:
        """The next posts, see the class. Raises RetryableError also while the month's budget is used up."""
        self._budget.recall(cursor or {}, self._now())
        if self._budget.left(_LEAST_PAGE) < _LEAST_PAGE:
            self._live.close()
            raise self._budget.used_up(WHO, "posts_per_month", self._now())
        walks = walks_of(cursor or {}, self._rules, self._start)
        if self._settings.mode == "search":
            return self._search(walks)
        if cursor != self._at:
            # What the stream told since that cursor is wanted again, and only a search can tell it.
            self._live.close()
        read = self._listen(walks)
        self._at = read.cursor
        return read

    def close(self) -> None:
        """Hangs up."""
        self._live.close()
        self._api.close()

    def _stream(self, token: Bearer) -> Stream:
        silence = self._settings.timeout_seconds
        session = session_for(self._settings.address, token, silence)
        return Stream(session, silence, self._settings.backfill_minutes)

    def _search(self, walks: dict[str, Walk]) -> Read:
        tag = self._turns.next(walks)
        if tag is None:
            return self._told(([], []), walks, self._turns.rest(walks))
        found = self._page(tag, walks[tag])
        walks[tag] = found.walk
        self._turns.took(tag, up_to_now=found.to_end)
        return self._told(self._parsed(found.tellings), walks, self._turns.rest(walks))

    def _listen(self, walks: dict[str, Walk]) -> Read:
        if not self._synchronised:
            self._api.synchronise(self._rules, self._settings.tag_prefix)
            self._synchronised = True
        self._live.open(walks if self._settings.fill_gaps else ())
        tag = self._live.to_look_for()
        # In turns, so that a long gap does not keep the stream waiting until X hangs up.
        self._looked = tag is not None and not self._looked
        if tag is not None and self._looked:
            return self._told(self._parsed(self._missed(tag, walks)), walks, 0.0)
        lines = self._live.take(self._settings.batch, _LINGER_SECONDS if tag is None else 0.0)
        self._budget.spend(len(lines))
        told = self._parsed([line for line in lines if is_of(line, self._settings.tag_prefix)])
        if self._live.caught_up:
            self._bring_on(walks, told[0])
        return self._told(told, walks, 0.0 if lines or tag is not None else _REST_SECONDS)

    def _missed(self, tag: str, walks: dict[str, Walk]) -> Sequence[bytes]:
        """A page of what the rule missed before the stream began."""
        try:
            found = self._page(tag, walks[tag], reread=timedelta(seconds=LATE_SECONDS))
        except ConfigError as error:
            raise ConfigError(f"{error}; or set `fill_gaps = false` to do without the search") from None
        walks[tag] = found.walk
        self._live.looked(tag, from_start=found.from_start, to_end=found.to_end)
        return found.tellings

    def _bring_on(self, walks: dict[str, Walk], posts: Sequence[Post]) -> None:
        """The stream has told of all up to here, and the search need not look behind it any more."""
        clock = self._live.now()
        # Theirs or ours may be wrong: the earlier one repeats posts, the later one would lose some.
        clock = min(clock, self._now()) if clock else None
        told = [moment for post in posts if (moment := post.edited_at or post.created_at)]
        # One wrong time must not move it beyond what has come.
        latest = min(max(told), clock or self._now()) if told else None
        for tag, walk in walks.items():
            since = id_at(latest - _OVERLAP) if latest else 0
            walks[tag] = walk.anew(since).brought_on(clock)

    def _page(self, tag: str, walk: Walk, reread: timedelta = timedelta()) -> Found:
        """One page of a rule's search, oldest first."""
        most = self._budget.left(min(self._settings.batch, _LARGEST_PAGE))
        try:
            page = self._api.search(tag, self._rules[tag], walk.since, walk.token, most)
        except StalePage:
            log.info("X takes the token of the next page for rule `%s` no more: read from its start", tag)
            return Found((), walk.anew())
        except TooOld as error:
            return Found((), self._lost(tag, walk, error.oldest))
        now, clock = self._now(), self._api.last.clock
        self._limits = limits_of(self._api.last.headers, now)
        self._budget.spend(len(page.tellings))
        after = walk.after(page, min(clock, now) if clock else None, reread, max(clock or now, now))
        if page.next_token and not after.token:
            log.warning("the pages that X has for rule `%s` lead in a circle: what was behind is lost", tag)
        return Found(page.tellings[::-1], after, from_start=not walk.token, to_end=not after.token)

    def _lost(self, tag: str, walk: Walk, oldest: int) -> Walk:
        """From where X still has something."""
        now = self._now()
        sober = walk.sobered(max(self._api.last.clock or now, now))
        if sober is not walk:
            log.warning("the cursor of rule `%s` was ahead of all clocks: read from an hour ago", tag)
            return sober
        later = walk.anew(oldest or id_at((self._api.last.clock or self._now()) - _HISTORY + _MARGIN))
        if later.since <= walk.since:
            raise RetryableError(f"X calls the id {walk.since} too old, and names no later one to begin with")
        log.warning("X no longer has all that followed the cursor of rule `%s`: what is older is lost", tag)
        return later

    def _parsed(self, tellings: Sequence[bytes]) -> tuple[list[Post], list[Rejection]]:
        now = self._now()
        return sort_out(tellings, lambda raw: post_of(raw, now), WHO, now)

    def _told(self, told: tuple[list[Post], list[Rejection]], walks: Mapping[str, Walk], wait: float) -> Read:
        return Read(
            posts=told[0],
            rejected=told[1],
            cursor={**self._budget.marks(), "walks": {tag: to_builtins(walk) for tag, walk in walks.items()}},
            wait=wait,
            limits=[*self._budget.limit(self._now()), *self._limits],
        )
