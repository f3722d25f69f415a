"""Trying again while the other side cannot take any: with back-off, one log line a spell, without end."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

from pipeline.app.health import Health
from pipeline.core.errors import FatalError, RetryableError
from pipeline.core.metrics import RETRIES

T = TypeVar("T")

FIRST_WAIT = 0.5
LONGEST_WAIT = 15.0


class Patience:
    """Repeats what raises RetryableError; thread-safe. ``part`` names the other side in health and log."""

    def __init__(self, part: str, health: Health, log: logging.Logger) -> None:
        self._part = part
        self._health = health
        self._log = log
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._waiting = 0

    def insist(self, attempt: Callable[[], T]) -> T:
        """The result of the first attempt that does not raise RetryableError.

        Raises FatalError when :meth:`end` is called meanwhile, and whatever else the attempt raises.
        """
        wait = FIRST_WAIT
        waiting = False
        while True:
            try:
                result = attempt()
            except RetryableError as error:
                if self._ended.is_set():
                    raise FatalError(f"stopped while waiting: {error}") from error
                self._health.waits(self._part, str(error))
                self._health.meters.count(RETRIES, 1, self._health.role, self._part)
                if not waiting:
                    waiting = True
                    self._count(1, f"{error}; trying again until it can")
                if self._ended.wait(error.retry_after or wait):
                    raise FatalError(f"stopped while waiting: {error}") from error
                wait = min(wait * 2, LONGEST_WAIT)
                continue
            self._health.works(self._part)
            if waiting:
                self._count(-1, f"{self._part} takes work again")
            return result

    def _count(self, change: int, message: str) -> None:
        """One more thread waits, or one less; the first and the last are told."""
        with self._lock:
            self._waiting += change
            if change > 0 and self._waiting == 1:
                self._log.warning(message)
            elif change < 0 and not self._waiting:
                self._log.info(message)

    def end(self) -> None:
        """Lets nobody wait any longer."""
        self._ended.set()
