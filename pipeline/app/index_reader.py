"""All documents of the index, by id and version, without what they say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from elasticsearch import Elasticsearch, NotFoundError

from pipeline.app.audit import Document
from pipeline.core.index_name import alias
from sinks.elastic import answering

_PAGE = 10_000
_KEEP = "2m"


def documents(client: Elasticsearch, prefix: str) -> Iterator[tuple[str, Document]]:
    """Id and document of every post in the index, once an index. An absent index has none.

    Raises RetryableError when Elasticsearch is away, ConfigError when it refuses us.
    """
    with answering(client), suppress(NotFoundError):
        client.indices.refresh(index=f"{alias(prefix)}-*")
        talkative = {hit["_id"] for hit in _scan(client, prefix, _STUB_WITH_TEXT)}
        for hit in _scan(client, prefix, {"match_all": {}}):
            deleted = hit.get("fields", {}).get("deleted", [False])[0]
            yield hit["_id"], Document(hit["_version"], hit["_index"], deleted, hit["_id"] in talkative)


# What a stub must not hold any more.
_STUB_WITH_TEXT = {
    "bool": {
        "filter": [{"term": {"deleted": True}}],
        "should": [
            {"exists": {"field": name}} for name in ("text", "author.id", "url", "sentiment.compound")
        ],
        "minimum_should_match": 1,
    }
}


def _scan(client: Elasticsearch, prefix: str, query: dict[str, Any]) -> Iterator[dict[str, Any]]:
    point: str = client.open_point_in_time(index=f"{alias(prefix)}-*", keep_alive=_KEEP)["id"]
    after: list[Any] | None = None
    try:
        while True:
            page = client.search(
                pit={"id": point, "keep_alive": _KEEP},
                query=query,
                size=_PAGE,
                sort=[{"_shard_doc": "asc"}],
                search_after=after,
                version=True,
                source=False,
                docvalue_fields=[{"field": "deleted"}],
                track_total_hits=False,
            )
            hits: list[dict[str, Any]] = page["hits"]["hits"]
            yield from hits
            if len(hits) < _PAGE:
                return
            point, after = page["pit_id"], hits[-1]["sort"]
    finally:
        client.close_point_in_time(id=point)
