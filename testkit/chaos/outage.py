"""A server away for a while at full inflow: what is collected meanwhile, what memory the roles take, and how
soon all is caught up afterwards."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import psutil
from msgspec import Struct

from pipeline.app.health import asked, present
from pipeline.app.offsets import spans
from pipeline.app.topics import admin_client
from pipeline.core.errors import RetryableError
from pipeline.embedded import servers
from pipeline.embedded.start import Name
from testkit.chaos.crew import Crew, Member
from testkit.chaos.ground import FEED, Ground, fed
from testkit.installation import Installation
from testkit.waiting import until

ROLES = ("directory", "enrich", "index", "collect")
_TICK = 0.1
_STARTS: Mapping[Name, Callable[[Path], str]] = {
    "kafka": servers.start_kafka,
    "elasticsearch": servers.start_elasticsearch,
}


class Sample(Struct, frozen=True):
    """One look: seconds since the inflow began, posts written to the feed, and lines that the cursor has
    passed; records of the posts topic, of the events topic, and events indexed, None where Kafka does not
    say; resident MB by role."""

    at: float
    written: int
    cursor: int
    posts: int | None
    events: int | None
    indexed: int | None
    memory: dict[str, float]


class Course(Struct):
    """How it went: looks before the outage, during it, and after it until all was caught up."""

    before: list[Sample]
    during: list[Sample]
    after: list[Sample]
    caught_up: float
    documents: int


class Inflow(threading.Thread):
    """Writes so many posts a second to a feed until told to end."""

    def __init__(self, feed: Path, rate: int) -> None:
        super().__init__(name="inflow")
        self._feed, self._rate = feed, rate
        self._over = threading.Event()
        self.written = 0
        self.began = time.monotonic()

    def run(self) -> None:
        with self._feed.open("ab") as out:
            while not self._over.wait(_TICK):
                due = int((time.monotonic() - self.began) * self._rate)
                out.write(b"".join(_line(number) for number in range(self.written, due)))
                out.flush()
                self.written = due

    def end(self) -> None:
        self._over.set()
        self.join()


def _line(number: int) -> bytes:
    post = {
        "id": f"x:{number}",
        "text": f"my line is slow again since Tuesday and nobody calls back, number {number}",
        "author": {"id": f"x:author-{number % 5000}", "handle": f"author_{number % 5000}"},
        "created_at": "2026-10-05T10:00:00Z",
    }
    return json.dumps(post).encode() + b"\n"


def outage(  # noqa: PLR0913 - what an outage is made of
    server: Name, ground: Ground, folder: Path, *, seconds: float, rate: int, warm: float, every: float = 5.0
) -> Course:
    """Plays it. ``warm`` are the seconds of inflow before the outage; raises AssertionError when what came in
    is not caught up in three times as long as everything took before, and two minutes."""
    with fed(ground.addresses.kafka, ground.addresses.elasticsearch, folder, {}) as installation:
        crew = Crew(installation.home, installation.environ)
        inflow = Inflow(folder / FEED, rate)
        try:
            for role in ROLES:
                crew.start(role)
            # What they take as they start would count for growth.
            until(lambda: at_work(installation.home) == set(ROLES), 120, "all roles are at work")
            inflow.began = time.monotonic()
            inflow.start()
            look = _Look(installation, crew, inflow)
            before = look.for_seconds(warm, every)
            servers.kill(ground.home, server)
            try:
                during = look.for_seconds(seconds, every)
            finally:
                _STARTS[server](ground.home)
            return _catch_up(installation, look, inflow, before, during)
        finally:
            if inflow.is_alive():
                inflow.end()
            crew.close()


def _catch_up(
    installation: Installation, look: _Look, inflow: Inflow, before: list[Sample], during: list[Sample]
) -> Course:
    began = time.monotonic()
    inflow.end()
    after: list[Sample] = []

    def done() -> bool:
        time.sleep(1)
        after.append(look.once())
        return after[-1].indexed == inflow.written

    until(done, 120 + 3 * during[-1].at, "all is caught up")
    took = time.monotonic() - began
    pattern = f"{installation.prefix}-posts-*"
    installation.client.indices.refresh(index=pattern)
    documents = installation.client.count(index=pattern)["count"]
    return Course(before, during, after, took, documents)


class _Look:
    """Takes samples."""

    def __init__(self, installation: Installation, crew: Crew, inflow: Inflow) -> None:
        self._installation, self._crew, self._inflow = installation, crew, inflow

    def for_seconds(self, seconds: float, every: float) -> list[Sample]:
        samples = [self.once()]
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(min(every, max(end - time.monotonic(), 0)))
            samples.append(self.once())
        return samples

    def once(self) -> Sample:
        at = time.monotonic() - self._inflow.began
        written = self._inflow.written
        posts, events, indexed = self._offsets()
        memory = {one.role: _resident(one) for one in _roles(self._crew)}
        return Sample(at, written, cursor(self._installation), posts, events, indexed, memory)

    def _offsets(self) -> tuple[int | None, int | None, int | None]:
        prefix = self._installation.prefix
        try:
            admin = admin_client(self._installation.kafka)
        except RetryableError:
            return None, None, None
        try:
            posts = spans(admin, f"{prefix}.posts", None).values()
            events = spans(admin, f"{prefix}.events", f"{prefix}-index").values()
            after = sum(span.after for span in posts), sum(span.after for span in events)
            return *after, sum(span.committed for span in events)
        except RetryableError:
            return None, None, None
        finally:
            admin.close()


def at_work(home: Path) -> set[str]:
    """The roles that say that they wait for nothing."""
    reports = [asked(note, "127.0.0.1") for note in present(home)]
    return {one.role for one in reports if one is not None and not one.waits_for}


def cursor(installation: Installation) -> int:
    """The lines that the collector has put behind it."""
    with suppress(OSError, ValueError):
        return int(json.loads((installation.home / "cursors" / "feed.json").read_bytes())["line"])
    return 0


def _resident(member: Member) -> float:
    """Megabytes; 0 of one that has just ended."""
    with suppress(psutil.NoSuchProcess):
        return float(psutil.Process(member.process.pid).memory_info().rss / 1e6)
    return 0.0


def _roles(crew: Crew) -> list[Member]:
    return [member for role in ROLES for member in crew.of(role)]
