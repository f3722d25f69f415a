"""What waits in the queues, with the customer, the author and the words beside each case.

A case itself holds none of these: they are read from where they live, so they are what they are now.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from elasticsearch import Elasticsearch, NotFoundError
from msgspec import Struct

from pipeline.app.joining import names_of
from pipeline.core.case import OPEN, Case
from pipeline.core.index_name import alias
from pipeline.core.portions import portions
from pipeline.core.settings import ElasticsearchSettings
from sinks.cases import Cases
from sinks.elastic import answering
from sinks.store import Store

_PORTION = 200
# Who has had an answer waits behind those who have had none.
_ORDER = (
    {"priority": "asc"},
    {"first_response_at": {"order": "asc", "missing": "_first"}},
    {"due_at": {"order": "asc", "missing": "_last"}},
    {"id": "asc"},
)
_QUEUES = 10_000
_OF_POST = (
    "id",
    "text",
    "url",
    "created_at",
    "deleted",
    "author.handle",
    "author.name",
    "complaint.category",
)

Row = dict[str, Any]


class Total(Struct, frozen=True):
    """How a queue stands: cases that are not done, those that nobody has, those without a first response
    although it was due."""

    queue: str
    open: int
    unassigned: int
    late: int


class CaseList:
    """Reads cases with what belongs beside them. Raises RetryableError, ConfigError."""

    def __init__(self, client: Elasticsearch, settings: ElasticsearchSettings, cases: Cases) -> None:
        self._client = client
        self._posts = alias(settings.prefix)
        self._customers = Store(client, settings, "customers")
        self._cases = cases

    def rows(self, queue: str = "", *, all_states: bool = False, limit: int | None = None) -> Iterator[Row]:
        """The cases of a queue, or of all, in the order in which they are to be worked on."""
        found = self._cases.all(_query(queue, all_states), sort=_ORDER, limit=limit)
        return self.joined(held.case for held in found)

    def since(self, moment: datetime, queue: str = "") -> list[Case]:
        """What was written from that moment on, in any state, oldest first; also what left the queue."""
        query = {"range": {"written_at": {"gte": moment.isoformat()}}}
        found = self._cases.all(query, sort=({"written_at": "asc"}, {"id": "asc"}))
        return [held.case for held in found if not queue or queue in _queues_of(held.case)]

    def totals(self, now: datetime) -> list[Total]:
        """Each queue that has cases which are not done, by name."""
        late = {
            "bool": {
                "filter": [{"range": {"due_at": {"lt": now.isoformat()}}}],
                "must_not": [{"exists": {"field": "first_response_at"}}],
            }
        }
        each = {"late": {"filter": late}, "unassigned": {"filter": {"term": {"state": "new"}}}}
        with answering(self._client, self._cases.store.index):
            answer = self._client.search(
                index=self._cases.store.index,
                query=_query("", False),
                size=0,
                aggs={"queues": {"terms": {"field": "queue", "size": _QUEUES}, "aggs": each}},
                ignore_unavailable=True,
                track_total_hits=False,
            )
        buckets = answer.get("aggregations", {}).get("queues", {"buckets": []})["buckets"]
        return sorted(
            (
                Total(one["key"], one["doc_count"], one["unassigned"]["doc_count"], one["late"]["doc_count"])
                for one in buckets
            ),
            key=lambda total: total.queue,
        )

    def joined(self, cases: Iterable[Case]) -> Iterator[Row]:
        """A row for each case: its own fields, the customer's name, and what its newest post says."""
        for portion in portions(cases, _PORTION):
            names = self._names([case.customer_id for case in portion if case.customer_id])
            posts = self.posts([case.posts[-1] for case in portion if case.posts])
            for case in portion:
                yield _row(case, names, posts.get(case.posts[-1], {}) if case.posts else {})

    def posts(self, ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """What the index holds of these posts."""
        found: dict[str, Mapping[str, Any]] = {}
        for portion in portions(ids, _PORTION):
            with answering(self._client):
                try:
                    answer = self._client.search(
                        index=self._posts,
                        query={"terms": {"id": portion}},
                        size=_PORTION * 2,
                        source_includes=list(_OF_POST),
                        track_total_hits=False,
                        ignore_unavailable=True,
                    )
                except NotFoundError:
                    return {}
            found |= {hit["_source"]["id"]: hit["_source"] for hit in answer["hits"]["hits"]}
        return found

    def _names(self, ids: Sequence[str]) -> dict[str, str]:
        return names_of(ids, self._customers)


def _query(queue: str, all_states: bool) -> dict[str, Any]:
    conditions: list[dict[str, Any]] = []
    if queue:
        conditions.append({"term": {"queue": queue}})
    if not all_states:
        conditions.append({"terms": {"state": list(OPEN)}})
    return {"bool": {"filter": conditions}}


def _queues_of(case: Case) -> set[object]:
    """The queue of a case and the one from which it just came."""
    return {case.queue, case.history[-1].before.queue}


def _row(case: Case, names: Mapping[str, str], post: Mapping[str, Any]) -> Row:
    author = post.get("author") or {}
    return {
        "case": case.id,
        "queue": case.queue,
        "priority": case.priority,
        "due_at": case.due_at,
        "state": case.state,
        "assignee": case.assignee,
        "customer": names.get(case.customer_id, ""),
        "customer_id": case.customer_id,
        "author": author.get("handle") or author.get("name") or case.author_id,
        "rule": case.rule,
        "category": (post.get("complaint") or {}).get("category", ""),
        "text": post.get("text", ""),
        "post": case.posts[-1] if case.posts else "",
        "posts": len(case.posts),
        "opened_at": case.opened_at,
        "first_response_at": case.first_response_at,
        "resolved_at": case.resolved_at,
        "updated_at": case.updated_at,
        "revision": case.revision,
    }


def due_in_words(row: Mapping[str, Any], now: datetime) -> str:
    """When the first response is due, as seen from now: "in 25 min", "3 h late"; or that it was given.
    Of a case that was resolved without one, none is due any more."""
    if row["first_response_at"] is not None:
        return "answered"
    if row["due_at"] is None or row.get("state") == "resolved":
        return "—"
    left: timedelta = row["due_at"] - now
    return f"in {span(left)}" if left >= timedelta() else f"{span(-left)} late"


def span(length: timedelta) -> str:
    """A length of time in its largest unit: minutes, hours, days."""
    minutes = int(length.total_seconds() // 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} d"
