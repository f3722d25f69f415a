"""Where each post of a batch lives already, so that one id is never in two indices.

An event names the index that its creation date gives. That is not always where the post lives: a
deletion or an edit may come without the date, a deletion before its post, and a post whose date lay
in the future goes to the undated index and is dated when it comes again. Three ways to know, the
cheapest first:

1. what this process wrote lately, from memory;
2. a realtime ``_mget``: on the undated index for posts with a date; over all indices for edits and
   deletions that are not found in the two likely ones;
3. a search by ids, for first sights without a date. It does not see the last second, which memory
   covers; a refresh instead would cost seconds.

A month that retention dropped must not come back for the sake of one late post: what is past its time is
written only where it still lives, and memory does not count there, for the index may be gone.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Lock
from typing import Any

import msgspec
from elasticsearch import Elasticsearch, NotFoundError

from pipeline.core.errors import RetryableError
from pipeline.core.event import Event
from pipeline.core.index_name import alias, undated
from pipeline.core.retention import Expiry
from sinks._client import answering, request
from sinks._outcome import Cause, said

_log = logging.getLogger("groundswell.sink")
_encode = msgspec.json.Encoder().encode

# Pairs of index and id in one request: some megabytes of answer at most.
PAIRS = 10_000
IDS = 10_000  # the most that a search returns

_ABSENT = {"index_not_found_exception", "index_closed_exception"}


class Homes:
    """The index of each id that was written lately; the oldest are forgotten. Thread-safe."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._index: OrderedDict[str, str] = OrderedDict()
        self._lock = Lock()

    def known(self, ids: Iterable[str]) -> dict[str, str]:
        """The index of each id that is remembered."""
        with self._lock:
            index = self._index
            return {id: index[id] for id in ids if id in index}

    def clear(self) -> None:
        """Forgets all: the indices are not those that were written to."""
        with self._lock:
            self._index.clear()

    def remember(self, homes: Iterable[tuple[str, str]]) -> None:
        """Takes in pairs of id and index; only of confirmed writes."""
        with self._lock:
            for id, index in homes:
                self._index[id] = index
                self._index.move_to_end(id)
            while len(self._index) > self._capacity:
                self._index.popitem(last=False)


