"""An Elasticsearch that lost what it had, or another at the address of ours: no hole stays unseen."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.embedded import servers
from sinks.elastic import client_for, drop
from testkit.elastic_proxy import Proxy
from testkit.installation import Installation, rows_of
from testkit.readiness import reason
from testkit.unruly import lines_of
from testkit.waiting import until

Install = Callable[..., Installation]
Posts = Callable[[int], list[dict[str, Any]]]


@pytest.fixture
def another() -> Iterator[str]:
    """A second Elasticsearch, which knows nothing of us; its home is where its user may enter."""
    home = Path(tempfile.mkdtemp(prefix="groundswell-another-"))
    yield servers.start_elasticsearch(home)
    servers.stop(home, "elasticsearch")
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def proxy(elasticsearch: str) -> Iterator[Proxy]:
    """An address behind which servers may change."""
    proxy = Proxy(elasticsearch, keep=False)
    yield proxy
    proxy.close()


def send(installation: Installation, posts: list[dict[str, Any]], tmp_path: Path) -> None:
    file = tmp_path / "posts.jsonl"
    file.write_bytes(lines_of(json.dumps(post).encode() for post in posts))
    assert installation.command("replay", str(file)).returncode == 0


def trouble(installation: Installation) -> str:
    return reason(installation, "index", "elasticsearch")


def test_an_index_that_is_gone_is_missed(install: Install, posts: Posts, tmp_path: Path) -> None:
    installation = install()
    daemon = installation.daemon("enrich", "index", "directory")
    send(installation, posts(300)[:200], tmp_path)
    installation.settle(daemon)
    daemon.stop()
    drop(installation.client, installation.prefix)

    daemon = installation.daemon("enrich", "index", "directory")
    send(installation, posts(300)[200:], tmp_path)
    until(
        lambda: "has no index" in trouble(installation),
        why="it says what it misses",
    )
    assert not installation.client.indices.exists(index=f"{installation.prefix}-posts-undated")

    assert installation.command("rebuild", "--yes").returncode == 0
    installation.settle(daemon)
    assert rows_of(installation.documents()).keys() == {post["id"] for post in posts(300)}
    assert installation.audit()[1] == []


def test_another_server_gets_nothing(
    install: Install, posts: Posts, proxy: Proxy, another: str, tmp_path: Path
) -> None:
    ours = proxy.target
    installation = install(GROUNDSWELL_ELASTICSEARCH_URL=proxy.url)
    daemon = installation.daemon("enrich", "index", "directory")
    send(installation, posts(300)[:200], tmp_path)
    installation.settle(daemon)

    proxy.target = another.removeprefix("http://")
    send(installation, posts(300)[200:], tmp_path)
    until(
        lambda: "another Elasticsearch" in trouble(installation),
        why="it knows its own",
    )
    stranger = client_for(installation.settings.elasticsearch, another)
    assert not stranger.indices.exists(index=f"{installation.prefix}-posts-*", allow_no_indices=False)
    stranger.close()

    proxy.target = ours
    installation.settle(daemon)
    assert rows_of(installation.documents()).keys() == {post["id"] for post in posts(300)}
    assert daemon.stop() == 0
