"""What a platform tells while nobody takes it: frames of a stream, bounded, with how the stream ended.

One thread puts in, another takes out. When nobody takes, no more is taken in, and the platform feels it by
its own full buffers. Knows no wire and nothing of what the frames say.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from pipeline.core.errors import GroundswellError, RetryableError


class Heard:
    """At most so many frames and so many bytes. ``on_room`` is told when some were taken out."""

    def __init__(self, most: int, most_bytes: int, on_room: Callable[[], object] = lambda: None) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._on_room = on_room
        self._frames: deque[bytes] = deque()
        self._bytes = 0
        self._error: GroundswellError | None = None
        self._opened = False
        self._changed = threading.Condition()

    def open(self) -> None:
        """The platform has greeted."""
        with self._changed:
            self._opened = True
            self._changed.notify_all()

    def end(self, error: GroundswellError) -> None:
        """Nothing more comes, for this reason; the first reason counts."""
        with self._changed:
            self._error = self._error or error
            self._changed.notify_all()

    def wait_for_greeting(self, seconds: float, who: str) -> None:
        """Returns once it is open. Raises why it ended before, or RetryableError after so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._opened or self._error, seconds)
            if not self._opened:
                raise self._error or RetryableError(f"{who} does not answer")

    def offer(self, frame: bytes, when_full: Callable[[], object] = lambda: None) -> bool:
        """Whether there was room; ``when_full`` is called where there was none, before any can come."""
        with self._changed:
            if not self._has_room(frame):
                when_full()
                return False
            self._keep(frame)
            return True

    def put(self, frame: bytes) -> bool:
        """Waits for room; False where the end came first."""
        with self._changed:
            self._changed.wait_for(lambda: self._has_room(frame) or self._error)
            if self._error is not None:
                return False
            self._keep(frame)
            return True

    def take(self, at_most: int, first: float, linger: float) -> list[bytes]:
        """The next frames: waits ``first`` seconds for one, then ``linger`` at most for ``at_most``.

        Empty where none came. Raises what ended the stream once all frames before it are taken.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._frames or self._error, first)
            if self._frames:
                self._changed.wait_for(lambda: len(self._frames) >= at_most or self._error, linger)
            taken = [self._frames.popleft() for _ in range(min(at_most, len(self._frames)))]
            self._bytes -= sum(map(len, taken))
            error = self._error
            self._changed.notify_all()
        if taken:
            self._on_room()
        elif error is not None:
            raise error
        return taken

    def _has_room(self, frame: bytes) -> bool:
        # One frame alone always fits, or it would wait for ever.
        fits = self._bytes + len(frame) <= self._most_bytes or not self._frames
        return len(self._frames) < self._most and fits

    def _keep(self, frame: bytes) -> None:
        self._frames.append(frame)
        self._bytes += len(frame)
        self._changed.notify_all()
