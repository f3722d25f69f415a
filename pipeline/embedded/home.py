"""Where an installation keeps its state, and where downloads are cached.

``home()`` holds everything that belongs to one installation; ``cache()`` holds what any installation of
this user may share. Nothing here starts, stops or downloads anything.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

ROOT_HOME = Path("/var/lib/groundswell")


def home() -> Path:
    """The installation's directory: ``GROUNDSWELL_HOME``, else the user's data directory.

    For root it is ``/var/lib/groundswell``: the servers run as an unprivileged user, who cannot enter
    root's own home directory.
    """
    if chosen := os.environ.get("GROUNDSWELL_HOME"):
        return Path(chosen).expanduser().absolute()
    if os.geteuid() == 0:
        return ROOT_HOME
    return Path(platformdirs.user_data_dir("groundswell"))


def cache() -> Path:
    """The cache of downloads: ``GROUNDSWELL_CACHE``, else the user's (for root: the system's) cache."""
    if chosen := os.environ.get("GROUNDSWELL_CACHE"):
        return Path(chosen).expanduser().absolute()
    if os.geteuid() == 0:
        return Path(platformdirs.site_cache_dir("groundswell"))
    return Path(platformdirs.user_cache_dir("groundswell"))


@dataclass(frozen=True, slots=True)
class Layout:
    """The directories below one home; ``name`` is ``kafka`` or ``elasticsearch``. Makes nothing."""

    home: Path

    @property
    def run(self) -> Path:
        return self.home / "run"

    @property
    def lock(self) -> Path:
        return self.run / "lock"

    @property
    def line(self) -> Path:
        """Holds the line of Elasticsearch (8 or 9) that wrote the data."""
        return self.home / "data" / "elasticsearch.line"

    @property
    def distributions(self) -> Path:
        """Copies of the servers' programs, used only where the server's user cannot reach the cache."""
        return self.home / "servers"

    def state(self, name: str) -> Path:
        return self.run / f"{name}.json"

    def data(self, name: str) -> Path:
        return self.home / "data" / name

    def logs(self, name: str) -> Path:
        return self.home / "logs" / name

    def conf(self, name: str) -> Path:
        return self.home / "conf" / name

    def tmp(self, name: str) -> Path:
        return self.home / "tmp" / name

    @property
    def snapshots(self) -> Path:
        """Below it the embedded Elasticsearch may keep repositories of snapshots."""
        return self.home / "snapshots"

    def private(self, name: str) -> tuple[Path, ...]:
        """The directories that the server itself must own."""
        own = (self.data(name), self.logs(name), self.conf(name), self.tmp(name))
        return (*own, self.snapshots) if name == "elasticsearch" else own
