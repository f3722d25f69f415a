"""How the processes log: one line a problem on standard error, for people."""

from __future__ import annotations

import logging
import sys

_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


def set_up(level: str) -> None:
    """Logs of ours at ``level`` (debug, info, warning, error), of libraries from warnings on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(_FORMAT, "%Y-%m-%dT%H:%M:%S"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("groundswell").setLevel(level.upper())
    # These say at warning what is our daily bread (a broker that is away), many times a second.
    for noisy in ("aiokafka", "kafka", "elastic_transport", "faust", "mode"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
