"""An ordinary user's servers, started by two processes at once, from a cache of that user's own."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.embedded import servers
from pipeline.embedded.artifacts import fetch, read_lock
from pipeline.embedded.home import Layout, cache
from pipeline.embedded.process import read_state
from pipeline.embedded.start import choose_line

from .conftest import processes

UID = 54321

pytestmark = [
    pytest.mark.skipif(
        os.geteuid() != 0, reason="only root can become another user; without root all other tests do this"
    ),
    # The child only calls what was loaded before; a new interpreter might lie where the user cannot read it.
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The user's own folder, 0700, with a cache that holds what would be downloaded."""
    folder = Path(tempfile.mkdtemp(prefix="groundswell-user-"))
    lock = read_lock()
    line, _ = choose_line(Layout(folder / "home"), None, None)
    for bundle in (lock["kafka"], lock[f"elasticsearch-{line}"]):
        for source, artifact in zip(fetch(bundle), bundle.artifacts, strict=True):
            target = folder / "cache" / artifact.path
            target.parent.mkdir(parents=True)
            shutil.copy(source, target)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, UID, UID)
    monkeypatch.setenv("GROUNDSWELL_CACHE", str(folder / "cache"))
    yield folder
    left = processes(folder)
    for process in left:
        process.kill()
    shutil.rmtree(folder)
    assert not left


def as_user(job: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    """Begin ``job`` in a process of the user; the returned function waits for its result."""
    here, there = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=_become_and_run, args=(there, job, arguments))
    child.start()

    def result() -> Any:
        assert here.poll(120)
        answer = here.recv()
        child.join()
        return answer

    return result


def _become_and_run(out: Connection, job: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    os.setgroups([])
    os.setgid(UID)
    os.setuid(UID)
    os.chdir("/")
    try:
        out.send(job(*arguments))
    except Exception as error:
        out.send(repr(error))


def test_two_ups_at_once_make_one_set_of_servers(own: Path) -> None:
    assert cache() == own / "cache"
    home = own / "home"
    begun = [as_user(servers.up, home) for _ in range(2)]
    first, second = (result() for result in begun)
    assert isinstance(first, servers.Addresses)
    assert first == second
    assert len(processes(home)) == 2
    assert {process.uids().real for process in processes(home)} == {UID}
    assert home.stat().st_mode & 0o777 == 0o700
    assert (
        as_user(
            servers.up,
            home,
        )()
        == first
    )
    assert sorted(as_user(servers.down, home)()) == ["elasticsearch", "kafka"]
    assert processes(home) == []


def test_a_user_cannot_end_roots_servers(own: Path) -> None:
    roots = Path(tempfile.mkdtemp(prefix="groundswell-root-"))
    roots.chmod(0o755)
    try:
        servers.start_kafka(roots)
        answer = as_user(servers.down, roots)()
        assert "cannot be used" in answer or "run this as that user or as root" in answer
        state = read_state(Layout(roots).state("kafka"))
        assert state is not None
        assert psutil.pid_exists(state.pid)
        os.kill(state.pid, signal.SIGCONT)
    finally:
        servers.down(roots)
        shutil.rmtree(roots)
