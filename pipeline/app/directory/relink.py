"""Which posts are to be linked anew because customers changed, and which of them differ: pure.

A post is found by the keys of what it shows and of its author's handle (`contacts`), by the id of its
author, and by the customer whom it is linked to already. What the link should be is reckoned with the
very rule that enrich uses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from pipeline.app.producer import Record
from pipeline.core.customer import Customer
from pipeline.core.headers import again
from pipeline.core.linking import Directory, author_ids, keys_of, link
from pipeline.core.portions import portions
from pipeline.core.post import encode_post
from pipeline.core.rerouting import Before
from pipeline.core.version import MAX_OPERATION, unpack
from pipeline.identity.directory import Change
from sinks.reading import event_of

TERMS = 30_000
"""Ids and keys of one query. Elasticsearch takes twice as many of each."""


class Targets(Struct, frozen=True):
    """What to look for: ids of customers, keys in hexadecimal, ids of authors; and where in the topic the
    changes stand."""

    ids: frozenset[str]
    keys: frozenset[str]
    accounts: frozenset[str]
    places: dict[int, int]


def targets_of(changes: Iterable[Change], before: Mapping[str, Customer]) -> Targets:
    """Where posts touched by the changes are found. ``before`` are the customers as they were.

    The old keys count as much as the new ones: who shares a key with somebody loses their posts, and gets
    them back when the other one gives it up.
    """
    ids: set[str] = set()
    keys: set[bytes] = set()
    accounts: set[str] = set()
    places: dict[int, int] = {}
    for change in changes:
        ids.add(change.customer_id)
        places[change.partition] = max(change.offset, places.get(change.partition, -1))
        for customer in (change.customer, before.get(change.customer_id)):
            if customer is not None:
                keys |= keys_of(customer)
                for account in customer.accounts:
                    accounts.update(author_ids(account))
    found = frozenset(key.hex() for key in keys)
    return Targets(frozenset(ids), found, frozenset(accounts), places)


def joined(several: Sequence[Targets]) -> Targets:
    """All of them as one."""
    places: dict[int, int] = {}
    for targets in several:
        for partition, offset in targets.places.items():
            places[partition] = max(offset, places.get(partition, -1))
    nobody: frozenset[str] = frozenset()
    return Targets(
        nobody.union(*(targets.ids for targets in several)),
        nobody.union(*(targets.keys for targets in several)),
        nobody.union(*(targets.accounts for targets in several)),
        places,
    )


def queries(targets: Targets, terms: int = TERMS) -> Iterator[dict[str, Any]]:
    """Queries that together find every live inbound post that the changes may touch."""
    wanted = (
        ("customer.id", targets.ids),
        ("contacts.key", targets.keys),
        ("author.id", targets.accounts),
    )
    for name, values in wanted:
        for some in portions(sorted(values), terms):
            yield {
                "bool": {
                    "filter": [{"terms": {name: some}}],
                    "must_not": [{"term": {"deleted": True}}, {"term": {"direction": "outbound"}}],
                }
            }


def relinked(
    document: Mapping[str, Any], version: int, directory: Directory, places: Mapping[int, int], topic: str
) -> Record | None:
    """The record that has the post linked anew; None where its link is right, or it is never linked.

    ``document`` is the whole ``_source``, ``version`` its version, ``topic`` that of the posts. Raises
    RejectedError where the document is no post.
    """
    if document.get("deleted") or document.get("direction") == "outbound":
        return None
    event = event_of(document)
    post = event.post
    if link(post.source, post.author, event.contacts, directory) == event.customer:
        return None
    # An equal version is written too, so the last operation of all can be used again and again.
    operation = min(unpack(version)[1] + 1, MAX_OPERATION)
    # That a post turns out to be a vulnerable customer's must bring it to their queue; that rules or steps
    # are others than a year ago must not, only because its customer's record was touched last night.
    headers = again(operation, places, Before(event.routes, held=True, by_customer=True))
    return Record(topic, post.id.encode(), encode_post(post), headers)
