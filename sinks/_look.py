"""How far an index was written to, this instant: what a search shows is up to a second older."""

from __future__ import annotations

from elasticsearch import Elasticsearch, NotFoundError
from msgspec import Struct

from pipeline.core.errors import RetryableError
from sinks._client import answering, request

_FIELDS = "indices.*.uuid,indices.*.shards.*.routing.state,indices.*.shards.*.seq_no.max_seq_no"
_WHOLE = {"STARTED", "RELOCATING"}


class Look(Struct, frozen=True):
    """An index at one moment; equal to an earlier look where nothing was written since.

    ``uuid`` is another for one that was dropped and made anew. ``operations`` are the numbers of the last
    operation in each copy of each shard, the lowest first; below 0 where there was none yet, and none at all
    where that is not known.
    """

    uuid: str
    shards: int
    operations: tuple[int, ...]

    def of(self, shards: int) -> Look:
        """As it is known to have so many shards: one that is lost is not among those that were seen, and
        nothing is known of what was written there."""
        return self if self.shards == shards else Look(self.uuid, self.shards, ())


def look(client: Elasticsearch, index: str) -> Look | None:
    """The index, this instant; None where there is none. Raises RetryableError, ConfigError."""
    with answering(client, index):
        try:
            answer = request(client, "GET", f"/{index}/_stats/docs?level=shards&filter_path={_FIELDS}")
        except NotFoundError:
            return None
    for found in answer.get("indices", {}).values():
        copies = [copy for copies in found.get("shards", {}).values() for copy in copies]
        # One that is coming back counts its operations anew, from its last commit on.
        known = all("seq_no" in copy and copy["routing"]["state"] in _WHOLE for copy in copies)
        numbers = (copy["seq_no"]["max_seq_no"] for copy in copies) if known else ()
        return Look(found["uuid"], len(found.get("shards", {})), tuple(sorted(numbers)))
    return None


def shards_of(client: Elasticsearch, index: str) -> int:
    """How many shards the index was made of, whether they are there or not. Raises RetryableError,
    ConfigError."""
    path = f"/{index}/_settings/index.number_of_shards?filter_path=*.settings.index.number_of_shards"
    with answering(client, index):
        try:
            (found,) = request(client, "GET", path).values()
        except NotFoundError as error:
            raise RetryableError(f"index {index} was dropped in this moment") from error
    return int(found["settings"]["index"]["number_of_shards"])
