"""How the processes log: one line a problem on standard error, for people or for machines, without secrets,
and no more lines of one kind than somebody can read.

The state here is the process's, as that of `logging` is: where its lines go, and what they must not show.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Literal, TextIO

from pipeline.app.log_lines import Ecs, Lines, Readable, cut, plain
from pipeline.core.concealment import Concealment, secrets_in
from pipeline.core.process_settings import LINES_A_MINUTE
from pipeline.core.steadiness import Held, Steadiness, kind_of

Form = Literal["text", "json"]

_NOISY = ("aiokafka", "kafka")
_CHATTY = ("elastic_transport", "faust", "mode")
_TICK_SECONDS = 5.0
# Of a line that is held back; its kind is known from less.
_KEPT = 500

_concealment = Concealment()
log = logging.getLogger("groundswell")


class Out(logging.Handler):
    """Writes records as lines. Of one kind it writes no more than ``limit`` a minute, and then how many more
    there were."""

    def __init__(
        self,
        lines: Lines,
        stream: TextIO | None = None,
        limit: int = LINES_A_MINUTE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``stream`` None is standard error, whatever that is when a line is written."""
        super().__init__()
        self.lines = lines
        self._stream = stream
        self._clock = clock
        self._steadiness = Steadiness(limit)
        self._ended = threading.Event()
        self._ticker: threading.Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Under the handler's lock, as `logging` calls it."""
        try:
            now = self._clock()
            self._tell(self._steadiness.due(now))
            kind = kind_of(record.name, record.levelno, str(record.msg))
            if self._steadiness.admit(kind, now):
                self._write(self.lines.format(record))
            else:
                self._steadiness.hold(kind, cut(self.lines.said(record), _KEPT))
                self._tick()
        except Exception:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        """A log that cannot be written, as on a full disk, stops nobody; there is nowhere to say so."""

    def tell_held(self, *, all: bool = False) -> None:
        """Tells how much was held back, of what is due or of ``all``."""
        with self.lock or threading.RLock():
            self._tell(self._steadiness.due(self._clock(), all=all))

    def close(self) -> None:
        """Tells what was held back until now; `logging` calls this at the end of the process."""
        self._ended.set()
        try:
            self.tell_held(all=True)
        except Exception:
            self.handleError(logging.makeLogRecord({}))
        super().close()

    def _tell(self, held: list[Held]) -> None:
        for one in held:
            name, level, _ = one.kind
            said = f"{one.last} … and {one.count:,} more like it in {one.seconds:.0f} s"
            # Not as a template: what strangers wrote may hold signs of one.
            record = logging.LogRecord(name, level, __file__, 0, "%s", (said,), None)
            self._write(self.lines.format(record))

    def _write(self, line: str) -> None:
        stream = self._stream or sys.stderr
        stream.write(f"{line}\n")
        stream.flush()

    def _tick(self) -> None:
        """From the first line that is held back, so that its number is told also when nothing follows."""
        if self._ticker is None:
            self._ticker = threading.Thread(target=self._watch, name="groundswell-log", daemon=True)
            self._ticker.start()

    def _watch(self) -> None:
        while not self._ended.wait(_TICK_SECONDS):
            self.tell_held()


def set_up(level: str, form: Form = "text", *, name: str = "command", limit: int = LINES_A_MINUTE) -> None:
    """Logs of ours at ``level`` (debug, info, warning, error), of libraries only their errors. ``name`` is
    the role or the command; ``limit`` is lines of one kind a minute, 0 for all."""
    lines = (Ecs if form == "json" else Readable)(name, _concealment)
    root = logging.getLogger()
    for old in root.handlers:
        if isinstance(old, Out):
            old.close()
    root.handlers[:] = [Out(lines, limit=limit)]
    root.setLevel(logging.WARNING)
    log.setLevel(level.upper())
    # These call our daily bread (a broker that is away) an error, many times a second; whoever needed
    # the broker says so once, in a sentence.
    for noisy in _NOISY:
        logging.getLogger(noisy).setLevel(logging.WARNING if level == "debug" else logging.CRITICAL)
    for chatty in _CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING if level == "debug" else logging.ERROR)


def catch_all() -> None:
    """Has faults that nobody caught, in any thread, and warnings of libraries logged as one line each."""
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = lambda args: _uncaught(
        args.exc_type, args.exc_value, args.exc_traceback, args.thread.name if args.thread else "a thread"
    )
    sys.unraisablehook = lambda args: _uncaught(
        args.exc_type, args.exc_value, args.exc_traceback, args.err_msg or "cleaning up"
    )


def _uncaught(
    kind: type[BaseException],
    error: BaseException | None,
    trace: TracebackType | None,
    where: str = "the process",
) -> None:
    if issubclass(kind, KeyboardInterrupt | SystemExit):
        return
    found = error if error is not None else kind()
    log.critical("an unforeseen fault in %s", where, exc_info=(kind, found, trace))


def hide(*settings: Any) -> None:
    """From now on no line of this process shows a secret of these settings."""
    for one in settings:
        _concealment.add(secrets_in(one))


def concealed(text: str) -> str:
    """The text without secrets that are known."""
    return _concealment.apply(text)


def last_words(message: str) -> bool:
    """Logs why the process ends, where its log is for machines; False where that is a person's to read."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, Out) and isinstance(handler.lines, Ecs):
            log.critical("%s", message)
            return True
    return False


__all__ = ["Form", "Out", "catch_all", "concealed", "hide", "last_words", "plain", "set_up"]
