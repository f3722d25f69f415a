"""X on loopback, and connectors to it: for the tests of what is special to it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from connectors.x import SETTINGS, X, build
from pipeline.core.configuration import convert_table
from pipeline.core.errors import GroundswellError
from pipeline.core.post import Post
from pipeline.core.protocols import Cursor
from testkit.connectors import x as platform
from testkit.platform.answers import Answer, Asked
from testkit.platform.server import PlatformServer
from testkit.platform.timeline import Timeline

SEARCH, STREAM = "/2/tweets/search/recent", "/2/tweets/search/stream"
ONE = {"rules": {"late": platform.RULES["late"]}}


class Rehearsal:
    """``answer`` may speak in place of the platform. Connectors read one rule unless told otherwise."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.platform = platform.Platform()
        self.timeline = Timeline(platform.FIXTURE.item)
        self.answer: Callable[[Asked], Answer | None] = lambda _: None
        self.server = stack.enter_context(PlatformServer(self._answer, platform.Dialogue()))
        self._token = folder / "token"
        self._token.write_text(platform.TOKEN)
        self._stack = stack

    def _answer(self, asked: Asked) -> Answer:
        return self.answer(asked) or self.platform.answer(asked, self.timeline)

    def connector(self, **settings: Any) -> X:
        table = {**platform.FIXTURE.table(self.server, self._token), **ONE, **settings}
        connector = build(convert_table(SETTINGS, table, "connectors.x", environ={}))
        self._stack.callback(connector.close)
        return connector

    def asked(self, path: str) -> list[Asked]:
        return [asked for asked in self.server.asked if asked.path == path]


def read_all(connector: X, cursor: Cursor | None = None) -> tuple[list[Post], Cursor]:
    """Until it is read up to now."""
    found: list[Post] = []
    wait: float | None = 0.0
    while not wait:
        read = connector.read(cursor)
        found, cursor, wait = [*found, *read.posts], read.cursor, read.wait
    assert cursor is not None
    return found, cursor


def fails(connector: X, cursor: Cursor | None = None) -> GroundswellError:
    """What it raises within some reads."""
    for _ in range(20):
        try:
            cursor = connector.read(cursor).cursor
        except GroundswellError as error:
            return error
    raise AssertionError("raises nothing")
