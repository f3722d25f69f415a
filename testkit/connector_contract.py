"""What every connector owes, whatever its platform: one function a law, each raises AssertionError.

A connector is driven as the pump drives it: read, take the posts as confirmed, only then keep the cursor;
rest as a RetryableError says; after any other error build it anew from the kept cursor. What is to be
known of its platform comes from its fixture, ``testkit/connectors/NAME.py``.
"""

from __future__ import annotations

import contextlib
import logging
import random
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import msgspec

from pipeline.app.registry import build_connector
from pipeline.core.errors import ConfigError, GroundswellError, RejectedError, RetryableError
from pipeline.core.post import Post, decode_post, encode_post
from pipeline.core.protocols import Connector, Cursor, Read
from pipeline.core.rejection import Rejection
from pipeline.core.settings import Secret
from testkit.platform.answers import Item
from testkit.platform.faults import FAULTS, HUGE, MISSING, RESET_SECONDS, Fault, put
from testkit.platform.server import PlatformServer
from testkit.platform.timeline import Timeline

COUNT = 45
LIMIT_SECONDS = 40.0
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


def fixture_of(kind: str) -> Fixture:
    """The fixture of a connector; AssertionError that says what to add where there is none."""
    try:
        module = import_module(f"testkit.connectors.{kind}")
    except ModuleNotFoundError as error:
        if error.name != f"testkit.connectors.{kind}":
            raise
        raise AssertionError(
            f"connectors/{kind}.py has no fixture: add testkit/connectors/{kind}.py with a FIXTURE,"
            " as testkit/connectors/bluesky.py has"
        ) from None
    fixture: Fixture = module.FIXTURE
    return fixture


class Drive:
    """A connector at work. ``got`` are the posts that count as sent, each with whether as a deletion."""

    def __init__(self, kind: str, table: Mapping[str, Any], cursor: Cursor | None = None) -> None:
        self._table = {"kind": kind, **table}
        self.cursor = cursor
        self.got: dict[tuple[str, bool], Post] = {}
        self.rejected: list[Rejection] = []
        self.errors: list[GroundswellError] = []
        self.reads: list[tuple[set[tuple[str, bool]], Cursor]] = []
        self.idle = False
        self._abandoned: list[Connector] = []
        self.connector = self._build()

    def _build(self) -> Connector:
        return build_connector("contract", self._table)

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
def driven(fixture: Fixture, stage: Stage, cursor: Cursor | None = None) -> Iterator[Drive]:
    """A connector on a stage, closed at the end."""
    drive = Drive(fixture.kind, stage.table, cursor)
    try:
        yield drive
    finally:
        drive.close()


def everything(drive: Drive, stage: Stage) -> Callable[[], bool]:
    """Whether all posts that the platform was told of have arrived."""
    return lambda: stage.timeline.expected <= drive.got.keys()


def check_everything_arrives(fixture: Fixture, folder: Path) -> None:
    """All posts come, nothing else does, and every one is valid, of its source, and in UTC."""
    with fixture.stage(folder) as stage:
        stage.tell(COUNT)
        with driven(fixture, stage) as drive:
            drive.until(everything(drive, stage), "not all posts came")
            drive.until_idle()
            assert drive.got.keys() == stage.timeline.expected
            assert not drive.rejected
            assert not drive.errors
            for post in drive.got.values():
                _check_post(post)


def _check_post(post: Post) -> None:
    again = decode_post(encode_post(post))
    assert again.id == post.id
    assert post.id.startswith(f"{post.source}:")
    for name in ("created_at", "collected_at", "edited_at"):
        moment = getattr(post, name)
        assert moment is None or moment.utcoffset().total_seconds() == 0, f"{name} is not in UTC"
    if not post.deleted:
        assert again == post, "is not the same when it is read from the topic"
        assert post.author.id.startswith(f"{post.source}:"), "author.id must begin with the source"


def check_ids_are_stable(fixture: Fixture, folder: Path) -> None:
    """Read twice, a post is the same but for the time of collection."""
    with fixture.stage(folder) as stage:
        stage.tell(COUNT)
        seen = []
        for _ in range(2):
            with driven(fixture, stage) as drive:
                drive.until(everything(drive, stage), "not all posts came")
                seen.append(
                    {key: msgspec.structs.replace(post, collected_at=None) for key, post in drive.got.items()}
                )
        assert seen[0] == seen[1]


def check_cursor_is_never_ahead(fixture: Fixture, folder: Path) -> None:
    """From the cursor of any read, all posts come that were in no read before it."""
    with fixture.stage(folder) as stage:
        stage.tell(COUNT)
        with driven(fixture, stage) as drive:
            drive.until(everything(drive, stage), "not all posts came")
            reads = drive.reads
        assert len(reads) > 3, "the fixture's table must ask for small batches, for this law to have teeth"
        before: set[tuple[str, bool]] = set()
        for ids, cursor in reads:
            before |= ids
            missing = stage.timeline.expected - before
            with driven(fixture, stage, cursor) as drive:
                drive.until(lambda d=drive, m=missing: m <= d.got.keys(), f"lost behind {cursor}")  # type: ignore[misc]


