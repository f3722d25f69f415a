"""One container of Groundswell as some file describes it, held against the code: its command, its
variables, the files that they name, and the pages that its health is read from.

Knows nothing of the forms of those files: compose and Kubernetes both become a :class:`Container`.
"""

from __future__ import annotations

import argparse
import contextlib
import io
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from msgspec import Struct

from pipeline.app.health import ROLES
from pipeline.cli.main import parser
from pipeline.core.configuration import read_settings
from pipeline.core.errors import ConfigError
from pipeline.core.settings import Settings

PAGES = ("/healthz", "/readyz")
"""The pages of a role that tell by their status how it is."""

PATHS = ("GROUNDSWELL_CONFIG", "GROUNDSWELL_HOME")
"""Variables whose values are paths, besides all that end with `_FILE`."""

ASKS_ELASTICSEARCH = ("index", "directory")
"""The roles that do; the others must not be given its password."""


@cache
def _parser() -> argparse.ArgumentParser:
    return parser()


class Container(Struct, frozen=True):
    """``files`` tells for each path that is mounted what stands there, ``writable`` which of them may be
    written, and ``urls`` which pages are asked."""

    name: str
    arguments: tuple[str, ...]
    environ: Mapping[str, str]
    files: Mapping[str, Path]
    writable: tuple[str, ...]
    urls: tuple[str, ...] = ()

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that its command runs; none where it is no `run`."""
        if not self.arguments or self.arguments[0] != "run":
            return ()
        args = _parser().parse_args(self.arguments)
        return tuple(args.role.split(",")) if args.role else ROLES

    def inside(self, path: str) -> Path:
        """What stands at a path of the container; a path that is nowhere where nothing is mounted."""
        wanted = PurePosixPath(path)
        for target in sorted(self.files, key=len, reverse=True):
            if wanted.is_relative_to(target):
                return self.files[target] / wanted.relative_to(target)
        return Path("/nowhere") / path.lstrip("/")


def problems(container: Container) -> list[str]:
    """Whole sentences, each with the container's name; none where all agrees with the code."""
    found = command_problems(container.arguments)
    if not found:
        found = [*_settings(container), *_home(container)]
    return [f"{container.name}: {problem}" for problem in found]


def command_problems(words: Sequence[str]) -> list[str]:
    """What the command line says against these words."""
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            args = _parser().parse_args(list(words))
    except SystemExit:
        return [f"the command line refuses {' '.join(words)!r}: {complaint.getvalue().splitlines()[-1:]}"]
    roles = (getattr(args, "role", None) or "").split(",")
    return [f"there is no role {role!r}" for role in roles if role and role not in ROLES]


def settings_problems(environ: Mapping[str, str], file: Path | None) -> tuple[Settings | None, list[str]]:
    """The settings that a file and variables give, or what is wrong with them."""
    try:
        return read_settings(file, environ), []
    except ConfigError as error:
        return None, str(error).splitlines()


def _settings(container: Container) -> list[str]:
    environ = {
        name: str(container.inside(value)) if name in PATHS or name.endswith("_FILE") else value
        for name, value in container.environ.items()
        if name.startswith("GROUNDSWELL_")
    }
    named = environ.get("GROUNDSWELL_CONFIG")
    settings, found = settings_problems(environ, Path(named) if named else None)
    if settings is None:
        return found
    asks = not container.roles or any(role in ASKS_ELASTICSEARCH for role in container.roles)
    return [*_addresses(settings, asks), *_pages(settings, container)]


def _addresses(settings: Settings, asks: bool) -> list[str]:
    """Nothing may be left to its default, which is loopback."""
    found = []
    if not settings.kafka.bootstrap:
        found.append("kafka.bootstrap is not set")
    server = settings.elasticsearch
    if not asks:
        return found + (["has the password of Elasticsearch and does not need it"] if server.password else [])
    if not server.url.startswith("https://"):
        found.append("elasticsearch.url is no https address")
    if not (server.username and server.password) and not server.api_key:
        found.append("signs in to Elasticsearch with nothing")
    if server.ca_file is None or not server.ca_file.is_file():
        found.append("elasticsearch.ca_file is not there")
    return found


def _pages(settings: Settings, container: Container) -> list[str]:
    """The pages that are asked are those that its roles serve, and every role is asked."""
    found = []
    if container.roles and settings.http.host != "0.0.0.0":
        found.append(f"the pages are served on {settings.http.host}, where nobody outside reaches them")
    ports = {settings.http.port + ROLES.index(role): role for role in container.roles}
    asked = set()
    for url in container.urls:
        parts = urlsplit(url)
        if parts.port not in ports:
            found.append(f"{url} is the page of no role in it")
        if parts.path not in PAGES:
            found.append(f"{url} is no page of health")
        asked.add(parts.port)
    return found + [
        f"nobody asks the role {role} whether it is well" for port, role in ports.items() if port not in asked
    ]


def _home(container: Container) -> list[str]:
    home = container.environ.get("GROUNDSWELL_HOME", "")
    return [] if home in container.writable else [f"the home {home!r} is no volume that may be written"]
