"""How the processes log: one line a problem on standard error, for people or for machines."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal

_NOISY = ("aiokafka", "kafka")
_CHATTY = ("elastic_transport", "faust", "mode")
_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class _Json(logging.Formatter):
    """One JSON object a line, its keys those of the Elastic Common Schema."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "@timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "log.level": record.levelname.lower(),
            "log.logger": record.name,
            "message": record.getMessage(),
            "process.pid": record.process,
        }
        if record.exc_info:
            entry["error.stack_trace"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def set_up(level: str, form: Literal["text", "json"] = "text") -> None:
    """Logs of ours at ``level`` (debug, info, warning, error), of libraries only their errors."""
    handler = logging.StreamHandler(sys.stderr)
    text = logging.Formatter(_FORMAT, "%Y-%m-%dT%H:%M:%S%z")
    handler.setFormatter(_Json() if form == "json" else text)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("groundswell").setLevel(level.upper())
    # These call our daily bread (a broker that is away) an error, many times a second; whoever needed
    # the broker says so once, in a sentence.
    for noisy in _NOISY:
        logging.getLogger(noisy).setLevel(logging.WARNING if level == "debug" else logging.CRITICAL)
    for chatty in _CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING if level == "debug" else logging.ERROR)
