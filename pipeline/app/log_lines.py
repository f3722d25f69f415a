"""One record as one line: readable, or JSON by the Elastic Common Schema. Nothing in it breaks the line,
drives a terminal or shows a secret, whoever wrote the texts."""

from __future__ import annotations

import json
import logging
import os
import socket
import traceback
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

from pipeline.core.concealment import Concealment

ECS_VERSION = "8.11.0"
"""Of the schema whose names the fields have; all are older than that."""

LONGEST_MESSAGE = 8_000
LONGEST_TRACE = 30_000
"""Characters; what is longer is cut and says so."""

_FRAMES = 12
_CAUSES = 4


class Lines(logging.Formatter):
    """What both forms have in common. ``name`` is the role or the command that runs in this process."""

    def __init__(self, name: str, concealment: Concealment) -> None:
        super().__init__()
        self._name = name
        self._concealment = concealment

    def said(self, record: logging.LogRecord) -> str:
        """The message without secrets, as long as a line may be; it may still hold breaks of lines."""
        try:
            message = record.getMessage()
        except Exception:
            # A mistake in a call must not cost the line: it may be the one that matters.
            message = f"{record.msg} {record.args!r}"
        return cut(self._concealment.apply(message), LONGEST_MESSAGE)

    def traced(self, error: BaseException | None) -> str:
        """The whole trace of an error, without secrets."""
        if error is None:
            return ""
        return cut(self._concealment.apply("".join(traceback.format_exception(error))), LONGEST_TRACE)

    def compact(self, error: BaseException) -> str:
        """An error, where it was raised and what it came from, in a few words."""
        return cut(self._concealment.apply(_in_words(error)), LONGEST_MESSAGE)


class Readable(Lines):
    """For people: the time, the level, who says it, what."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created).astimezone()
        line = f"{moment:%Y-%m-%dT%H:%M:%S%z} {record.levelname:<7} {record.name}: {self.said(record)}"
        if record.exc_info and record.exc_info[1] is not None:
            line += f" [{self.compact(record.exc_info[1])}]"
        return plain(line)


class Ecs(Lines):
    """For machines: one JSON object, in ASCII, whose names are those of the Elastic Common Schema."""

    def __init__(self, name: str, concealment: Concealment) -> None:
        super().__init__(name, concealment)
        host = socket.gethostname()
        self._same = {
            "ecs.version": ECS_VERSION,
            "service.name": "groundswell",
            "service.type": "groundswell",
            "service.node.name": f"{name}@{host}",
            "event.dataset": f"groundswell.{name}",
            "host.hostname": host,
        }

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        entry: dict[str, Any] = {
            "@timestamp": f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z",
            "log.level": record.levelname.lower(),
            "message": self.said(record),
            **self._same,
            "log.logger": record.name,
            "log.origin.file.name": PurePath(record.pathname).name,
            "log.origin.file.line": record.lineno,
            "process.pid": record.process or os.getpid(),
            "process.thread.name": record.threadName or "",
        }
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            entry["error.type"] = type(error).__name__
            entry["error.message"] = cut(self._concealment.apply(str(error)), LONGEST_MESSAGE)
            entry["error.stack_trace"] = self.traced(error)
        # Half a surrogate pair is no text, and readers of JSON refuse the whole line.
        return json.dumps({key: _whole(value) for key, value in entry.items()})


def plain(text: str) -> str:
    """The text with everything escaped that is not to be seen: breaks of lines, escapes of terminals, marks
    of direction."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def cut(text: str, length: int) -> str:
    """At most so many characters, and how many more there were."""
    if len(text) <= length:
        return text
    return f"{text[:length]}… ({len(text) - length:,} characters more)"


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def _whole(value: Any) -> Any:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _in_words(error: BaseException) -> str:
    """``ValueError: no number; at posts.py:10 parse < collect.py:94 run``, innermost first, and its cause."""
    told: list[str] = []
    one: BaseException | None = error
    while one is not None and len(told) < _CAUSES:
        frames = traceback.extract_tb(one.__traceback__)[-_FRAMES:]
        places = [f"{PurePath(at.filename).name}:{at.lineno} {at.name}" for at in reversed(frames)]
        words = f"{type(one).__name__}: {one}"
        told.append(f"{words}; at {' < '.join(places)}" if places else words)
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
    return "; caused by ".join(told)
