"""Whole documents of posts that match a query, page by page, as of one moment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from elasticsearch import ApiError, Elasticsearch, NotFoundError, TransportError

from pipeline.core.errors import RetryableError
from pipeline.core.index_name import alias
from sinks.elastic import answering

# Whole posts: a page of the longest is still bearable.
PAGE = 500
_KEEP = "2m"


class PostsReader:
    """Reads the posts of one installation. Every method raises RetryableError when Elasticsearch is away,
    ConfigError when it refuses us."""

    def __init__(self, client: Elasticsearch, prefix: str) -> None:
        self._client = client
        self._pattern = f"{alias(prefix)}-*"

    def pages(self, query: Mapping[str, Any]) -> Iterator[list[tuple[int, dict[str, Any]]]]:
        """Version and ``_source`` of each document. Without any index there is none."""
        with answering(self._client):
            yield from self._pages(dict(query))

    def _pages(self, query: dict[str, Any]) -> Iterator[list[tuple[int, dict[str, Any]]]]:
        client = self._client
        try:
            point: str = client.open_point_in_time(index=self._pattern, keep_alive=_KEEP)["id"]
        except NotFoundError:
            return
        after: list[Any] | None = None
        try:
            while True:
                answer = self._page(point, query, after)
                hits: list[dict[str, Any]] = answer["hits"]["hits"]
                point = answer["pit_id"]
                if hits:
                    yield [(hit["_version"], hit["_source"]) for hit in hits]
                if len(hits) < PAGE:
                    return
                after = hits[-1]["sort"]
        finally:
            # It ends by itself, too; what went wrong before must not be hidden behind this.
            with suppress(ApiError, TransportError):
                client.close_point_in_time(id=point)

    def _page(self, point: str, query: dict[str, Any], after: list[Any] | None) -> Any:
        try:
            return self._client.search(
                pit={"id": point, "keep_alive": _KEEP},
                query=query,
                size=PAGE,
                sort=[{"_shard_doc": "asc"}],
                search_after=after,
                version=True,
                track_total_hits=False,
                allow_partial_search_results=False,
            )
        except NotFoundError:
            # Pages that nobody asked for during two minutes, a server that was started anew: the rest was
            # not seen, and must not be taken for none.
            raise RetryableError("Elasticsearch has forgotten where we were among the posts") from None

    def refresh(self) -> None:
        """All that was written is found from now on."""
        with answering(self._client), suppress(NotFoundError):
            self._client.indices.refresh(index=self._pattern)
