"""An installation under test: own names on true servers, commands as users call them, roles as processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from elasticsearch import ApiError, Elasticsearch
from msgspec import Struct

from pipeline.app.audit import Finding, Ledger
from pipeline.app.auditor import Auditor
from pipeline.app.configuration import brokers_of
from pipeline.app.daemon import Daemon, settle, surroundings
from pipeline.app.health import present
from pipeline.app.offsets import spans
from pipeline.app.topics import admin_client
from pipeline.core.configuration import read_settings
from pipeline.core.index_name import alias
from pipeline.core.settings import Settings
from sinks.elastic import client_for
from testkit.waiting import until

COMMAND_SECONDS = 240


class Stored(Struct, frozen=True):
    """A document as the index holds it."""

    index: str
    version: int
    source: dict[str, Any]


class Installation:
    """``home`` holds its state, ``prefix`` begins all its topics, groups and indices."""

    def __init__(self, home: Path, prefix: str, kafka: str, elasticsearch: str, **settings: str) -> None:
        self.home = home
        self.elasticsearch = elasticsearch
        own = {
            "GROUNDSWELL_HOME": str(home),
            "GROUNDSWELL_KAFKA_BOOTSTRAP": kafka,
            "GROUNDSWELL_KAFKA_PREFIX": prefix,
            "GROUNDSWELL_ELASTICSEARCH_URL": elasticsearch,
            "GROUNDSWELL_ELASTICSEARCH_PREFIX": prefix,
            "GROUNDSWELL_HTTP_PORT": "0",
            "GROUNDSWELL_CONFIG": os.devnull,
        }
        self.environ = surroundings(os.environ, **{**own, **settings})
        self.settings: Settings = read_settings(None, {**own, **settings})
        self.kafka = brokers_of(self.settings, home)
        self.prefix = prefix
        self.client: Elasticsearch = client_for(self.settings.elasticsearch, elasticsearch)
        self._daemons: list[Daemon] = []
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, *arguments: str, stdin: int | None = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        """A command of `groundswell` in the background; ended by :meth:`close` at the latest."""
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.cli.main", *arguments],
            env=self.environ,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._started.append(process)
        return process

    def command(self, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """A command of `groundswell`, run to its end."""
        return subprocess.run(
            [sys.executable, "-m", "pipeline.cli.main", *arguments],
            env=self.environ,
            input=stdin,
            capture_output=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )

    def daemon(self, *roles: str) -> Daemon:
        """A started daemon of these roles, or of all; ended by :meth:`close` at the latest."""
        daemon = Daemon(self.home / "logs" / "run.log", roles=roles, environ=self.environ)
        daemon.start()
        self._daemons.append(daemon)
        return daemon

    def role_pid(self, role: str) -> int | None:
        """The process of a role, once it has announced itself."""
        return next((note.pid for note in present(self.home) if note.role == role), None)

    def records(self, topic: str) -> int:
        """How many records a topic was ever sent."""
        admin = admin_client(self.kafka)
        try:
            return sum(span.after for span in spans(admin, topic, None).values())
        finally:
            admin.close()

    def settle(self, daemon: Daemon, limit: float = 120) -> None:
        """Waits until every record is worked off."""
        settle(self.settings, self.kafka, daemon, limit)

    def audit(self) -> tuple[Ledger, list[Finding]]:
        """The ledger and the findings."""
        return Auditor(self.settings, self.kafka, self.client).audit()

    def documents(self) -> dict[str, list[Stored]]:
        """All documents of the index by id: a list, for two of one id would be the fault to find."""
        pattern = f"{alias(self.prefix)}-*"
        self.client.indices.refresh(index=pattern)
        found: dict[str, list[Stored]] = {}
        after: Any = None
        point = self._point(pattern)
        while True:
            page = self.client.search(
                pit={"id": point, "keep_alive": "1m"},
                size=5000,
                sort=[{"_shard_doc": "asc"}],
                search_after=after,
                version=True,
            )["hits"]["hits"]
            for hit in page:
                found.setdefault(hit["_id"], []).append(
                    Stored(hit["_index"], hit["_version"], hit["_source"])
                )
            if not page:
                break
            after = page[-1]["sort"]
        self.client.close_point_in_time(id=point)
        return found

    def _point(self, pattern: str) -> str:
        """A point in time of these indices, once all are there that are being made at this moment."""
        points: list[str] = []

        def opened() -> bool:
            try:
                points.append(self.client.open_point_in_time(index=pattern, keep_alive="1m")["id"])
            except ApiError as error:
                if error.meta.status != 503:
                    raise
            return bool(points)

        until(opened, 30, f"all shards of {pattern}")
        return points[0]

    def log(self) -> str:
        """What its daemons said."""
        path = self.home / "logs" / "run.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def close(self) -> None:
        """Ends what still runs and lets go of the client."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
                process.wait()
            for pipe in (process.stdout, process.stderr, process.stdin):
                if pipe is not None:
                    pipe.close()
        for daemon in self._daemons:
            if daemon.pid is not None:
                daemon.stop()
        self.client.close()


def rows_of(stored: Mapping[str, list[Stored]]) -> dict[str, Stored]:
    """The one document of each id; AssertionError where an id has two."""
    doubled = {
        post_id: [entry.index for entry in entries] for post_id, entries in stored.items() if len(entries) > 1
    }
    assert not doubled, doubled
    return {post_id: entries[0] for post_id, entries in stored.items()}
