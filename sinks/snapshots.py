"""Snapshots of the indices of posts in a repository that Elasticsearch knows: made, listed, brought back.

Only indices of our own prefix, and no state of the cluster. What is derived from the log alone (cases,
customers, authors) is not in them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from elasticsearch import Elasticsearch, NotFoundError
from msgspec import Struct

from pipeline.core.errors import ConfigError, FatalError
from pipeline.core.index_name import alias
from sinks._client import answering

_POLL = 0.5


class Snapshot(Struct, frozen=True):
    """``state`` is Elasticsearch's own word: SUCCESS, PARTIAL, IN_PROGRESS, FAILED. ``offsets`` are how far
    the role index had come in the topic of events when it began, by partition; ``topic`` is that one's id."""

    name: str
    state: str
    began_at: datetime
    indices: tuple[str, ...]
    offsets: Mapping[int, int]
    topic: str


class Repository:
    """One repository. Every method raises RetryableError where the server is away, ConfigError where a person
    has to act."""

    def __init__(self, client: Elasticsearch, name: str, prefix: str) -> None:
        """``prefix`` is that of the indices, and of the snapshots' names."""
        self._client = client
        self._name = name
        self._prefix = prefix
        self._what = f"the snapshot repository {name}"

    def check(self) -> None:
        """ConfigError where there is no such repository."""
        with answering(self._client, self._what):
            try:
                self._client.snapshot.get_repository(name=self._name)
            except NotFoundError:
                raise ConfigError(
                    f"Elasticsearch knows no snapshot repository {self._name}: register it"
                    " (docs/retention.md), or name another in elasticsearch.snapshot_repository"
                ) from None

    def make(self, now: datetime, offsets: Mapping[int, int], topic: str) -> str:
        """Begins a snapshot and waits for it; returns its name. FatalError where parts are missing."""
        name = f"{self._prefix}-{now:%Y.%m.%d-%H.%M.%S}"
        told = {"offsets": {str(number): offset for number, offset in offsets.items()}, "topic": topic}
        with answering(self._client, self._what):
            self._client.snapshot.create(
                repository=self._name,
                snapshot=name,
                indices=f"{alias(self._prefix)}-*,{self._prefix}-answers",
                ignore_unavailable=True,
                include_global_state=False,
                metadata={"groundswell": told},
                wait_for_completion=False,
            )
        while (state := self.one(name).state) == "IN_PROGRESS":
            time.sleep(_POLL)
        if state != "SUCCESS":
            raise FatalError(f"the snapshot {name} in {self._name} is {state}: see the log of Elasticsearch")
        return name

    def all(self) -> list[Snapshot]:
        """Those of our prefix, the oldest first."""
        self.check()
        with answering(self._client, self._what):
            held = self._client.snapshot.get(
                repository=self._name, snapshot=f"{self._prefix}-*", ignore_unavailable=True
            )
        ours = [_snapshot(one) for one in held["snapshots"] if "groundswell" in one.get("metadata", {})]
        return sorted(ours, key=lambda one: one.began_at)

    def one(self, name: str) -> Snapshot:
        """The snapshot of that name; ConfigError where there is none of ours."""
        found = next((one for one in self.all() if one.name == name), None)
        if found is None:
            raise ConfigError(f"{self._name} has no snapshot {name} of ours: see `groundswell backup --list`")
        return found

    def bring_back(self, snapshot: Snapshot) -> None:
        """Restores all its indices, which must not be there, and waits until they can be read."""
        with answering(self._client, self._what):
            self._client.snapshot.restore(
                repository=self._name,
                snapshot=snapshot.name,
                indices=",".join(snapshot.indices),
                include_global_state=False,
                wait_for_completion=False,
            )
        for index in snapshot.indices:
            while not self._is_there(index):
                time.sleep(_POLL)

    def _is_there(self, index: str) -> bool:
        """Whether every primary shard of an index is at work."""
        with answering(self._client, index):
            try:
                health: Any = self._client.cluster.health(index=index, level="indices")
            except NotFoundError:
                return False
        found = health["indices"].get(index)
        # Yellow does not tell: so is an index whose first shard is only on its way from the repository.
        return bool(found) and found["active_primary_shards"] == found["number_of_shards"]


def _snapshot(held: Any) -> Snapshot:
    told = held["metadata"]["groundswell"]
    return Snapshot(
        name=held["snapshot"],
        state=held["state"],
        began_at=datetime.fromtimestamp(held["start_time_in_millis"] / 1000, UTC),
        indices=tuple(sorted(held["indices"])),
        offsets={int(number): offset for number, offset in told["offsets"].items()},
        topic=told["topic"],
    )
