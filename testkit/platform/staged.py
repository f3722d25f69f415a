"""The stage of a platform that is a server: what its fixture answers, bent by the faults of the test.

Most fixtures are a :class:`ServedFixture`; a platform that is no server has a stage of its own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from pipeline.core.protocols import Cursor
from testkit.platform.answers import Answer, Asked, Item
from testkit.platform.certificate import Certificate
from testkit.platform.faults import Dialect, Fault
from testkit.platform.server import PlatformServer
from testkit.platform.timeline import Timeline


class ServedStage:
    """See :class:`testkit.connector_drive.Stage`."""

    def __init__(self, timeline: Timeline, server: PlatformServer, table: Mapping[str, Any]) -> None:
        self.timeline = timeline
        self.server = server
        self.table = table

    def spoil(self, fault: Fault) -> None:
        """The next answer."""
        self.server.spoil(fault)

    def interrupt(self) -> None:
        """Ends the streams."""
        self.server.drop()

    def tell(self, count: int) -> None:
        """More items."""
        self.timeline.tell(count)

    def met(self, fault: Fault) -> bool:
        """Whether an answer was bent by it."""
        return fault.name in self.server.spoilt


@contextlib.contextmanager
def served_stage(
    item: Callable[[int, float], Item],
    answer: Callable[[Asked, Timeline], Answer],
    table: Callable[[PlatformServer], Mapping[str, Any]],
    dialect: Dialect | None = None,
    certificate: Certificate | None = None,
) -> Iterator[ServedStage]:
    """A server that answers by ``answer``; ``table`` gives the connector's settings for its address."""
    timeline = Timeline(item)
    with PlatformServer(lambda asked: answer(asked, timeline), dialect, certificate) as server:
        yield ServedStage(timeline, server, table(server))


class ServedFixture:
    """A :class:`testkit.connector_drive.Fixture` of one server, but for what only its platform knows.

    Whoever extends it sets ``kind``, writes ``item``, ``answer`` and ``table``, and overrides the rest where
    the platform differs: ``dialect`` says how it puts its refusals.
    """

    kind = ""
    exempt: Mapping[str, str] = {}
    secrets: tuple[str, ...] = ()
    stale: Cursor | None = None
    dialect = Dialect()

    def item(self, number: int, moment: float) -> Item:
        """The item of this number, told at this moment, in seconds since 1970."""
        raise NotImplementedError

    def answer(self, asked: Asked, timeline: Timeline) -> Answer:
        """What the platform says to a request, with the items that it was told of so far."""
        raise NotImplementedError

    def table(self, server: PlatformServer, folder: Path) -> Mapping[str, Any]:
        """The connector's settings for the server, with small batches and short waits; files of secrets and
        the like go into ``folder``.
        """
        raise NotImplementedError

    def stage(self, folder: Path) -> AbstractContextManager[ServedStage]:
        """One server."""
        return served_stage(self.item, self.answer, lambda server: self.table(server, folder), self.dialect)
