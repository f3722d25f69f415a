"""Whole documents of posts that match a query, page by page, as of one moment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from elasticsearch import Elasticsearch, NotFoundError

from pipeline.app.scan import scan
from pipeline.core.index_name import alias
from sinks.elastic import answering

# Whole posts: a page of the longest is still bearable.
PAGE = 500


class PostsReader:
    """Reads the posts of one installation. Every method raises RetryableError when Elasticsearch is away,
    ConfigError when it refuses us."""

    def __init__(self, client: Elasticsearch, prefix: str) -> None:
        self._client = client
        self._pattern = f"{alias(prefix)}-*"

    def pages(self, query: Mapping[str, Any]) -> Iterator[list[tuple[int, dict[str, Any]]]]:
        """Version and ``_source`` of each document. Without any index there is none."""
        for hits in scan(self._client, self._pattern, query, PAGE):
            yield [(hit["_version"], hit["_source"]) for hit in hits]

    def refresh(self) -> None:
        """All that was written is found from now on."""
        with answering(self._client), suppress(NotFoundError):
            self._client.indices.refresh(index=self._pattern)
