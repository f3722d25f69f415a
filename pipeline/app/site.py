"""What every role of one installation shares: settings, addresses, health, and the wish to end."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pipeline.app.configuration import brokers_of
from pipeline.app.health import Health
from pipeline.app.patience import Patience
from pipeline.core.settings import Settings

log = logging.getLogger("groundswell.site")


def now() -> datetime:
    """The clock of the shell; the core gets it as an argument."""
    return datetime.now(UTC)


class Site:
    """What every role needs: settings, addresses, health, and the wish to end."""

    def __init__(self, settings: Settings, home: Path, state: Health) -> None:
        self.settings = settings
        self.home = home
        self.health = state
        self.brokers = brokers_of(settings, home)
        self.ending = threading.Event()
        self._patience: list[Patience] = []

    def patience(self, part: str) -> Patience:
        """Patience with one far side, which ends when the process is told to."""
        patience = Patience(part, self.health, log)
        self._patience.append(patience)
        return patience

    @contextmanager
    def busy(self, part: str, reason: str) -> Iterator[None]:
        """Meanwhile the process is not ready, for this reason, and whoever waits for it does not stall."""
        self.health.waits(part, reason)
        try:
            yield
        finally:
            self.health.works(part)

    def end(self) -> None:
        """Nobody waits any longer."""
        self.ending.set()
        for patience in self._patience:
            patience.end()


def group(settings: Settings, role: str) -> str:
    """The consumer group of a role, whose committed offsets say how far it is."""
    return f"{settings.kafka.prefix}-{role}"
