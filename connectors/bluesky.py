"""Posts of Bluesky through Jetstream, the network's public stream, which asks for no key.

Jetstream tells of all posts, so the settings should narrow them. What was taken in is remembered, for
deletions and the ends of accounts come of everybody. Jetstream names authors by DID only; the rest is looked
up. Its cursor is a time, ``time_us``; a stream is taken up some seconds before it, and what comes twice is
harmless.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode, urlsplit

from msgspec import Meta, Struct
from msgspec.structs import asdict, replace

from connectors._bluesky.jetstream import COLLECTION, Event, event_of, post_of
from connectors._bluesky.leaving import Leaving
from connectors._bluesky.profiles import Profile, Profiles
from connectors._bluesky.sieve import Sieve, Told
from connectors._bluesky.taken import Taken
from connectors._hosts import Hosts
from connectors._memory import at_home as at_home
from connectors._websocket import Frames
from connectors._words import phrases_of
from pipeline.core.errors import GroundswellError, RejectedError, RetryableError
from pipeline.core.post import Post
from pipeline.core.protocols import Cursor, Read
from pipeline.core.rejection import Rejection, reject
from pipeline.core.settings import form
from pipeline.core.wording import Phrase

log = logging.getLogger("groundswell.bluesky")

HOSTS = tuple(
    f"wss://jetstream{number}.us-{coast}.bsky.network" for coast in ("east", "west") for number in (1, 2)
)

# Hosts number their events by clocks of their own, and neighbours may come in either order.
OVERLAP_SECONDS = 5
# A stream that begins so much later than it was asked to has lost what was between.
GAP_SECONDS = 120
# Whoever is so near to now is not behind.
BEHIND_SECONDS = 10
# A record is at most a megabyte, and its event not much more.
LARGEST_EVENT = 2 * 1024 * 1024
# Where a whole network is told of, a host that says nothing for so long has died with its line open.
SILENT_SECONDS = 300.0
_FIRST_SECONDS = 3.0
_LINGER_SECONDS = 0.5
_REST_SECONDS = 0.1
_SECOND = 1_000_000

Did = Annotated[
    str, Meta(pattern=r"^did:[a-z]+:[A-Za-z0-9._:%-]{1,200}\Z", extra={"shape": "of the form did:plc:…"})
]
Language = Annotated[
    str, Meta(pattern=r"^[a-z]{2,3}\Z", extra={"shape": "a code of two or three lower-case letters"})
]
Host = Annotated[
    str,
    form("one host", r"^wss?://[^\s@/?#]+\Z", "of the form wss://host or ws://host:port"),
]


class SETTINGS(Struct, frozen=True, forbid_unknown_fields=True):
    """What ``[connectors.NAME]`` of kind ``bluesky`` may say."""

    words: Annotated[
        tuple[str, ...], Meta(max_length=1000, description="only posts with one of these words or phrases")
    ] = ()
    authors: Annotated[
        tuple[Did, ...], Meta(max_length=100, description="only posts of these accounts, by DID")
    ] = ()
    languages: Annotated[
        tuple[Language, ...],
        Meta(max_length=100, description="only posts in these languages, and those that name none"),
    ] = ()
    since_hours: Annotated[
        float, Meta(ge=0, le=72, description="hours that the very first start reaches back")
    ] = 0.0
    hosts: Annotated[
        tuple[Host, ...], Meta(min_length=1, max_length=20, description="Jetstream servers, tried in turn")
    ] = HOSTS
    batch: Annotated[int, Meta(ge=1, le=100_000, description="events a read, at most")] = 1000
    timeout_seconds: Annotated[
        float, Meta(gt=0, le=300, description="seconds to wait for a sign of life")
    ] = 15.0
    profiles: Annotated[
        str,
        form(
            "service that tells the authors' handles and names; empty asks nobody",
            r"^(?:https?://[^\s@?#]+)?\Z",
            "of the form https://host",
        ),
    ] = "https://public.api.bsky.app"
    profiles_seconds: Annotated[
        float, Meta(ge=0.1, le=10, description="seconds that a read waits for profiles, at most")
    ] = 1.0
    remember_days: Annotated[
        int, Meta(ge=1, le=36_500, description="days for which the ids of posts are remembered")
    ] = 730
    memory: Annotated[
        Path | None, Meta(description="folder of what is remembered; empty: one in the installation's home")
    ] = None

    def __post_init__(self) -> None:
        phrases_of(self.words)


def build(settings: SETTINGS) -> Bluesky:
    """The connector. Connects at the first read."""
    return Bluesky(settings, phrases_of(settings.words))


def parse(raw: bytes) -> Post | None:
    """One event of Jetstream as a post; None for events of other things. Raises RejectedError."""
    return post_of(event_of(raw), datetime.now(UTC))


class Bluesky:
    """Listens to one host at a time, from where the cursor says; one that fails gives way to the next."""

    def __init__(
        self,
        settings: SETTINGS,
        phrases: Sequence[Phrase],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._now = now
        self._clock = clock
        self._heard = 0.0
        self._sieve = Sieve(phrases, settings.languages, settings.authors)
        self._taken: Taken | None = None
        self._leaving = Leaving()
        self._profiles: Profiles | None = None
        self._hosts = Hosts(settings.hosts)
        self._frames: Frames | None = None
        self._at: Cursor = {}
        self._start: Cursor = {}
        self._fresh = False

    def read(self, cursor: Cursor | None) -> Read:
        """The posts among the next events: within half a second, or three once connected."""
        at = cursor or self._first_start()
        self._remember(resumed=cursor is not None)
        first, linger = _LINGER_SECONDS, _LINGER_SECONDS
        if self._frames is None or at != self._at:
            self._connect(at)
            first = _FIRST_SECONDS
        if self._leaving:
            first = linger = 0.0
        assert self._frames is not None
        try:
            frames = self._frames.take(self._settings.batch, first, linger)
        except GroundswellError as error:
            raise self._failed(error) from None
        self._listen(frames)
        if not frames and not self._leaving:
            return Read(posts=[], cursor=at, wait=_REST_SECONDS)
        return self._read(frames)

    def close(self) -> None:
        """Hangs up, and lets go of the memory."""
        self._hang_up()
        taken, self._taken = self._taken, None
        if taken is not None:
            taken.close()
        profiles, self._profiles = self._profiles, None
        if profiles is not None:
            profiles.close()

    def _listen(self, frames: Sequence[bytes]) -> None:
        """RetryableError from a host that has fallen silent, which only its websocket denies."""
        now = self._clock()
        if frames:
            self._heard = now
        elif now - self._heard > SILENT_SECONDS and not self._settings.authors:
            told = (
                f"Jetstream at {self._hosts.name} is connected and says nothing for {now - self._heard:.0f} s"
            )
            raise self._failed(RetryableError(told))

    def _hang_up(self) -> None:
        frames, self._frames = self._frames, None
        if frames is not None:
            frames.close()

    def _remember(self, *, resumed: bool) -> None:
        """Opens the memory, where there is a place for one."""
        folder = self._settings.memory
        if self._taken is None and folder is not None:
            self._taken = Taken(
                folder,
                self._settings.remember_days,
                narrowed=self._sieve.narrows,
                resumed=resumed,
                now=self._now().timestamp(),
            )

    def _first_start(self) -> Cursor:
        """Kept, so that what is said while no host answers is not passed over."""
        if not self._start:
            since = timedelta(hours=self._settings.since_hours)
            self._start = {"time_us": _micros(self._now() - since)}
        return self._start

    def _connect(self, at: Cursor) -> None:
        self._hang_up()
        self._leaving.clear()
        host = self._hosts.choose()
        frames = Frames(
            f"{host}/subscribe?{self._query(at)}",
            f"Jetstream at {urlsplit(host).netloc}",
            "name another host in `hosts`",
            timeout=self._settings.timeout_seconds,
            largest=LARGEST_EVENT,
        )
        try:
            frames.open()
        except GroundswellError as error:
            raise self._failed(error) from None
        self._frames, self._at, self._fresh = frames, at, True
        self._heard = self._clock()

    def _query(self, at: Cursor) -> str:
        asked = [("wantedCollections", COLLECTION), ("maxMessageSizeBytes", str(LARGEST_EVENT // 2))]
        asked += [("wantedDids", did) for did in self._settings.authors]
        return urlencode([*asked, ("cursor", str(max(at["time_us"] - OVERLAP_SECONDS * _SECOND, 0)))])

    def _failed(self, error: GroundswellError) -> GroundswellError:
        self._hang_up()
        return self._hosts.failed(error)

    def _read(self, frames: Sequence[bytes]) -> Read:
        now = self._now()
        told: list[Told] = []
        rejected: list[Rejection] = []
        times: list[int] = []
        for raw in frames:
            try:
                event = event_of(raw)
                if event.time_us:
                    times.append(event.time_us)
                self._heed(event)
                post = post_of(event, now)
                if post is not None:
                    told.append((event, post))
            except RejectedError as error:
                rejected.append(reject(raw, error, stage="collect", origin=self._hosts.name, now=now))
        posts = self._named(self._sifted(told, now))
        self._hosts.works()
        behind = self._move(times, _micros(now))
        more = behind or self._leaving or len(frames) == self._settings.batch
        return Read(posts=posts, rejected=rejected, cursor=self._at, wait=0.0 if more else _REST_SECONDS)

    def _sifted(self, told: Sequence[Told], now: datetime) -> list[Post]:
        """What goes on, with the deletions of accounts that have ended."""
        try:
            posts = self._sieve.sift(told, self._taken, now.timestamp())
            posts += self._leaving.deletions(self._taken, self._settings.batch, now)
            if self._taken is not None:
                # By the earlier clock: one that is years ahead would have all of it forgotten.
                self._taken.sweep(min(now.timestamp(), self._at["time_us"] / _SECOND))
        except GroundswellError:
            # These events were taken from the host, and must come again.
            self.close()
            raise
        return posts

    def _named(self, posts: Sequence[Post]) -> list[Post]:
        """With the authors' handles and names, as far as they can be had in time."""
        if not self._settings.profiles:
            return list(posts)
        if self._profiles is None:
            self._profiles = Profiles(self._settings.profiles, self._settings.profiles_seconds)
        found = self._profiles.of(filter(None, map(_did, posts)))
        return [_with(found.get(_did(post)), post) for post in posts]

    def _move(self, times: Sequence[int], now: int) -> bool:
        """Sets the cursor behind the events of these times; whether they are far behind the present.

        It is the earliest of them, for one wrong time among many must skip nothing. Times that have not come
        yet say that the host's clock is wrong, and not how far it has told: the cursor then stays.
        """
        credible = [told for told in times if told <= now + OVERLAP_SECONDS * _SECOND]
        if self._fresh and times:
            self._fresh = False
            self._warn(times[0], now)
        at = min(*credible, now) if credible else self._at["time_us"]
        self._at = {"time_us": at}
        if (since := self._leaving.since) is not None:
            # Each read has a cursor of its own, by which it is seen that the one before was kept.
            self._at = {"time_us": min(at, since), "told": self._leaving.told}
        return bool(credible) and max(credible) < now - BEHIND_SECONDS * _SECOND

    def _warn(self, first: int, now: int) -> None:
        """Of what is wrong with the first event of a connection."""
        gap = first - self._at["time_us"]
        if first > now + OVERLAP_SECONDS * _SECOND:
            log.warning(
                "the clock of %s is %.0f s ahead of ours: the cursor stays until that is mended",
                self._hosts.name,
                (first - now) / _SECOND,
            )
        elif gap > GAP_SECONDS * _SECOND and not self._settings.authors and self._at != self._start:
            log.warning(
                "%s no longer has the %.1f hours after the cursor: what was said then is lost",
                self._hosts.name,
                gap / 3600 / _SECOND,
            )

    def _heed(self, event: Event) -> None:
        """What became of an account."""
        account = event.account
        if self._profiles is not None and event.kind in ("account", "identity"):
            self._profiles.forget(event.did)
        self._leaving.heed(event, self._at["time_us"])
        if self._settings.authors and isinstance(account, dict) and account.get("active") is False:
            status = str(account.get("status") or "not active")[:40]
            log.warning("the account %s is %s: nothing comes from it", event.did[:200], status)


def _did(post: Post) -> str:
    """Its author; empty for a deletion."""
    return post.author.id.partition(":")[2]


def _with(profile: Profile | None, post: Post) -> Post:
    """The post with what its author is called."""
    if profile is None:
        return post
    return replace(post, author=replace(post.author, **asdict(profile)))


def _micros(moment: datetime) -> int:
    return int(moment.timestamp() * _SECOND)
