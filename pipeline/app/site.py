"""What every role of one installation shares: settings, addresses, health, and the wish to end."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pipeline.app import logs
from pipeline.app.configuration import brokers_of
from pipeline.app.health import Health
from pipeline.app.patience import Patience
from pipeline.core.configuration import read_settings
from pipeline.core.retention import Expiry
from pipeline.core.settings import Settings

log = logging.getLogger("groundswell.site")


def now() -> datetime:
    """The clock of the shell; the core gets it as an argument."""
    return datetime.now(UTC)


class Site:
    """What every role needs: settings, addresses, health, and the wish to end."""

    def __init__(self, settings: Settings, home: Path, state: Health, file: Path | None = None) -> None:
        """``file`` is the settings file, where there is one."""
        self.settings = settings
        self.file = file
        self.home = home
        self.health = state
        self.brokers = brokers_of(settings, home)
        self.ending = threading.Event()
        # What to do when somebody says that what was given up may be tried again.
        self.when_told: list[Callable[[], None]] = []
        self._patience: list[Patience] = []

    def expiry(self) -> Expiry:
        """What is past its time now."""
        return self.settings.expiry(now())

    def patience(self, part: str) -> Patience:
        """Patience with one far side, which ends when the process is told to."""
        patience = Patience(part, self.health, log)
        self._patience.append(patience)
        return patience

    def reread(self) -> Settings:
        """The settings as they stand in the file now; ConfigError with all problems of it."""
        settings = read_settings(self.file, os.environ)
        logs.hide(settings)
        return settings

    def look_again(self) -> None:
        """Has everything tried again that was given up."""
        for act in self.when_told:
            act()

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
