"""Who an author of Bluesky is, asked of the network's public AppView: handle, name, bio, followers.

Asked in a thread of its own, so that whatever befalls it costs a reader no more than the seconds that he is
willing to wait. What is known is kept in memory alone, for a day.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from connectors._refusal import refused
from connectors._session import Session
from pipeline.core.errors import ConfigError, GroundswellError, RetryableError
from pipeline.core.portions import portions

log = logging.getLogger("groundswell.bluesky")

PATH = "/xrpc/app.bsky.actor.getProfiles"
TOGETHER = 25
"""Accounts a request, the most that the service takes."""

RATE = 5.0
"""Requests a second, half of what the public service lets one address ask."""

KEPT_SECONDS = 86400.0
MAX_KEPT = 20_000
FIRST_REST = 5.0
LONGEST_REST = 300.0

_WHO = "the service of profiles"
_REMEDY = "name another in `profiles`, or empty it"
_BURST_SECONDS = 1.0
_LARGEST = 2 * 1024 * 1024
_ASKABLE = re.compile(r"did:(?:plc|web):[A-Za-z0-9.%:-]{1,200}")
_HANDLE = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
_LONGEST_HANDLE, _LONGEST_NAME, _LONGEST_BIO = 253, 640, 2560
_MOST_FOLLOWERS = 2**53


class Profile(Struct, frozen=True):
    """What an account says of itself; empty where it says nothing."""

    handle: str = ""
    name: str = ""
    bio: str = ""
    followers: int | None = None


class _Answer(Struct, frozen=True):
    profiles: list[dict[str, Any]]


_decode = msgspec.json.Decoder(_Answer).decode


class Profiles:
    """Answers from memory what it can, and asks the service at ``address`` for the rest.

    ``seconds`` is how long a reader waits for it, at most. When it fails it is left alone, for longer and
    longer; the log says so once. ``clock`` is in seconds and only grows.
    """

    def __init__(self, address: str, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = address.rstrip("/") + PATH
        self._seconds = seconds
        self._clock = clock
        self._session = Session(f"the service of profiles at {address}", timeout=seconds, largest=_LARGEST)
        self._known: dict[str, tuple[float, Profile]] = {}
        self._wanted: deque[Sequence[str]] = deque()
        self._busy = False
        self._late = False
        self._asked_at = 0.0
        self._closed = False
        self._failures = 0
        self._rest_until = 0.0
        self._next_request = 0.0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def of(self, dids: Iterable[str]) -> Mapping[str, Profile]:
        """The profiles of these accounts, as far as they are known in time."""
        asked = dict.fromkeys(dids)
        with self._changed:
            now = self._clock()
            missing = [did for did in asked if _ASKABLE.fullmatch(did) and not self._is_fresh(did, now)]
            stuck = self._busy and now - self._asked_at >= self._seconds
            if missing and not stuck and not self._closed and now >= self._rest_until:
                self._ask(missing)
            now = self._clock()
            return {did: self._known[did][1] for did in asked if self._is_fresh(did, now)}

    def forget(self, did: str) -> None:
        """This account has changed: it is asked for anew when it is wanted."""
        with self._changed:
            self._known.pop(did, None)

    def close(self) -> None:
        """May be called twice. A request that is under way ends by itself."""
        with self._changed:
            self._closed = True
            self._wanted.clear()
            self._changed.notify_all()

    def _is_fresh(self, did: str, now: float) -> bool:
        until, _ = self._known.get(did, (now, None))
        return until > now

    def _ask(self, dids: Sequence[str]) -> None:
        """Waits until all are answered, the service has failed, or the time is over."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="groundswell-profiles", daemon=True)
            self._thread.start()
        began = self._clock()
        self._wanted.extend(portions(dids, TOGETHER))
        self._changed.notify_all()
        answered = self._changed.wait_for(lambda: not self._wanted and not self._busy, self._seconds)
        self._wanted.clear()
        if not answered and self._busy and self._asked_at <= began + self._seconds / 2:
            self._late = True
            self._fail(RetryableError(f"the service of profiles does not answer within {self._seconds:g} s"))

    def _work(self) -> None:
        with self._changed:
            while not self._closed:
                pause = self._next_request - self._clock()
                if not self._wanted or pause > 0:
                    self._changed.wait(pause if self._wanted else None)
                    continue
                self._next_request = max(self._next_request, self._clock() - _BURST_SECONDS) + 1 / RATE
                dids = self._wanted.popleft()
                self._busy, self._late, self._asked_at = True, False, self._clock()
                self._changed.release()
                try:
                    found = self._fetch(dids)
                finally:
                    self._changed.acquire()
                    self._busy = False
                self._take(dids, found)
                self._changed.notify_all()
        self._session.close()

    def _fetch(self, dids: Sequence[str]) -> Mapping[str, Profile] | GroundswellError:
        try:
            response = self._session.get(self._url, params={"actors": list(dids)})
            last = self._session.last
            if last.status != 200:
                return refused(last.status, last.headers, _WHO, _REMEDY, datetime.now(UTC))
            return profiles_in(response.content)
        except GroundswellError as error:
            return error
        except Exception as error:  # whatever it is, it must not end the look-ups
            return RetryableError(f"a look-up of profiles failed in an unforeseen way: {error!r}")

    def _take(self, dids: Sequence[str], found: Mapping[str, Profile] | GroundswellError) -> None:
        if self._closed:
            return
        if self._late:
            # It was told of already, and one that is always late is no better for answering.
            if not isinstance(found, GroundswellError):
                self._keep(dids, found)
            return
        if not isinstance(found, GroundswellError):
            if self._failures:
                log.info("the service of profiles answers again: posts come with handles")
            self._failures = 0
            self._keep(dids, found)
            return
        if self._session.last.status == 400:
            # One account that it does not take must not cost the others their names.
            if len(dids) > 1:
                half = len(dids) // 2
                self._wanted.extendleft((dids[half:], dids[:half]))
                return
            self._keep(dids, {})
        self._fail(found)

    def _keep(self, dids: Sequence[str], found: Mapping[str, Profile]) -> None:
        """Also of those whom the service does not know, for they would be asked for with every post."""
        until = self._clock() + KEPT_SECONDS
        for did in dids:
            self._known.pop(did, None)
            self._known[did] = (until, found.get(did, Profile()))
        while len(self._known) > MAX_KEPT:
            del self._known[next(iter(self._known))]

    def _fail(self, error: GroundswellError) -> None:
        self._wanted.clear()
        rest = min(FIRST_REST * 2 ** min(self._failures, 10), LONGEST_REST)
        if isinstance(error, RetryableError) and error.retry_after:
            rest = max(rest, error.retry_after)
        if isinstance(error, ConfigError):
            rest = LONGEST_REST
        self._failures += 1
        self._rest_until = self._clock() + rest
        if self._failures == 1:
            log.warning("posts come without handles for now, next try in %.0f s: %s", rest, error)


def profiles_in(body: bytes) -> Mapping[str, Profile]:
    """The profiles of an answer by the accounts' ids; entries that are none are left out.

    RetryableError where it is no answer of profiles.
    """
    try:
        entries = _decode(body).profiles
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise RetryableError("the service of profiles answers with something else") from None
    return {did: _profile(entry) for entry in entries if isinstance(did := entry.get("did"), str)}


def _profile(entry: Mapping[str, Any]) -> Profile:
    handle = _text(entry, "handle", _LONGEST_HANDLE + 1)
    if len(handle) > _LONGEST_HANDLE or not _HANDLE.fullmatch(handle) or handle == "handle.invalid":
        handle = ""
    followers = entry.get("followersCount")
    if type(followers) is not int or not 0 <= followers <= _MOST_FOLLOWERS:
        followers = None
    return Profile(
        handle=handle,
        name=_text(entry, "displayName", _LONGEST_NAME),
        bio=_text(entry, "description", _LONGEST_BIO),
        followers=followers,
    )


def _text(entry: Mapping[str, Any], name: str, longest: int) -> str:
    value = entry.get(name)
    return value[:longest] if isinstance(value, str) else ""
