"""The names of customers beside their posts: joined when posts are read, for a post itself holds no name."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence

from pipeline.core.portions import portions
from sinks.store import Store

PAGE = 500
"""Rows whose customers are asked for at once."""

Row = Mapping[str, object]


def with_names(rows: Iterable[Row], customers: Store) -> Generator[Row]:
    """The rows in order, each with ``customer.name`` where it has a customer that the index knows.

    Read a page at a time. Raises RetryableError where Elasticsearch is away.
    """
    for page in portions(rows, PAGE):
        names = names_of([id for row in page if (id := _customer(row))], customers)
        for row in page:
            name = names.get(_customer(row))
            inner = row.get("customer")
            yield {**row, "customer": {**inner, "name": name}} if name and isinstance(inner, Mapping) else row


def names_of(ids: Sequence[str], customers: Store) -> dict[str, str]:
    """The names of those customers that the index knows and that have one; not of who said no."""
    found = customers.get(list(dict.fromkeys(ids))) if ids else {}
    return {
        id: name
        for id, record in found.items()
        if record.source.get("consent") is not False and (name := str(record.source.get("name") or ""))
    }


def _customer(row: Row) -> str:
    inner = row.get("customer")
    return str(inner.get("id") or "") if isinstance(inner, Mapping) else ""
