"""A made-up Reddit and connectors for it, for tests of what is special to that connector."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pipeline.app.registry import build_connector
from pipeline.core.post import Post
from pipeline.core.protocols import Connector, Cursor
from testkit.connectors import reddit as fixture
from testkit.platform.answers import Asked, Item
from testkit.platform.server import PlatformServer


class World:
    """A site with its server, and connectors for it."""

    def __init__(
        self, server: PlatformServer, site: fixture.Site, secret: Path, stack: contextlib.ExitStack
    ) -> None:
        self.server = server
        self.site = site
        self.items: list[Item] = []
        self._secret = secret
        self._stack = stack

    def say(self, count: int, age: float = 0.0, make: Callable[..., Item] = fixture.item) -> None:
        """So many things more, the last one ``age`` seconds old."""
        at = time.time() - age - count / 1000
        for step in range(count):
            self.items.append(make(len(self.items), at + step / 1000))

    def connect(self, home: Path | None = None, **settings: Any) -> Connector:
        """A connector with these settings, closed in the end; with ``home`` it remembers."""
        table = fixture.table(self.server.url) | {"batch": 100, "poll_seconds": 0.05} | settings
        table = {"kind": "reddit", "client_secret_file": str(self._secret), **table}
        connector = build_connector("mine", table, home)
        self._stack.callback(connector.close)
        return connector

    @property
    def ids(self) -> set[str]:
        """Of all posts that there are."""
        return {item.id for item in self.items}

    def asked(self, sort: str) -> list[Asked]:
        """The requests for addresses that end so."""
        return [asked for asked in self.server.asked if asked.path.rstrip("/").endswith(sort)]


@contextlib.contextmanager
def world_in(folder: Path) -> Iterator[World]:
    """A world whose secret stands in ``folder``: two subreddits that are open, one that is not."""
    secret = folder / "secret"
    secret.write_text(fixture.SECRET, encoding="utf-8")
    kinds = {"parcels": "public", "acme": "public", "hidden": "private"}
    site = fixture.Site(lambda: list(made.items), kinds)
    with contextlib.ExitStack() as stack, PlatformServer(site, fixture.RedditDialect()) as server:
        made = World(server, site, secret, stack)
        yield made


def catch_up(connector: Connector, cursor: Cursor | None = None) -> tuple[list[Post], Cursor]:
    """All posts up to now, each listing asked at least once more."""
    posts: list[Post] = []
    time.sleep(0.06)
    while True:
        read = connector.read(cursor)
        assert not read.rejected
        posts += read.posts
        cursor = read.cursor
        if read.wait:
            return posts, cursor
