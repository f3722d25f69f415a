"""Questions to the index: posts that match, how many, and how many of each value.

Builds requests (pure) and reads answers page by page, so that an export of any size is held a page
at a time. Deletions' stubs are left out unless asked for.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from elasticsearch import BadRequestError, Elasticsearch
from msgspec import Struct

from pipeline.app.fields import exact, is_field, unknown
from pipeline.core.errors import ConfigError
from sinks.elastic import answering

PAGE = 500
"""Documents in one answer: a text may have a megabyte."""

BUCKETS = 1000
KEEP = "2m"

Query = dict[str, Any]

INTERVALS = {"hour": "yyyy-MM-dd'T'HH:mm'Z'", "day": "yyyy-MM-dd", "week": "yyyy-MM-dd", "month": "yyyy-MM"}
"""Steps of a time series, and how each writes the start of a step."""


class Search(Struct, frozen=True, kw_only=True):
    """Which posts: ``text`` in the Lucene style, over the posts' text unless it names fields; created
    from ``since`` on and before ``until``; stubs of the deleted too where ``deleted`` is set."""

    text: str = "*"
    since: datetime | None = None
    until: datetime | None = None
    deleted: bool = False


def query_of(search: Search) -> Query:
    """The query in Elasticsearch's terms. Raises ConfigError for a field that the index does not have."""
    conditions: list[Query] = []
    text = search.text.strip()
    if text not in ("", "*", "*:*"):
        _check_fields(text)
        conditions.append({"query_string": {"query": text, "default_field": "text", "lenient": True}})
    span = {"gte": search.since, "lt": search.until}
    if limits := {side: moment.isoformat() for side, moment in span.items() if moment is not None}:
        conditions.append({"range": {"created_at": limits}})
    bare: Query = {"bool": {"filter": conditions}}
    if not search.deleted:
        bare["bool"]["must_not"] = [{"term": {"deleted": True}}]
    return bare


_QUOTED = re.compile(r'\\.|"(?:\\.|[^"\\])*"|/(?:\\.|[^/\\])*/')
_FIELD = re.compile(r"(?:^|[\s(+!-])([A-Za-z_][\w.*-]*):")


def _check_fields(text: str) -> None:
    """A misspelt field would match nothing and look like an answer."""
    for name in _FIELD.findall(_QUOTED.sub('""', text)):
        if name == "_exists_" or "*" in name or is_field(name):
            continue
        raise ConfigError(f"{unknown(name)}; write \\: for a colon in the text")


def sort_of(written: str) -> list[Query]:
    """``FIELD`` or ``FIELD:asc`` or ``FIELD:desc``; numbers and times fall unless told otherwise.

    Posts without the field come last, and ties go by id, so that the order is always the same.
    Raises ConfigError.
    """
    name, _, order = written.partition(":")
    field = exact(name, "sort by")
    if not order:
        order = "asc" if field.type in ("keyword", "text", "flattened") else "desc"
    if order not in ("asc", "desc"):
        raise ConfigError(f"cannot sort `{order}`: write {name}:asc or {name}:desc")
    first: Query = {field.exact: {"order": order, "missing": "_last", "unmapped_type": "keyword"}}
    return [first] if field.name == "id" else [first, {"id": {"order": "asc", "unmapped_type": "keyword"}}]


def count(client: Elasticsearch, index: str, search: Search) -> int:
    """How many posts match. Raises ConfigError, RetryableError."""
    with asking(client):
        answer = client.search(
            index=index,
            query=query_of(search),
            size=0,
            track_total_hits=True,
            allow_partial_search_results=False,
            ignore_unavailable=True,
        )
    total: int = answer["hits"]["total"]["value"]
    return total


