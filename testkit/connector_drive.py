"""A connector driven as the pump drives it: read, take the posts as confirmed, only then keep the cursor.
Rest as a RetryableError says; after any other error build it anew from the kept cursor.

What is to be known of its platform comes from its fixture, ``testkit/connectors/NAME.py``.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import msgspec

from pipeline.app.registry import build_connector
from pipeline.core.errors import GroundswellError, RejectedError, RetryableError
from pipeline.core.post import Post
from pipeline.core.protocols import Connector, Cursor, Read
from pipeline.core.rejection import Rejection
from testkit.platform.answers import Item
from testkit.platform.faults import Fault
from testkit.platform.server import PlatformServer
from testkit.platform.timeline import Timeline

LIMIT_SECONDS = 120.0
READ_SECONDS = 15.0
_LONGEST_REST = 10.0
_BACK_OFF = 0.05


class Stage(Protocol):
    """A platform set up for one test. ``table`` is that of the connector's settings."""

    timeline: Timeline
    table: Mapping[str, Any]

    def spoil(self, fault: Fault) -> None:
        """From now on, once."""

    def interrupt(self) -> None:
        """Makes the connector ask again, where it would go on listening."""

    def tell(self, count: int) -> None:
        """The platform is told so many items more."""

    def met(self, fault: Fault) -> bool:
        """Whether the connector ran into it."""

    @property
    def server(self) -> PlatformServer | None:
        """The server, where the platform is one."""


class Fixture(Protocol):
    """What is to be known of a platform to hold its connector to the contract.

    ``exempt`` names the faults that cannot befall it, each with the reason. ``secrets`` are the texts that
    must show nowhere. ``stale`` is a cursor from long ago, where a platform forgets.
    """

    kind: str
    exempt: Mapping[str, str]
    secrets: tuple[str, ...]
    stale: Cursor | None

    def item(self, number: int, moment: float) -> Item:
        """The item of this number, told at this moment."""

    def stage(self, folder: Path) -> contextlib.AbstractContextManager[Stage]:
        """The platform, for one test; ``folder`` is the test's own."""


def fixture_of(name: str) -> Fixture:
    """The fixture of a connector, by its kind, or that of one of its other modes, as in ``x stream``.

    AssertionError that says what to add where there is none.
    """
    kind, _, mode = name.partition(" ")
    module = _module_of(kind)
    fixture: Fixture = module.MODES[mode] if mode else module.FIXTURE
    return fixture


def modes_of(kind: str) -> list[str]:
    """The names of all fixtures of a connector: its kind, and one for each of its other ``MODES``.

    Its kind alone where it has no fixture yet: the tests of the others go on, and its own say what to add.
    """
    if find_spec(f"testkit.connectors.{kind}") is None:
        return [kind]
    return [kind, *(f"{kind} {mode}" for mode in getattr(_module_of(kind), "MODES", ()))]


def _module_of(kind: str) -> ModuleType:
    try:
        return import_module(f"testkit.connectors.{kind}")
    except ModuleNotFoundError as error:
        if error.name != f"testkit.connectors.{kind}":
            raise
        raise AssertionError(
            f"connectors/{kind}.py has no fixture: add testkit/connectors/{kind}.py with a FIXTURE,"
            " as testkit/connectors/bluesky.py has"
        ) from None


class Drive:
    """A connector at work. ``got`` are the posts that count as sent, each with whether as a deletion.

    ``home`` is an installation's folder, in which connectors that have a memory keep it; it outlives crashes.
    """

    def __init__(self, kind: str, table: Mapping[str, Any], home: Path, cursor: Cursor | None = None) -> None:
        self._table = {"kind": kind, **table}
        self._home = home
        self.cursor = cursor
        self.got: dict[tuple[str, bool], Post] = {}
        self.rejected: list[Rejection] = []
        self.errors: list[GroundswellError] = []
        self.reads: list[tuple[set[tuple[str, bool]], Cursor]] = []
        self.idle = False
        self._abandoned: list[Connector] = []
        self.connector = self._build()

    def _build(self) -> Connector:
        return build_connector("contract", self._table, self._home)

    def read(self) -> Read | None:
        """One read, taken as confirmed, or None where it failed."""
        began = time.monotonic()
        read = fault = None
        try:
            read = self.connector.read(self.cursor)
        except GroundswellError as error:
            fault = error
        spent = time.monotonic() - began
        assert spent < READ_SECONDS, f"a read took {spent:.0f} s"
        if read is not None:
            self.keep(read)
        elif fault is not None:
            self._bear(fault)
        return read

    def _bear(self, error: GroundswellError) -> None:
        """Rests, or begins anew, as the runtime would."""
        assert not isinstance(error, RejectedError), (
            f"`read` raises what belongs into its rejections: {error}"
        )
        self.errors.append(error)
        rest = _BACK_OFF
        if not isinstance(error, RetryableError):
            self.crash()
        elif error.retry_after is not None:
            rest = error.retry_after
        assert rest <= _LONGEST_REST, f"wants to rest for {rest:.0f} s: {error}"
        time.sleep(rest)

    def keep(self, read: Read) -> None:
        """Takes the posts as confirmed, and keeps the cursor as it comes back from a file."""
        found = {(post.id, post.deleted): post for post in read.posts}
        self.got.update(found)
        self.rejected += read.rejected
        self.cursor = msgspec.json.decode(msgspec.json.encode(read.cursor))
        self.reads.append((set(found), dict(self.cursor or {})))
        self.idle = read.wait is None or read.wait > 0
        if read.wait:
            time.sleep(min(read.wait, 0.05))

    def crash(self) -> None:
        """The process dies, and another one begins from the kept cursor."""
        self._abandoned.append(self.connector)
        self.connector = self._build()

    def until(self, done: Callable[[], bool], what: str) -> None:
        """Reads until ``done()``."""
        deadline = time.monotonic() + LIMIT_SECONDS
        while not done():
            assert time.monotonic() < deadline, (
                f"not within {LIMIT_SECONDS:.0f} s: {what}; {self.errors[-3:]}"
            )
            self.read()

    def until_idle(self) -> None:
        """Reads until a read says that there is no more."""
        self.read()
        self.until(lambda: self.idle, "no read says that the source was read up to now (wait above 0)")

    def close(self) -> None:
        """Ends it, twice, and whatever was abandoned."""
        for connector in (self.connector, *self._abandoned):
            connector.close()
            connector.close()


@contextlib.contextmanager
def driven(fixture: Fixture, stage: Stage, folder: Path, cursor: Cursor | None = None) -> Iterator[Drive]:
    """A connector on a stage, closed at the end. ``folder`` is the test's own: whoever is driven on the same
    stage again has the same home there, and so the memory of the one before.
    """
    drive = Drive(fixture.kind, stage.table, folder / "home", cursor)
    try:
        yield drive
    finally:
        drive.close()


@contextlib.contextmanager
def overheard() -> Iterator[list[str]]:
    """All that anybody logs, with the traces, whatever the level."""
    said: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(self.format(record))

    ear = Ear()
    ear.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
    root, ours = logging.getLogger(), logging.getLogger("groundswell")
    levels = root.level, ours.level
    root.addHandler(ear)
    root.setLevel(logging.DEBUG)
    ours.setLevel(logging.DEBUG)
    try:
        yield said
    finally:
        root.removeHandler(ear)
        root.setLevel(levels[0])
        ours.setLevel(levels[1])
