"""Where rounds are played: servers that can be killed, and an installation fed by a file that grows."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from pipeline.embedded.servers import Addresses
from testkit.chaos import stream
from testkit.installation import Installation

FEED = "feed.jsonl"
"""The file in the folder of an installation whose lines are collected."""


PATIENCE_SECONDS = 60


class Ground(Struct, frozen=True):
    """The embedded servers, and the home from which they can be killed."""

    addresses: Addresses
    home: Path


@contextmanager
def fed(kafka: str, elasticsearch: str, folder: Path, settings: Mapping[str, str]) -> Iterator[Installation]:
    """An installation under a prefix of its own, whose collector reads the feed; ``settings`` are variables
    without their ``GROUNDSWELL_``."""
    feed = folder / FEED
    feed.touch()
    (folder / "routing.toml").write_text(stream.RULES)
    file = folder / "groundswell.toml"
    file.write_text(f'[connectors.feed]\nkind = "jsonl"\npath = "{feed}"\nfollow = true\nbatch = 500\n')
    own = {
        "CONFIG": str(file),
        "ENRICHERS_ROUTE_FILE": str(folder / "routing.toml"),
        "ELASTICSEARCH_TIMEOUT_SECONDS": "8",
        "DIRECTORY_SETTLE_SECONDS": "10",
    }
    named = {f"GROUNDSWELL_{name}": value for name, value in {**own, **settings}.items()}
    prefix = f"chaos-{uuid.uuid4().hex[:10]}"
    installation = Installation(folder / "home", prefix, kafka, elasticsearch, **named)
    # The suite itself waits for a server that comes back on a busy machine.
    installation.client = installation.client.options(request_timeout=PATIENCE_SECONDS)
    try:
        yield installation
    finally:
        installation.close()
