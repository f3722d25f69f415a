"""All documents that match a query, page by page, as of one moment: every one of them, or an error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from elasticsearch import ApiError, Elasticsearch, NotFoundError, TransportError

from pipeline.core.errors import RetryableError
from sinks.elastic import answering

_KEEP = "2m"

Hit = dict[str, Any]


def scan(
    client: Elasticsearch, pattern: str, query: Mapping[str, Any], size: int, **ask: Any
) -> Iterator[list[Hit]]:
    """Pages of at most ``size`` hits with their versions; none where no index fits ``pattern``. ``ask`` is
    what else the search is to say, such as ``source``.

    Raises RetryableError when Elasticsearch is away or has not seen all, ConfigError when it refuses us.
    """
    with answering(client):
        try:
            point: str = client.open_point_in_time(index=pattern, keep_alive=_KEEP)["id"]
        except NotFoundError:
            return
        question = {**_ALL_OR_NOTHING, "query": dict(query), "size": size, **ask}
        after: list[Any] | None = None
        try:
            while True:
                answer = _page(client, {**question, "pit": {"id": point, "keep_alive": _KEEP}}, after)
                hits: list[Hit] = answer["hits"]["hits"]
                point = answer["pit_id"]
                if hits:
                    yield hits
                if len(hits) < size:
                    return
                after = hits[-1]["sort"]
        finally:
            # It ends by itself, too; what went wrong before must not be hidden behind this.
            with suppress(ApiError, TransportError):
                client.close_point_in_time(id=point)


_ALL_OR_NOTHING: Hit = {
    "sort": [{"_shard_doc": "asc"}],
    "version": True,
    "track_total_hits": False,
    "allow_partial_search_results": False,
}


def _page(client: Elasticsearch, question: Mapping[str, Any], after: list[Any] | None) -> Any:
    try:
        return client.search(**question, search_after=after)
    except NotFoundError:
        # Pages that nobody asked for during two minutes, a server that was started anew: the rest was
        # not seen, and must not be taken for none.
        raise RetryableError("Elasticsearch has forgotten where we were among the posts") from None
