"""Installations for whole runs, and real posts to run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from pipeline.embedded.servers import Addresses
from testkit.installation import Installation
from testkit.pair import Pair
from testkit.shared import replay_posts, shared_folder


@pytest.fixture
def install(servers: Addresses, prefix: str, tmp_path: Path) -> Iterator[Callable[..., Installation]]:
    """Makes installations of one prefix on the true servers; ends all that they started."""
    made: list[Installation] = []

    def make(**settings: str) -> Installation:
        made.append(Installation(tmp_path / "home", prefix, servers.kafka, servers.elasticsearch, **settings))
        return made[-1]

    yield make
    for installation in made:
        installation.close()


@pytest.fixture
def installation(install: Callable[..., Installation]) -> Installation:
    """One installation."""
    return install()


@pytest.fixture
def pair(install: Callable[..., Installation], tmp_path: Path) -> Iterator[Pair]:
    """Two installations on the same topics; neither links customers, so that enrich needs no other role."""
    steps = {"GROUNDSWELL_ENRICH_STEPS": "language,sentiment,entities,complaint"}
    first = install(**steps)
    home = tmp_path / "other"
    second = Installation(home, first.prefix, str(first.kafka), first.elasticsearch, **steps)
    made = Pair(first, second)
    yield made
    made.close()
    second.close()


@pytest.fixture(scope="session")
def posts() -> Callable[[int], list[dict[str, Any]]]:
    """Distinct real posts: of the shared replay, or of the demo where that is not there."""

    def some(count: int) -> list[dict[str, Any]]:
        shared = shared_folder(Path(__file__))
        if shared is not None:
            return replay_posts(shared, count)
        lines = (files("configs") / "demo" / "posts.jsonl").read_text(encoding="utf-8").splitlines()
        demo = {
            post["id"]: post for post in map(json.loads, lines) if "edited_at" not in post and "text" in post
        }
        return [
            {**post, "id": f"{post['id']}.{copy}"}
            for copy in range(count // len(demo) + 1)
            for post in demo.values()
        ][:count]

    return some