def documents(  # noqa: PLR0913 - one question, in its parts
    client: Elasticsearch,
    index: str,
    search: Search,
    *,
    sort: str = "created_at:desc",
    fields: Sequence[str] = (),
    limit: int | None = None,
) -> Generator[Mapping[str, object]]:
    """The documents that match, in order, with the ``fields`` (all if empty), at most ``limit``.

    All of one moment, however long the reading takes; close it where it is not read to its end.
    Raises ConfigError, RetryableError.
    """
    question: Query = {
        "query": query_of(search),
        "sort": sort_of(sort),
        "source": {"includes": list(fields)} if fields else True,
        "track_total_hits": False,
        "allow_partial_search_results": False,
    }
    with asking(client):
        yield from _pages(client, index, question, limit)


def _pages(
    client: Elasticsearch, index: str, question: Query, limit: int | None
) -> Iterator[Mapping[str, object]]:
    point = client.open_point_in_time(index=index, keep_alive=KEEP, ignore_unavailable=True)["id"]
    after: list[Any] | None = None
    left = limit
    try:
        while left is None or left > 0:
            size = PAGE if left is None else min(PAGE, left)
            pit = {"id": point, "keep_alive": KEEP}
            answer = client.search(pit=pit, size=size, search_after=after, **question)
            # The server may give the same point another name from page to page.
            point = answer.get("pit_id", point)
            hits = answer["hits"]["hits"]
            for hit in hits:
                yield hit["_source"]
            if len(hits) < size:
                return
            after = hits[-1]["sort"]
            left = None if left is None else left - len(hits)
    finally:
        client.close_point_in_time(id=point)


def tally(client: Elasticsearch, index: str, search: Search, by: str) -> list[tuple[object, int]]:
    """Every value of the field ``by`` with the number of posts that have it, the most frequent first.

    ``created_at:day`` (or hour, week, month; day where none is said) gives a series in time, by the start of
    each step in UTC; steps without posts are left out. Raises ConfigError, RetryableError.
    """
    source, in_time = source_of(by)
    query = query_of(search)
    counts: list[tuple[object, int]] = []
    after: dict[str, Any] | None = None
    with asking(client):
        while True:
            values: Query = {"size": BUCKETS, "sources": [{"value": source}]}
            if after is not None:
                values["after"] = after
            answer = client.search(
                index=index,
                query=query,
                size=0,
                aggs={"values": {"composite": values}},
                track_total_hits=False,
                allow_partial_search_results=False,
                ignore_unavailable=True,
            )
            # No index at all: the answer then has no aggregations either.
            found = answer.get("aggregations", {}).get("values", {"buckets": []})
            counts += [(bucket["key"]["value"], bucket["doc_count"]) for bucket in found["buckets"]]
            after = found.get("after_key")
            if after is None:
                break
    return counts if in_time else sorted(counts, key=lambda pair: -pair[1])


def source_of(by: str) -> tuple[Query, bool]:
    """The source of a composite aggregation by a field's values or steps in time, and whether it is time."""
    name, _, interval = by.partition(":")
    field = exact(name, "count by")
    if field.type != "date" and not interval:
        return {"terms": {"field": field.exact}}, False
    interval = interval or "day"
    if field.type != "date" or interval not in INTERVALS:
        raise ConfigError(f"cannot count by `{by}`: write created_at:hour, :day, :week or :month")
    return {
        "date_histogram": {
            "field": field.exact,
            "calendar_interval": interval,
            "format": INTERVALS[interval],
        }
    }, True


@contextmanager
def asking(client: Elasticsearch) -> Iterator[None]:
    """A fault of the question is the asker's; all else is as :func:`sinks.elastic.answering` says."""
    with answering(client):
        try:
            yield
        except BadRequestError as error:
            raise ConfigError(_plain(error)) from None


def _plain(error: BadRequestError) -> str:
    body = error.body if isinstance(error.body, dict) else {}
    inner = body.get("error", {})
    causes = inner.get("root_cause", []) if isinstance(inner, dict) else []
    reason = str(causes[0].get("reason", "")) if causes else str(error)
    if parsed := re.match(r"Failed to parse query \[(.*)\]", reason, re.DOTALL):
        return (
            f"cannot read the query `{parsed[1]}`: check its quotes, brackets and AND, OR, NOT,"
            " or put a backslash before the sign that is meant as text"
        )
    return f"Elasticsearch cannot answer this: {reason}"
