"""The version before and this one side by side: roles are replaced while posts stream, and none is lost."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.app.daemon import Daemon
from testkit.former import NoFormer, former
from testkit.installation import Installation, rows_of
from testkit.unruly import Mix, unruly
from testkit.waiting import until

CHECKOUT = Path(__file__).parents[2]
ROLES = ("index", "directory", "enrich")
"""In the order in which docs/deploy.md has them upgraded."""


class Stream:
    """Lines that go into `groundswell replay` little by little."""

    def __init__(self, installation: Installation, lines: list[bytes]) -> None:
        self._process = installation.start("replay", "-", stdin=subprocess.PIPE)
        self._lines = iter(lines)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._feed, daemon=True)
        self._thread.start()

    def _feed(self) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        # Slow enough to last until all roles are replaced, on a busy machine too.
        for number, line in enumerate(self._lines):
            pipe.write(line + b"\n")
            if number % 10 == 0:
                pipe.flush()
                self._over.wait(1.0)
        pipe.close()

    def end(self) -> int:
        """Sends the rest at once; the exit status of the command."""
        self._over.set()
        self._thread.join()
        return self._process.wait(120)


@pytest.fixture
def before(tmp_path: Path) -> dict[str, str]:
    try:
        return former(CHECKOUT, tmp_path / "former")[1]
    except NoFormer as error:
        pytest.skip(str(error))


@pytest.fixture
def started() -> Iterator[list[Daemon]]:
    daemons: list[Daemon] = []
    yield daemons
    for daemon in daemons:
        if daemon.pid is not None:
            daemon.stop()


def test_each_role_is_replaced_while_posts_stream_and_none_is_lost(
    installation: Installation,
    before: dict[str, str],
    started: list[Daemon],
    posts: Callable[[int], list[dict[str, Any]]],
) -> None:
    def start(role: str, environ: dict[str, str]) -> None:
        daemon = Daemon(
            installation.home / "logs" / f"{role}.log", roles=[role], environ=installation.environ | environ
        )
        daemon.start()
        started.append(daemon)
        running[role] = daemon
        daemon.wait_until_ready(installation.home, "127.0.0.1", 120)

    def flowing() -> None:
        reached = count()
        until(lambda: count() > reached, 120, "posts flow")

    def count() -> int:
        found: int = installation.client.count(index=f"{installation.prefix}-posts-*")["count"]
        return found

    told = subprocess.run(
        [sys.executable, "-c", "import pipeline; print(pipeline.__file__)"],
        env=installation.environ | before,
        capture_output=True,
        check=True,
    )
    assert before["PYTHONPATH"] in told.stdout.decode(), "the former version is what runs"
    running: dict[str, Daemon] = {}
    for role in ROLES:
        start(role, before)
    lines, expected = unruly(posts(3000), Mix(edits=300, deletions=100, repeats=100, invalid=5), 7)
    stream = Stream(installation, lines)
    for role in ROLES:
        flowing()
        running[role].stop()
        start(role, {})
    flowing()
    # The way back.
    running["index"].stop()
    start("index", before)
    flowing()
    assert stream.end() == 0
    installation.settle(running["enrich"], 240)
    ledger, findings = installation.audit()
    assert findings == []
    assert ledger.lost == ledger.in_flight == 0
    stored = rows_of(installation.documents())
    assert {id for id, one in stored.items() if one.source["deleted"]} == expected.stubs
    assert {
        id: one.source["text"] for id, one in stored.items() if not one.source["deleted"]
    } == expected.texts