def check_crash_anywhere(fixture: Fixture, folder: Path, seed: int) -> None:
    """Dies again and again, before or after a cursor was kept, while the platform talks on: no loss."""
    chance = random.Random(seed)
    with fixture.stage(folder) as stage:
        stage.tell(COUNT // 2)
        with driven(fixture, stage) as drive:
            for step in range(12):
                if step % 4 == 3:
                    stage.tell(COUNT // 6)
                cursor, got, rejected = drive.cursor, dict(drive.got), list(drive.rejected)
                drive.read()
                if chance.random() < 0.5:  # it had not been confirmed when the process died
                    drive.cursor, drive.got, drive.rejected = cursor, got, rejected
                if chance.random() < 0.8:
                    drive.crash()
            drive.until(everything(drive, stage), "lost by a crash")
            assert drive.got.keys() == stage.timeline.expected
            assert not drive.rejected


def check_fault(fixture: Fixture, fault: Fault, folder: Path, *, midway: bool) -> None:
    """The fault befalls the connector at once, or midway: it does its duty and loses nothing."""
    with fixture.stage(folder) as stage, overheard() as said:
        stale = fixture.stale if fault.name == "cursor too old" else None
        if not midway:
            stage.spoil(fault)
        stage.tell(COUNT // 3)
        with driven(fixture, stage, stale) as drive:
            spared = 1 if fault.duty == "reject" else 0

            def come() -> bool:
                lost = stage.timeline.expected - drive.got.keys()
                return len(lost) <= spared and (midway or stage.met(fault))

            drive.until(come, f"posts are lost by `{fault.name}`")
            if midway:
                stage.spoil(fault)
                stage.interrupt()
            stage.tell(COUNT // 3)
            drive.until(lambda: come() and stage.met(fault), f"posts are lost by `{fault.name}`")
            stage.interrupt()
            stage.tell(COUNT // 3)
            drive.until(come, f"posts are lost behind `{fault.name}`")
            drive.until_idle()
            _check_duty(fault, drive, stage)
            if stale is not None:
                assert drive.errors or any("WARNING" in line for line in said), "loses history in silence"


def _check_duty(fault: Fault, drive: Drive, stage: Stage) -> None:
    kinds = [type(error).__name__ for error in drive.errors]
    assert drive.got.keys() <= stage.timeline.expected, "came from nowhere"
    assert bool(drive.rejected) == (fault.duty == "reject"), [one.error for one in drive.rejected]
    if fault.duty == "config":
        assert "ConfigError" in kinds, f"must end in a ConfigError, came {kinds}"
        for error in drive.errors:
            assert not isinstance(error, ConfigError) or len(str(error)) > 40, f"no remedy: {error}"
    else:
        assert set(kinds) <= {"RetryableError"}, drive.errors
    if fault.duty == "retry":
        assert kinds, "must raise a RetryableError"
    if fault.resets:
        rest = max(error.retry_after or 0 for error in drive.errors if isinstance(error, RetryableError))
        assert RESET_SECONDS - 1.5 <= rest <= RESET_SECONDS + 1, f"rests {rest} s, not to the reset"
    if stage.server is not None:
        assert stage.server.trespasses == 0, "followed a redirect to another machine"
        assert stage.server.filled < HUGE // 3, f"took in {stage.server.filled} bytes"


def check_secrets_stay_secret(fixture: Fixture, folder: Path) -> None:
    """No secret stands in a log, a repr, a message, a trace, a cursor, a post or a rejection."""
    if not fixture.secrets:
        fields = msgspec.structs.fields(import_module(f"connectors.{fixture.kind}").SETTINGS)
        kept = [field.name for field in fields if field.type is Secret]
        assert not kept, f"the fixture gives no secret for {kept}: put one into its table and into `secrets`"
        return
    texts: list[str] = []
    faults = [one for one in FAULTS if one.name not in fixture.exempt and not one.redirects]
    with fixture.stage(folder) as stage, overheard() as said, driven(fixture, stage) as drive:
        for fault in faults:
            stage.tell(2)
            stage.spoil(fault)
            stage.interrupt()
            for _ in range(3):
                drive.read()
        texts += [repr(drive.connector), repr(drive.reads), repr(drive.rejected), repr(drive.got)]
        texts += ["".join(traceback.format_exception(error)) for error in drive.errors]
        texts += said
    for secret in fixture.secrets:
        for text in texts:
            assert secret not in text, f"a secret shows: {text[:200]}"


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


_STRANGE: tuple[Any, ...] = (MISSING, None, True, -1, 1.5, 2**70, "", "x", "\x00", [], [None], {}, {"x": 1})


def check_parse_survives(fixture: Fixture) -> None:
    """``parse`` gives a valid post, None or a RejectedError, whatever stands in any field, or in none."""
    parse = import_module(f"connectors.{fixture.kind}").parse
    for item in {fixture.item(number, 1_700_000_000.0 + number).text() for number in range(30)}:
        _parse_one(parse, item)
        for cut in (0, 1, len(item) // 2, len(item) - 1):
            _parse_one(parse, item[:cut])
        data = msgspec.json.decode(item)
        for path in _paths(data):
            for value in _STRANGE:
                _parse_one(parse, msgspec.json.encode(put(data, path, value)))


def _parse_one(parse: Callable[[bytes], Post | None], raw: bytes) -> None:
    try:
        post = parse(raw)
    except RejectedError:
        return
    except Exception as error:
        raise AssertionError(f"parse raises {error!r} at {raw[:300]!r}") from error
    if post is not None:
        assert decode_post(encode_post(post)).id == post.id, raw


def _paths(data: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    pairs = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in pairs:
        yield (*at, key)
        yield from _paths(value, (*at, key))
