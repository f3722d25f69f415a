"""The indices of single months over the years: which there are, closing them to writing, merging, opening.

A month that we closed bears the alias ``PREFIX-closed`` beside its write block, so that it can be told from
one that somebody else blocked: the sink lifts the first by itself when a late edit or deletion comes.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from elasticsearch import Elasticsearch, NotFoundError
from msgspec import Struct

from pipeline.core.errors import RetryableError
from pipeline.core.index_name import alias, holds_posts
from sinks._client import answering, cause_of, request
from sinks._outcome import Cause, Verdict, judge

_log = logging.getLogger("groundswell.months")

_encode = msgspec.json.Encoder().encode

_GONE = ("index_not_found_exception", "aliases_not_found_exception")


class Index(Struct, frozen=True):
    """An index of posts. ``posts`` counts stubs too; ``replaced`` are documents that are deleted or replaced
    and still in its files; ``segments`` are those of its fullest shard. ``closed``: by us, to writing."""

    name: str
    uuid: str
    posts: int
    replaced: int
    segments: int
    closed: bool
    blocked: bool


def closed_alias(prefix: str) -> str:
    """The alias that the months bear which are closed to writing."""
    return f"{prefix}-closed"


def indices(client: Elasticsearch, prefix: str) -> list[Index]:
    """All open indices of posts by name, the undated one too; raises RetryableError, ConfigError."""
    pattern = f"{alias(prefix)}-*"
    with answering(client):
        try:
            held = client.indices.get(index=pattern, expand_wildcards="open").body
            told = client.indices.stats(index=pattern, metric=["docs", "segments"], level="shards").body
        except NotFoundError:
            return []
    stats = told["indices"]
    return [
        _index(name, held[name], stats[name], closed_alias(prefix))
        for name in sorted(held)
        if name in stats and holds_posts(prefix, name)
    ]


def _index(name: str, held: Any, stats: Any, mark: str) -> Index:
    settings = held["settings"]["index"]
    shards = [copy["segments"]["count"] for copies in stats.get("shards", {}).values() for copy in copies]
    docs = stats["primaries"].get("docs", {})
    return Index(
        name=name,
        uuid=settings["uuid"],
        posts=docs.get("count", 0),
        replaced=docs.get("deleted", 0),
        segments=max(shards, default=0),
        closed=mark in held.get("aliases", {}),
        blocked=str(settings.get("blocks", {}).get("write", "")).lower() == "true",
    )


def close(client: Elasticsearch, prefix: str, index: str) -> None:
    """Closes an index to writing, once what is being written is in it. Repeatable."""
    with answering(client, index):
        # The mark first: whoever meets the block must see whose it is.
        client.indices.put_alias(index=index, name=closed_alias(prefix))
        client.indices.add_block(index=index, block="write")


def block(client: Elasticsearch, prefix: str, index: str) -> None:
    """Has writers wait: the index is about to be dropped, and the mark of a closed one goes."""
    with answering(client, index):
        client.options(ignore_status=404).indices.delete_alias(index=index, name=closed_alias(prefix))
        client.indices.add_block(index=index, block="write")


def reopen(client: Elasticsearch, prefix: str, index: str) -> bool:
    """Opens an index that :func:`close` closed; False where it is not one. Safe for several at once."""
    mark = closed_alias(prefix)
    with answering(client, index):
        try:
            if not client.indices.exists_alias(index=index, name=mark):
                return False
            # The block first: a death in between leaves an open index that is closed once more.
            client.indices.put_settings(index=index, settings={"index.blocks.write": None})
            _log.info("%s takes writes again: a late edit or deletion has come", index)
            client.indices.delete_alias(index=index, name=mark)
        except NotFoundError as error:
            if cause_of(error).type not in _GONE:
                raise
    return True


def merge(client: Elasticsearch, index: str) -> None:
    """Has an index merged to one segment a shard, which also wipes what is deleted from its files. Returns
    at once; the server works on for minutes."""
    with answering(client, index):
        path = f"/{index}/_forcemerge?max_num_segments=1&wait_for_completion=false"
        request(client, "POST", path)


def remove(client: Elasticsearch, names: list[str]) -> None:
    """Deletes indices; those that are gone already do no harm."""
    for name in names:
        with answering(client, name):
            client.indices.delete(index=name, ignore_unavailable=True)


def move(client: Elasticsearch, hits: Sequence[Mapping[str, Any]], target: str) -> None:
    """Writes hits of a search, with source and version, into another index; what is newer there stays."""
    lines = []
    for hit in hits:
        lines += [_line("index", target, hit["_id"], hit["_version"]), _encode(hit["_source"])]
    _write(client, target, lines)


def erase(client: Elasticsearch, hits: Sequence[Mapping[str, Any]]) -> None:
    """Deletes the documents of hits with their versions; one that was replaced meanwhile stays."""
    for index in sorted({hit["_index"] for hit in hits}):
        here = [hit for hit in hits if hit["_index"] == index]
        _write(client, index, [_line("delete", index, hit["_id"], hit["_version"]) for hit in here])


def _line(verb: str, index: str, id: str, version: int) -> bytes:
    head = {"_index": index, "_id": id, "version": version, "version_type": "external_gte"}
    return _encode({verb: head})


def _write(client: Elasticsearch, index: str, lines: Sequence[bytes]) -> None:
    if not lines:
        return
    with answering(client, index):
        answer = request(
            client, "POST", "/_bulk?filter_path=errors,items.*.status,items.*.error", _body(lines), lines=True
        )
    for item in answer["items"] if answer["errors"] else ():
        ((_, told),) = item.items()
        outcome = judge(told["status"], msgspec.convert(told.get("error", {}), Cause), index)
        if told["status"] != 404 and outcome.verdict not in (Verdict.APPLIED, Verdict.SUPERSEDED):
            raise RetryableError(outcome.words, outcome.retry_after)


def _body(lines: Sequence[bytes]) -> bytes:
    return b"\n".join(lines) + b"\n"
