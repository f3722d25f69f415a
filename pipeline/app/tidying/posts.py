"""Posts past their time leave the index: months whole, undated posts and old stubs one by one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from elasticsearch import Elasticsearch

from pipeline.app.scan import Hit, scan
from pipeline.core.index_name import alias, undated
from pipeline.core.retention import Expiry, month_of, months_back
from sinks import months
from sinks.elastic import answering
from sinks.reading import event_of

_PAGE = 1000

_DATES = [
    "id",
    "source",
    "kind",
    "author.id",
    "created_at",
    "collected_at",
    "deleted",
    "version",
    "processed_at",
]


def drop(client: Elasticsearch, prefix: str, index: str, expiry: Expiry) -> None:
    """Drops a month. What lies in it and is not past its time moves to the undated index, where a rebuild
    would put it: posts whose edit came without their date.

    Meanwhile writers of that month wait: nothing may be written that is then not moved. Where it dies
    half-way, :func:`interrupted` names the month.
    """
    months.block(client, prefix, index)
    refresh(client, index)
    began = month_of(index)
    assert began is not None
    ours = {"range": {"created_at": {"gte": began.isoformat(), "lt": months_back(began, -1).isoformat()}}}
    for page in scan(client, index, {"bool": {"must_not": [ours]}}, _PAGE):
        months.move(client, [hit for hit in page if not _is_past(hit, prefix, expiry)], undated(prefix))
    months.remove(client, [index])


def interrupted(indices: list[months.Index], expiry: Expiry) -> list[str]:
    """The months that somebody began to drop."""
    return [one.name for one in indices if one.blocked and not one.closed and expiry.index(one.name)]


def undated_posts(client: Elasticsearch, prefix: str, expiry: Expiry) -> Iterator[list[Hit]]:
    """Pages of the posts of the undated index that are past their time, without what they say."""
    before = {"lt": expiry.posts.isoformat()}
    maybe = [{"range": {name: before}} for name in ("created_at", "collected_at", "processed_at")]
    query = {"bool": {"should": maybe, "minimum_should_match": 1}}
    for page in scan(client, undated(prefix), query, _PAGE, source_includes=_DATES):
        yield [hit for hit in page if _is_past(hit, prefix, expiry)]


def old_stubs(client: Elasticsearch, prefix: str, expiry: Expiry) -> Iterator[list[Hit]]:
    """Pages of the stubs of all indices whose deletion is past its time."""
    query = {
        "bool": {
            "filter": [
                {"term": {"deleted": True}},
                {"range": {"processed_at": {"lt": expiry.stubs.isoformat()}}},
            ]
        }
    }
    yield from scan(client, f"{alias(prefix)}-*", query, _PAGE, source=False)


def erase(client: Elasticsearch, prefix: str, pages: Iterator[list[Hit]]) -> int:
    """Deletes the documents of the pages, in closed months too; returns how many there were."""
    count = 0
    for page in pages:
        for index in {hit["_index"] for hit in page}:
            months.reopen(client, prefix, index)
        months.erase(client, page)
        count += len(page)
    return count


def refresh(client: Elasticsearch, index: str) -> None:
    """What was written up to now is found from now on."""
    with answering(client, index):
        client.indices.refresh(index=index, ignore_unavailable=True)


def _is_past(hit: Hit, prefix: str, expiry: Expiry) -> bool:
    """Whether the post would be past its time in the log: by its own dates, wherever it lies."""
    source: dict[str, Any] = hit["_source"]
    event = event_of(source, undated(prefix))
    return expiry.post(event.post, event.processed_at) or (
        event.post.deleted and event.processed_at < expiry.stubs
    )
