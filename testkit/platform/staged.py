"""The stage of a platform that is a server: what its fixture answers, bent by the faults of the test."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

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
