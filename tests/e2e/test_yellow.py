"""An Elasticsearch whose copies of shards have no node, as of every single one with a copy asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from testkit.installation import Installation, rows_of
from testkit.unruly import lines_of

Posts = Callable[[int], list[dict[str, Any]]]


def test_yellow_hinders_nothing(install: Callable[..., Installation], posts: Posts, tmp_path: Path) -> None:
    installation = install(GROUNDSWELL_ELASTICSEARCH_REPLICAS="1")
    file = tmp_path / "posts.jsonl"
    file.write_bytes(lines_of(json.dumps(post).encode() for post in posts(400)))
    daemon = installation.daemon("enrich", "index", "directory")
    daemon.wait_until_ready(installation.home, "127.0.0.1", 120)
    assert installation.command("replay", str(file)).returncode == 0
    installation.settle(daemon)
    health = installation.client.cluster.health(index=f"{installation.prefix}-posts-*")
    assert health["status"] == "yellow"
    assert rows_of(installation.documents()).keys() == {post["id"] for post in posts(400)}
    assert installation.audit()[1] == []
    assert daemon.stop() == 0
