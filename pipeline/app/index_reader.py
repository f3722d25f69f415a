"""All documents of the index, by id and version, without what they say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from elasticsearch import Elasticsearch, NotFoundError

from pipeline.app.audit import Document
from pipeline.app.scan import scan
from pipeline.core.index_name import alias
from sinks.elastic import answering

_PAGE = 10_000


def documents(client: Elasticsearch, prefix: str) -> Iterator[tuple[str, Document]]:
    """Id and document of every post in the index, once an index. An absent index has none.

    Raises RetryableError when Elasticsearch is away, ConfigError when it refuses us.
    """
    pattern = f"{alias(prefix)}-*"
    with answering(client), suppress(NotFoundError):
        client.indices.refresh(index=pattern)
    stubs = scan(client, pattern, _STUB_WITH_TEXT, _PAGE, source=False)
    talkative = {hit["_id"] for page in stubs for hit in page}
    everything = scan(
        client, pattern, {"match_all": {}}, _PAGE, source=False, docvalue_fields=[{"field": "deleted"}]
    )
    for page in everything:
        for hit in page:
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