class Locator:
    """Finds the indices of posts. Thread-safe, for different threads hold different posts."""

    def __init__(
        self, client: Elasticsearch, prefix: str, capacity: int, expiry: Callable[[], Expiry] = Expiry
    ) -> None:
        """``expiry`` tells what is past its time now."""
        self._client = client
        self._expiry = expiry
        self._undated = undated(prefix)
        self._all = alias(prefix) + "-*"
        self.homes = Homes(capacity)

    def locate(self, batch: Mapping[str, Sequence[Event]]) -> dict[str, str]:
        """The index that each id of the batch is to be written to; ``batch`` holds the events of each id.
        None for those that are past their time and live nowhere.

        Raises RetryableError, ConfigError.
        """
        expiry = self._expiry()
        found = {id: index for id, index in self.homes.known(batch).items() if not expiry.index(index)}
        target = {id: self._by_date(events) for id, events in batch.items() if id not in found}
        with answering(self._client):
            dated = [id for id, index in target.items() if index != self._undated]
            found |= dict.fromkeys(self._in_index(self._undated, dated), self._undated)
            changed = [id for id in target if id not in found and any(map(_is_change, batch[id]))]
            found |= self._among([(target[id], id) for id in changed])
            if lost := [id for id in changed if id not in found]:
                found |= self._among([(index, id) for index in self._indices() for id in lost])
            sights = set(target).difference(found, dated, changed)
            found |= self._search(sorted(sights))
        past = [id for id in target if id not in found and any(map(expiry.event, batch[id]))]
        for id in past:
            del target[id]
        return target | found

    def authors(self, homes: Mapping[str, str]) -> dict[str, str]:
        """The author of each post that is where ``homes`` says and names one, in realtime: id to author id.

        Raises RetryableError, ConfigError.
        """
        path = "/_mget?_source=author.id&filter_path=docs._id,docs._source,docs.error"
        found: dict[str, str] = {}
        pairs = list(homes.items())
        with answering(self._client):
            for start in range(0, len(pairs), PAIRS):
                docs = [{"_index": index, "_id": id} for id, index in pairs[start : start + PAIRS]]
                answer = request(self._client, "POST", path, _encode({"docs": docs}))["docs"]
                _check_errors(answer)
                for doc in answer:
                    if author := doc.get("_source", {}).get("author"):
                        found[doc["_id"]] = author["id"]
        return found

    def _by_date(self, events: Sequence[Event]) -> str:
        """The first dated index that one of the events names: the post itself may be among them."""
        return next((event.index for event in events if event.index != self._undated), self._undated)

    def _in_index(self, index: str, ids: Sequence[str]) -> list[str]:
        """Which of the ids are in one index, in realtime. The answer names only those that are."""
        if not ids:
            return []
        path = f"/{index}/_mget?_source=id&filter_path=docs._source.id,docs.error"
        answer = request(self._client, "POST", path, _encode({"ids": ids}))
        _check_errors(answer.get("docs", ()))
        return [doc["_source"]["id"] for doc in answer.get("docs", ()) if "_source" in doc]

    def _among(self, pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
        """The index of each id that is in one of the pairs (index, id), in realtime."""
        path = "/_mget?_source=false&filter_path=docs._index,docs._id,docs._version,docs.found,docs.error"
        hits: list[Any] = []
        for start in range(0, len(pairs), PAIRS):
            docs = [{"_index": index, "_id": id} for index, id in pairs[start : start + PAIRS]]
            found = request(self._client, "POST", path, _encode({"docs": docs}))["docs"]
            _check_errors(found)
            hits += [doc for doc in found if doc.get("found")]
        return _newest(hits)

    def _search(self, ids: Sequence[str]) -> dict[str, str]:
        hits: list[Any] = []
        for start in range(0, len(ids), IDS):
            query = {
                "query": {"ids": {"values": ids[start : start + IDS]}},
                "version": True,
                "_source": False,
                "size": IDS,
                "track_total_hits": False,
                "sort": ["_doc"],
            }
            path = (
                f"/{self._all}/_search?allow_partial_search_results=false&expand_wildcards=open"
                "&filter_path=hits.hits._index,hits.hits._id,hits.hits._version"
            )
            hits += _hits(request(self._client, "POST", path, _encode(query)))
        return _newest(hits)

    def _indices(self) -> list[str]:
        try:
            answer = request(self._client, "GET", f"/{self._all}/_alias?expand_wildcards=open")
        except NotFoundError:
            return []
        return sorted(answer)


def _hits(answer: Any) -> Sequence[Any]:
    found: Sequence[Any] = answer.get("hits", {}).get("hits", ())
    return found


def _is_change(event: Event) -> bool:
    """Whether the platform changed a post that it had sent before."""
    return event.post.deleted or event.post.edited_at is not None


def _check_errors(docs: Iterable[Any]) -> None:
    """An index that is away has to be waited for: to take it for empty would double its posts."""
    for doc in docs:
        if "error" not in doc:
            continue
        error = msgspec.convert(doc["error"], Cause)
        if error.type not in _ABSENT:
            raise RetryableError(f"Elasticsearch cannot look up where posts live: {said(error)}")


def _newest(hits: Iterable[Any]) -> dict[str, str]:
    best: dict[str, Any] = {}
    for hit in hits:
        other = best.get(hit["_id"])
        if other is not None:
            _log.error("post %s lives in both %s and %s", hit["_id"], other["_index"], hit["_index"])
        if other is None or hit["_version"] > other["_version"]:
            best[hit["_id"]] = hit
    return {id: hit["_index"] for id, hit in best.items()}
