"""Cases past their time: resolved, not touched since, and without a post that is still there.

Read from the journal, so that a run that died half-way is completed by the next. Our own answers are
remembered beside the cases, and go when they are as old.
"""

from __future__ import annotations

from collections.abc import Mapping

from elasticsearch import Elasticsearch

from pipeline.app.cases.journal import folded, journaled
from pipeline.app.producer import Producer, Record
from pipeline.app.reconstruction import Log
from pipeline.app.topics import Topics
from pipeline.core.case import Case, Entry, Step
from pipeline.core.index_name import alias
from pipeline.core.portions import portions
from pipeline.core.retention import Expiry
from sinks.cases import Cases
from sinks.elastic import answering

_PORTION = 500


def sweep(written: Log, cases: Cases, prefix: str, expiry: Expiry) -> int:
    """Deletes the cases and the steps of their journal; returns how many. A case that somebody changes in
    this moment stays. Raises RetryableError where a server is away."""
    brokers, topics, producer = written
    steps = journaled(brokers, topics)
    whole = {case.id: case for case in folded(steps)}
    past = {id: case for id, case in whole.items() if is_past(case, expiry)}
    count = 0
    for portion in portions(past.values(), _PORTION):
        living = _living(cases.store.client, prefix, [post for case in portion for post in case.posts])
        gone = cases.remove([case for case in portion if living.isdisjoint(case.posts)])
        _forget(producer, topics, {case.id: steps[case.id] for case in gone})
        count += len(gone)
    # What an earlier run has begun to forget and left without a beginning.
    left = {id: held for id, held in steps.items() if id not in whole and held and 1 not in held}
    _forget(producer, topics, {id: held for id, held in left.items() if _are_past(held, expiry)})
    cases.forget_answers(expiry.posts)
    return count


def is_past(case: Case, expiry: Expiry) -> bool:
    """Whether nobody has to do with the case any more, by its own dates."""
    return case.state == "resolved" and case.updated_at is not None and case.updated_at < expiry.posts


def _are_past(steps: Mapping[int, Step], expiry: Expiry) -> bool:
    return all(step.at < expiry.posts for step in steps.values())


def _living(client: Elasticsearch, prefix: str, posts: list[str]) -> set[str]:
    """Those of the posts that the index still has."""
    found: set[str] = set()
    for portion in portions(sorted(set(posts)), 1000):
        query = {
            "bool": {"filter": [{"ids": {"values": portion}}], "must_not": [{"term": {"deleted": True}}]}
        }
        with answering(client):
            hits = client.search(
                index=alias(prefix),
                query=query,
                size=len(portion),
                source=False,
                ignore_unavailable=True,
                allow_partial_search_results=False,
            )["hits"]["hits"]
        found |= {hit["_id"] for hit in hits}
    return found


def _forget(producer: Producer, topics: Topics, steps: Mapping[str, Mapping[int, Step]]) -> None:
    """Tombstones for all steps. The first steps go first: a journal without its beginning tells no case."""
    keys = [Entry(case=id, step=step).key for id, held in steps.items() for step in held.values()]
    for first in (True, False):
        chosen = [key for key in keys if key.endswith("/1") is first]
        producer.deliver([Record(topics.cases.name, key.encode(), None) for key in chosen])
