"""The filtered stream of X through tweepy, in a thread of its own: one attempt, one connection.

tweepy would reconnect by itself, at once after a clean end, and end with a line in the log after anything
unforeseen. Here every end is an error that the reader is told, and whoever reads decides when to try again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import requests
import tweepy

from connectors._listening import Heard
from connectors._loose import text_of
from connectors._session import Session
from connectors._x.api import IN_PLACE_OF_THE_TOKEN
from connectors._x.refusal import WHO, refusal_of, words_of
from connectors._x.tweets import ASKED, problems_of
from pipeline.core.errors import GroundswellError, RetryableError

log = logging.getLogger("groundswell.x")

MAX_LINES = 5000
MAX_BYTES = 16 * 1024 * 1024
# The stream comes in chunks of its own, which are handed on as they come.
_PIECE = 16 * 1024


class Stream:
    """``session`` is this stream's own; its ``timeout``, in seconds, tells a dead line from a quiet one.

    ``backfill`` asks for so many minutes of what was missed, where the access has that.
    """

    def __init__(self, session: Session, timeout: float, backfill: int) -> None:
        self._timeout = timeout
        self._heard = Heard(MAX_LINES, MAX_BYTES)
        self._line = _Line(session, self._heard)
        self._backfill = backfill or None
        self._thread = threading.Thread(target=self._run, name="groundswell-x-stream", daemon=True)

    def open(self) -> None:
        """Returns once X has let us in; raises its refusal."""
        self._thread.start()
        try:
            self._heard.wait_for_greeting(2 * self._timeout + 5, WHO)
        except GroundswellError:
            self.close()
            raise

    @property
    def greeted(self) -> datetime | None:
        """When it let us in, by X's clock."""
        return self._line.session.last.clock

    def take(self, at_most: int, first: float, linger: float) -> Sequence[bytes]:
        """The next tellings, see :meth:`Heard.take`."""
        return self._heard.take(at_most, first, linger)

    def close(self) -> None:
        """Hangs up; may be called twice."""
        self._heard.end(RetryableError(f"{WHO} is not listened to any longer"))
        self._line.hang_up()
        if self._thread.ident is not None:
            self._thread.join(self._timeout + 5)

    def _run(self) -> None:
        try:
            self._line.filter(backfill_minutes=self._backfill, **ASKED)
        finally:
            self._heard.end(RetryableError(f"{WHO} closed the stream"))


class _Line(tweepy.StreamingClient):  # type: ignore[misc]
    """What tweepy tells of a connection, turned into frames and the one reason of its end."""

    def __init__(self, session: Session, heard: Heard) -> None:
        super().__init__(
            IN_PLACE_OF_THE_TOKEN,
            return_type=requests.Response,
            max_retries=0,
            chunk_size=_PIECE,
        )
        self._heard = heard
        self.session: Session = session
        self._connected = False

    def hang_up(self) -> None:
        """Ends it from another thread."""
        self.disconnect()
        self.session.hang_up()

    def _end(self, error: GroundswellError) -> None:
        self._heard.end(error)
        self.disconnect()

    def on_connect(self) -> None:
        if self._connected:
            # tweepy's loop has come round after an end that it did not tell of.
            return self._end(RetryableError(f"{WHO} closed the stream"))
        self._connected = True
        self._heard.open()
        return None

    def on_data(self, raw_data: bytes) -> None:
        problems = problems_of(raw_data) if b'"errors"' in raw_data else None
        if problems is not None:
            self._end(_told_to_go(problems))
        elif not self._heard.put(raw_data):
            self.disconnect()

    def on_request_error(self, status_code: int) -> None:
        del status_code
        self._end(refusal_of(self.session.last, datetime.now(UTC), stream=True))

    def on_closed(self, response: requests.Response) -> None:
        del response
        self._end(RetryableError(f"{WHO} closed the stream"))

    def on_connection_error(self) -> None:
        self._end(RetryableError(f"the stream of {WHO} broke off, or was silent for too long"))

    def on_exception(self, exception: Exception) -> None:
        if isinstance(exception, GroundswellError):
            self._end(exception)
        else:
            name = type(exception).__name__
            self._end(RetryableError(f"the stream of {WHO} failed in an unforeseen way: {name}"))

    def on_disconnect(self) -> None:
        log.debug("the stream of %s has ended", WHO)

    def on_keep_alive(self) -> None:
        """The line lives; the session's time-out hears it too."""


def _told_to_go(problems: Sequence[dict[str, Any]]) -> GroundswellError:
    """X ends the stream with a last line that says why."""
    problem = problems[0]
    if "slow" in text_of(problem.get("disconnect_type")).lower():
        return RetryableError(f"{WHO} ends the stream, for it was not read fast enough{words_of(problem)}")
    return RetryableError(f"{WHO} ends the stream{words_of(problem)}")
