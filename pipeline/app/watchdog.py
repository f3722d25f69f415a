"""Ends a worker that stands still, for its supervisor to start anew; nothing is lost by that.

A thread of its own looks on, so that it also sees an event loop that hangs. First the stall is told, in
the log and on the health page; what stays stalled is ended, at last without asking.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import PurePath

from msgspec import Struct

from pipeline.app.health import Health
from pipeline.core.errors import FatalError
from pipeline.core.stalls import Partition, Progress, Stalls

log = logging.getLogger("groundswell.watchdog")

STALL = "stall"
"""The part under which a stall stands among the reasons of /readyz."""

# The loop is asked to end; a process that has not ended after this long is ended as a crash would.
GRACE_SECONDS = 40.0
# A tick that comes so much too late says that the whole process was stopped, and not that it hangs.
_FROZEN_SECONDS = 5.0
_TICK_SECONDS = 0.5
# Of each thread, when a process ends for a stall.
_FRAMES = 10


class Limits(Struct, frozen=True):
    """Seconds without progress after which a stall is told, and after which the process ends. ``slow`` are
    topics whose batches take longer to confirm by their nature, with the seconds to be added for each."""

    tell: float
    end: float
    slow: Mapping[str, float] = {}


class Watchdog:
    """Fed by the event loop with how far each partition is, and what is known of its state."""

    def __init__(
        self,
        role: str,
        health: Health,
        limits: Limits,
        *,
        end: Callable[[BaseException], object],
        excused: Callable[[], bool] = lambda: False,
    ) -> None:
        """``end`` ends the worker. ``excused`` is whether the other side answers, but so slowly that to wait
        for it is no stall. Both are called from the watchdog's thread."""
        self._role = role
        self._health = health
        self._limits = limits
        self._end = end
        self._excused = excused
        self._stalls = Stalls()
        self._progress: Mapping[Partition, Progress] = {}
        self._states: Mapping[Partition, str] = {}
        self._fed = time.monotonic()
        self._told: set[Partition] = set()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="groundswell-watchdog", daemon=True)

    def start(self) -> None:
        """Begins to look on."""
        self._fed = time.monotonic()
        self._thread.start()

    def feed(self, progress: Mapping[Partition, Progress], states: Mapping[Partition, str]) -> None:
        """The event loop is alive, the partitions are so far, and this is their state in words. Called once
        a second."""
        self._states = states
        self._progress = progress
        self._fed = time.monotonic()

    def close(self) -> None:
        """The worker is ending in good order."""
        self._done.set()

    def _watch(self) -> None:
        before = time.monotonic()
        while not self._done.wait(_TICK_SECONDS):
            now = time.monotonic()
            if now - before > _FROZEN_SECONDS:
                self._stalls.forget()
                self._fed = now
            before = now
            reason = self._look(now)
            if reason is not None:
                self._finish(reason)
                return

    def _look(self, now: float) -> str | None:
        """Tells of what stands still; why the process has to end, if it has."""
        silent = now - self._fed
        if silent > self._limits.end:
            return f"its event loop has not answered for {silent:.0f} s"
        held = any(part != STALL for part in self._health.reasons) or self._excused()
        still = {
            partition: seconds - self._limits.slow.get(partition[0], 0.0)
            for partition, seconds in self._stalls.look(self._progress, held, now).items()
        }
        stalled = {partition: seconds for partition, seconds in still.items() if seconds > self._limits.tell}
        self._tell(stalled)
        gone = [partition for partition, seconds in still.items() if seconds > self._limits.end]
        if gone:
            return "; ".join(
                f"{_name(partition)} stands still: {self._states.get(partition, 'unknown')}"
                for partition in gone
            )
        return None

    def _tell(self, stalled: Mapping[Partition, float]) -> None:
        """One line in the log when a stall begins and when it is over; a reason on the health page."""
        for partition in sorted(set(stalled) - self._told):
            log.error(
                "%s: %s has not moved for %.0f s: %s; the process ends itself if that lasts %.0f s",
                self._role,
                _name(partition),
                stalled[partition],
                self._states.get(partition, "unknown"),
                self._limits.end,
            )
        for partition in sorted(self._told - set(stalled)):
            log.info("%s: %s moves again", self._role, _name(partition))
        if stalled:
            self._health.waits(STALL, f"no progress of {', '.join(map(_name, sorted(stalled)))}")
        elif self._told:
            self._health.works(STALL)
        self._told = set(stalled)

    def _finish(self, reason: str) -> None:
        log.critical(
            "%s: %s; ending the process, whose threads stand, most recent call first, at: %s",
            self._role,
            reason,
            _standing(),
        )
        self._end(FatalError(reason))
        # Not `_done`: the worker may end in good order, and then wait for ever for a thread that hangs.
        time.sleep(GRACE_SECONDS)
        log.critical("%s: does not end by itself; killing it, which loses nothing", self._role)
        os._exit(1)


def _standing() -> str:
    """Where each thread but ours stands, in a line."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    told = []
    for number, frame in sys._current_frames().items():
        if number == threading.get_ident():
            continue
        calls = reversed(traceback.extract_stack(frame)[-_FRAMES:])
        places = " < ".join(f"{PurePath(at.filename).name}:{at.lineno} {at.name}" for at in calls)
        told.append(f"{names.get(number, number)}: {places}")
    return "; ".join(told)


def _name(partition: Partition) -> str:
    return f"{partition[0]}-{partition[1]}"
