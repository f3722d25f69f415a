"""Several hosts that tell the same: one that fails gives way to the next, one that asks for rest gets it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from pipeline.core.errors import GroundswellError, RetryableError

# Before the next host is asked.
_NEXT_SECONDS = 1.0


class Hosts:
    """The addresses in the order in which they are tried. ``clock`` is in seconds and only grows."""

    def __init__(self, hosts: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._hosts = tuple(hosts)
        self._clock = clock
        self._at = 0
        self._failed = 0
        self._rests: dict[str, float] = {}

    @property
    def name(self) -> str:
        """The host in use, without its scheme."""
        return urlsplit(self._hosts[self._at]).netloc

    def choose(self) -> str:
        """The address to ask now. RetryableError while all of them want to be left alone."""
        now = self._clock()
        for step in range(len(self._hosts)):
            at = (self._at + step) % len(self._hosts)
            if self._rests.get(self._hosts[at], 0.0) <= now:
                self._at = at
                return self._hosts[at]
        rest = min(self._rests[host] for host in self._hosts) - now
        raise RetryableError("every host says that its limit is reached", rest)

    def works(self) -> None:
        """The host in use does its work."""
        self._failed = 0

    def failed(self, error: GroundswellError) -> GroundswellError:
        """Moves on to the next host. Gives the error to raise: the host's own once all failed in a row."""
        if isinstance(error, RetryableError) and error.retry_after:
            self._rests[self._hosts[self._at]] = self._clock() + error.retry_after
        self._at = (self._at + 1) % len(self._hosts)
        self._failed += 1
        if self._failed < len(self._hosts):
            return RetryableError(f"{error}; the next host is asked", _NEXT_SECONDS)
        self._failed = 0
        return error
