"""Posts of Bluesky through Jetstream, the network's public stream, which asks for no key.

Jetstream tells of all posts, so the settings should narrow them. It names authors by DID only. Its cursor
is a time, ``time_us``; a stream is taken up some seconds before it, and what comes twice is harmless.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated
from urllib.parse import urlencode, urlsplit

from msgspec import Meta, Struct

from connectors._hosts import Hosts
from connectors._jetstream import COLLECTION, Event, event_of, languages_of, post_of
from connectors._websocket import Frames
from pipeline.core.errors import GroundswellError, RejectedError
from pipeline.core.post import Post
from pipeline.core.protocols import Cursor, Read
from pipeline.core.rejection import Rejection, reject
from pipeline.core.settings import form
from pipeline.core.wording import Phrase, phrase_of, wording_of

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


def build(settings: SETTINGS) -> Bluesky:
    """The connector; ConfigError where a phrase holds no letter and no digit. Connects at the first read."""
    return Bluesky(settings, [phrase_of(words) for words in settings.words])


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
    ) -> None:
        self._settings = settings
        self._phrases = phrases
        self._now = now
        self._hosts = Hosts(settings.hosts)
        self._frames: Frames | None = None
        self._at: Cursor = {}
        self._start: Cursor = {}
        self._fresh = False

    def read(self, cursor: Cursor | None) -> Read:
        """The posts among the next events: within half a second, or three once connected."""
        at = cursor or self._first_start()
        first = _LINGER_SECONDS
        if self._frames is None or at != self._at:
            self._connect(at)
            first = _FIRST_SECONDS
        assert self._frames is not None
        try:
            frames = self._frames.take(self._settings.batch, first, _LINGER_SECONDS)
        except GroundswellError as error:
            raise self._failed(error) from None
        if not frames:
            return Read(posts=[], cursor=at, wait=_REST_SECONDS)
        return self._read(frames)

    def close(self) -> None:
        """Hangs up."""
        frames, self._frames = self._frames, None
        if frames is not None:
            frames.close()

    def _first_start(self) -> Cursor:
        """Kept, so that what is said while no host answers is not passed over."""
        if not self._start:
            since = timedelta(hours=self._settings.since_hours)
            self._start = {"time_us": _micros(self._now() - since)}
        return self._start

    def _connect(self, at: Cursor) -> None:
        self.close()
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

    def _query(self, at: Cursor) -> str:
        asked = [("wantedCollections", COLLECTION), ("maxMessageSizeBytes", str(LARGEST_EVENT // 2))]
        asked += [("wantedDids", did) for did in self._settings.authors]
        return urlencode([*asked, ("cursor", str(max(at["time_us"] - OVERLAP_SECONDS * _SECOND, 0)))])

    def _failed(self, error: GroundswellError) -> GroundswellError:
        self.close()
        return self._hosts.failed(error)

    def _read(self, frames: Sequence[bytes]) -> Read:
        now = self._now()
        posts: list[Post] = []
        rejected: list[Rejection] = []
        times: list[int] = []
        for raw in frames:
            try:
                event = event_of(raw)
                if event.time_us:
                    times.append(event.time_us)
                self._heed(event)
                post = post_of(event, now)
                if post is not None and self._wanted(event, post):
                    posts.append(post)
            except RejectedError as error:
                rejected.append(reject(raw, error, stage="collect", origin=self._hosts.name, now=now))
        self._hosts.works()
        behind = self._move(times, _micros(now))
        wait = 0.0 if behind or len(frames) == self._settings.batch else _REST_SECONDS
        return Read(posts=posts, rejected=rejected, cursor=self._at, wait=wait)

    def _move(self, times: Sequence[int], now: int) -> bool:
        """Sets the cursor behind the events of these times; whether they are far behind the present.

        It is the earliest of them, for one wrong time among many must skip nothing. Times that have not come
        yet say that the host's clock is wrong, and not how far it has told: the cursor then stays.
        """
        credible = [told for told in times if told <= now + OVERLAP_SECONDS * _SECOND]
        if self._fresh and times:
            self._fresh = False
            self._warn(times[0], now)
        if not credible:
            return False
        self._at = {"time_us": min(*credible, now)}
        return max(credible) < now - BEHIND_SECONDS * _SECOND

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
        """What became of an account that is followed by name."""
        account = event.account
        if self._settings.authors and isinstance(account, dict) and account.get("active") is False:
            status = str(account.get("status") or "not active")[:40]
            log.warning("the account %s is %s: nothing comes from it", event.did[:200], status)

    def _wanted(self, event: Event, post: Post) -> bool:
        """Deletions and edits always are, for what they change may have been wanted."""
        commit = event.commit
        if post.deleted or commit is None or commit.operation == "update":
            return True
        if self._settings.languages:
            told = {lang.partition("-")[0].lower() for lang in languages_of(commit.record)}
            if told and not told & set(self._settings.languages):
                return False
        if not self._phrases:
            return True
        texts = [wording_of(text) for text in (post.text, *post.hashtags)]
        return any(phrase.is_in(text) for text in texts for phrase in self._phrases)


def _micros(moment: datetime) -> int:
    return int(moment.timestamp() * _SECOND)
