"""When changed files are taken up, and when not: a reloader over true files, with a stage that only swaps."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path

import pytest

from pipeline.app import reload
from pipeline.app.health import Health
from pipeline.app.meters import Meters
from pipeline.app.registry import build_chain
from pipeline.app.reload import Reloader, files_read
from pipeline.app.site import Site
from pipeline.core.configuration import read_settings
from pipeline.core.errors import RetryableError
from pipeline.core.process import Chain
from testkit.rulebooks import Rulebooks
from testkit.waiting import until

SETTINGS = """
[enrich]
steps = ["entities", "route"]
reload_seconds = {seconds}
[enrichers.entities]
file = "brands.toml"
[enrichers.route]
file = "routing.toml"
"""


class Role:
    """A role that only swaps chains. ``missing`` are queues that Kafka has no topics for, and makes none."""

    def __init__(self, folder: Path) -> None:
        self.books = Rulebooks(folder)
        self.books.know("Acme")
        self.books.route({"fire": "urgent"})
        self.file = folder / "groundswell.toml"
        self.write(0.1)
        settings = read_settings(self.file, os.environ)
        self.site = Site(settings, folder, Health("enrich", Meters()), self.file)
        reloader = Reloader(self.site, "customer")
        self.chain = build_chain(settings)
        self.missing: set[str] = set()
        reloader.start(self.chain, self.adopt, self.prepare)

    def write(self, seconds: float, more: str = "") -> None:
        self.file.write_text(SETTINGS.format(seconds=seconds) + more)

    def adopt(self, chain: Chain) -> Future[Chain]:
        old, self.chain = self.chain, chain
        done: Future[Chain] = Future()
        done.set_result(old)
        return done

    def prepare(self, queues: Sequence[str]) -> None:
        if lacking := self.missing.intersection(queues):
            raise RetryableError(f"Kafka makes no topic for {lacking}")

    @property
    def number(self) -> int:
        assert self.site.health.edition is not None
        return self.site.health.edition.number

    @property
    def problem(self) -> str:
        assert self.site.health.edition is not None
        return self.site.health.edition.problem


@pytest.fixture
def role(tmp_path: Path) -> Iterator[Role]:
    role = Role(tmp_path)
    yield role
    role.site.end()


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the rest after a failure that waiting may mend."""
    return lambda seconds: monkeypatch.setattr(reload, "_AGAIN_SECONDS", seconds)


def test_all_files_that_make_the_steps_are_looked_at(role: Role) -> None:
    names = [path.name for path in files_read(role.site.settings, role.file)]
    assert names == ["groundswell.toml", "brands.toml", "routing.toml", "routing_test.toml"]


def test_a_file_that_is_still_being_written_is_let_rest(role: Role, monkeypatch: pytest.MonkeyPatch) -> None:
    # Longer than a busy machine forgets the writer for.
    monkeypatch.setattr(reload, "_REST_SECONDS", 5.0)
    whole = role.books.rules.read_text().replace("urgent", "brigade")
    for end in range(0, len(whole), 8):
        role.books.rules.write_text(whole[:end])
        time.sleep(0.1)
    assert (role.number, role.problem) == (1, "")
    role.books.rules.write_text(whole)
    until(lambda: role.number == 2, why="it has rested")
    assert role.problem == ""


def test_what_says_the_same_is_no_new_edition(role: Role) -> None:
    chain = role.chain
    role.books.rules.write_text("# a comment\n" + role.books.rules.read_text() + "\nnonsense = 1\n")
    until(lambda: "nonsense" in role.problem, why="it is looked at")
    role.books.rules.write_text("# a comment\n" + role.books.rules.read_text().replace("nonsense = 1", ""))
    until(lambda: role.problem == "", why="it is right again")
    assert role.number == 1
    assert role.chain is chain


def test_a_queue_without_a_topic_is_waited_for(role: Role, soon: Callable[[float], None]) -> None:
    soon(0.2)
    role.missing = {"brigade"}
    role.books.route({"fire": "brigade"})
    until(lambda: "makes no topic" in role.problem, why="Kafka does not want to")
    assert role.number == 1
    role.missing = set()
    until(lambda: role.number == 2, why="Kafka wants to again")
    assert role.problem == ""


def test_the_step_that_needs_more_than_files_needs_a_restart(role: Role) -> None:
    role.write(0.1, '[enrichers.contacts]\nregion = "DE"\n')
    role.file.write_text(role.file.read_text().replace('"route"]', '"contacts", "customer", "route"]'))
    until(lambda: "restart the role enrich" in role.problem, why="it is refused")
    assert role.number == 1
    role.write(0.1)
    until(lambda: role.problem == "", why="it is taken back")


def test_without_looking_by_itself_it_looks_when_told(role: Role) -> None:
    role.write(0)
    role.site.look_again()
    until(lambda: role.site.health.edition is not None, why="it has looked")
    role.books.know("Acme", "Bolt")
    role.site.look_again()
    until(lambda: role.number == 2, why="it was told")
