"""The quickstarts, followed to the letter on true servers: every command says what the page says."""

from __future__ import annotations

import os
import random
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import pytest

import pipeline
from pipeline.app.daemon import surroundings
from pipeline.core.metrics import ALL
from pipeline.embedded.home import cache
from pipeline.embedded.ports import RANGE, is_free
from pipeline.embedded.servers import status, stop
from testkit.connectors.bluesky import BlueskyFixture, event, record, uri
from testkit.platform.answers import Item
from testkit.walkthrough import Shell, blocks_of, put_on_path, shell

DOCS = Path(__file__).parents[2] / "docs"
# Where nobody says otherwise: of the roles, and of the servers.
FIRST_PORT = 9640
PORTS = {"kafka": 9092, "elasticsearch": 9200}
PRACTICE = "/tmp/groundswell-practice"
POSTS = 12


def page(name: str) -> str:
    return (DOCS / f"quickstart-{name}.md").read_text(encoding="utf-8")


@contextmanager
def reader(home: str, **environ: str) -> Iterator[Shell]:
    """A shell as a reader has it, below the system's temporary folder, for the servers' own user's sake.

    ``home`` is that of the installation, from the shell's folder; its ports may be others than those of the
    page, since a machine may run several.
    """
    folder = Path(tempfile.mkdtemp(prefix="groundswell-reader-"))
    folder.chmod(0o711)
    (folder / "configs").symlink_to(Path(str(files("configs") / "brands.toml")).parent)
    programs = {"python": [sys.executable], "groundswell": [sys.executable, "-m", "pipeline.cli.main"]}
    port = next(
        port for port in random.sample(RANGE, len(RANGE)) if all(is_free(port + role) for role in range(4))
    )
    own = {
        "PATH": put_on_path(folder / "bin", **programs),
        "PYTHONPATH": str(Path(str(pipeline.__file__)).parents[1]),
        "GROUNDSWELL_CACHE": str(cache()),
        "GROUNDSWELL_HTTP_PORT": str(port),
    }
    try:
        with shell(folder, surroundings(os.environ, **own, **environ)) as made:
            made.alter = _elsewhere(folder, folder / home, port)
            yield made
    finally:
        for server in ("elasticsearch", "kafka"):
            stop(folder / home, server)
        shutil.rmtree(folder)


def _elsewhere(folder: Path, home: Path, first: int) -> Callable[[str], str]:
    """Puts the true addresses in place of those that the page has."""

    def alter(text: str) -> str:
        text = text.replace(PRACTICE, str(folder / "practice"))
        for server in filter(lambda one: one.port, status(home)):
            text = text.replace(f"127.0.0.1:{PORTS[server.name]}", f"127.0.0.1:{server.port}")
        return re.sub(
            r"(127\.0\.0\.1:)(964[0-3])", lambda at: f"{at[1]}{int(at[2]) - FIRST_PORT + first}", text
        )

    return alter


@pytest.fixture(scope="module")
def practice() -> Iterator[Shell]:
    """The installation that support and analysts practise on, made as their pages say."""
    first = blocks_of(page("support"))[0]
    assert first.text == blocks_of(page("analysts"))[0].text
    with reader("practice/demo") as made:
        made.follow(first)
        yield made


@pytest.mark.parametrize("who", ["support", "analysts"])
def test_the_page_holds(practice: Shell, who: str) -> None:
    blocks = blocks_of(page(who))[1:]
    assert sum(len(block.commands) for block in blocks if block.language == "sh") >= 10
    for block in blocks:
        practice.follow(block)


class _Sky(BlueskyFixture):
    """A Bluesky that says what the page's settings ask for; the true one a test cannot ask."""

    def item(self, number: int, moment: float) -> Item:
        data = event(number, moment, {**record(number, moment), "text": f"Larkwell is down, day {number}"})
        return Item(id=f"bluesky:{uri(number)}", data=data, at=moment)


def test_the_page_for_ops_holds(tmp_path: Path) -> None:
    with _Sky().stage(tmp_path) as stage:
        stage.tell(POSTS)
        addresses = {"HOSTS": ",".join(stage.table["hosts"]), "PROFILES": stage.table.get("profiles")}
        here = {f"GROUNDSWELL_CONNECTORS_SKY_{key}": text for key, text in addresses.items() if text}
        with reader("reader/groundswell", **here) as made:
            for block in blocks_of(page("ops")):
                made.follow(block)
                if "collect sky" in block.text:
                    assert f"sky: {POSTS} posts would be sent" in made.said
                if block.language == "sh" and "audit" in block.text:
                    assert re.search(r"^lost +0$", made.said, re.MULTILINE)
            assert made.path("posts.jsonl").read_text().count("\n") == POSTS


def test_the_metrics_to_watch_are_there() -> None:
    named = set(re.findall(r"\bgroundswell_[a-z_]+", page("ops")))
    assert len(named) > 5
    assert named <= {metric.name for metric in ALL}
