"""The quickstarts, followed to the letter on true servers: every command says what the page says."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

import pipeline
from pipeline.app.configuration import elasticsearch_url, kafka_bootstrap
from pipeline.app.daemon import surroundings
from pipeline.core.metrics import ALL
from pipeline.core.settings import Settings
from pipeline.embedded.home import cache
from pipeline.embedded.ports import RANGE, is_free
from pipeline.embedded.servers import stop
from testkit.connectors.bluesky import FIXTURE, event
from testkit.platform.answers import Item
from testkit.platform.staged import served_stage
from testkit.walkthrough import Shell, blocks_of, put_on_path, shell

DOCS = Path(__file__).parents[2] / "docs"
FIRST_PORT = 9640
"""Of the roles, where nobody says otherwise."""
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
    port = next(port for port in RANGE if all(is_free(port + role) for role in range(4)))
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
        text = text.replace("127.0.0.1:9092", kafka_bootstrap(Settings(), home))
        text = text.replace("http://127.0.0.1:9200", elasticsearch_url(Settings(), home))
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


def test_the_page_for_ops_holds() -> None:
    with served_stage(_post, FIXTURE.answer, FIXTURE.table) as stage:
        assert stage.server is not None
        stage.tell(POSTS)
        # The page's Bluesky is the true one, which a test cannot ask.
        here = {"GROUNDSWELL_CONNECTORS_SKY_HOSTS": stage.server.socket_url}
        with reader("reader/groundswell", **here) as made:
            for block in blocks_of(page("ops")):
                made.follow(block)
                if "collect sky" in block.text:
                    assert f"sky: {POSTS} posts would be sent" in made.said
                if block.language == "sh" and "audit" in block.text:
                    assert re.search(r"^lost +0$", made.said, re.MULTILINE)
            assert (made.path("posts.jsonl")).read_text().count("\n") == POSTS


def _post(number: int, moment: float) -> Item:
    """One that the page's settings ask for."""
    plain = FIXTURE.item(0, moment)
    record: dict[str, Any] = {
        **plain.data["commit"]["record"],
        "text": f"Larkwell is down again, day {number}",
    }
    data: Mapping[str, Any] = event(number, moment, record)
    return Item(
        id=f"bluesky:at://{data['did']}/{data['commit']['collection']}/{number}", data=data, at=moment
    )


def test_the_metrics_to_watch_are_there() -> None:
    named = set(re.findall(r"\bgroundswell_[a-z_]+", page("ops")))
    assert len(named) > 5
    assert named <= {metric.name for metric in ALL}
