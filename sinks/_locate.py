"""Where each post of a batch lives already, so that one id is never in two indices.

An event names the index that its creation date gives. That is not always where the post lives: a
deletion or an edit may come without the date, a deletion before its post, and a post whose date lay
in the future goes to the undated index and is dated when it comes again. A post stays where it lives;
where it lives nowhere, the first of its events that is read decides. Three ways to know, the cheapest
first:

1. what this process wrote since the last refresh, from memory (`_homes`);
2. for first sights without a date a search by ids in all indices: with that memory it sees every write but
   those of the last second by somebody else, such as a rebuild beside us;
3. a realtime ``_mget``: for first sights with a date of the undated index alone, for edits and deletions
   of the likely two indices and then of all.

Most posts have a date and most indices of undated ones are quiet. So long as nothing is written there since
its last refresh, a search of it is as true as the ``_mget`` and costs a fraction; so long as nothing was ever
written there, nobody is asked. What was written last its statistics tell, this instant.

A month that retention dropped must not come back for the sake of one late post: what is past its time is
written only where it still lives, and memory does not count there, for the index may be gone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from elasticsearch import Elasticsearch, NotFoundError

from pipeline.core.errors import RetryableError
from pipeline.core.event import Event
from pipeline.core.index_name import alias, undated
from pipeline.core.portions import portions
from pipeline.core.retention import Expiry
from sinks._client import answering, request
from sinks._homes import Homes
from sinks._look import Look
from sinks._outcome import Cause, said

_log = logging.getLogger("groundswell.sink")
_encode = msgspec.json.Encoder().encode

# Pairs of index and id in one request: some megabytes of answer at most.
PAIRS = 10_000
IDS = 10_000  # the most that a search returns

_ABSENT = {"index_not_found_exception", "index_closed_exception"}


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
        self.homes = Homes(capacity, lambda: self._refresh(self._all))
        self._seen: Look | None = None
        self._searchable: Look | None = None

    def locate(self, batch: Mapping[str, Sequence[Event]], now: Look | None) -> dict[str, str]:
        """The index that each id of the batch is to be written to; ``batch`` holds the events of each id as
        they came, ``now`` is the undated index as it was just seen. None for those that are past their time
        and live nowhere.

        Raises RetryableError, ConfigError.
        """
        expiry = self._expiry()
        found = {id: index for id, index in self.homes.known(batch).items() if not expiry.index(index)}
        # What comes first decides, for that is the same however the log is cut into batches: whoever reads it
        # anew, while one that is thought dead still has a request on its way, chooses as that one did.
        target = {id: events[0].index for id, events in batch.items() if id not in found}
        if not target:
            return found
        self.homes.make_room()
        changed = [id for id in target if any(map(_is_change, batch[id]))]
        sights = target.keys() - changed
        undated = [id for id in sights if target[id] == self._undated]
        dated = [id for id in sights if target[id] != self._undated]
        with answering(self._client):
            there = self._of_changed(changed, target)
            there |= dict.fromkeys(self._in_undated(sorted(dated), now), self._undated)
            there |= self._search(self._all, sorted(undated))
        self.homes.remember(there.items())
        placed = target | found | there
        nowhere = [id for id in target if id not in there and any(map(expiry.event, batch[id]))]
        for id in nowhere:
            del placed[id]
        return placed

    def _of_changed(self, ids: Sequence[str], target: Mapping[str, str]) -> dict[str, str]:
        """Where edited and deleted posts are: in realtime, for they often follow soon upon the post."""
        likely = [(index, id) for id in ids for index in dict.fromkeys((target[id], self._undated))]
        found = self._among(likely)
        if lost := [id for id in ids if id not in found]:
            found |= self._among([(index, id) for index in self._indices() for id in lost])
        return found

    def _in_undated(self, ids: Sequence[str], now: Look | None) -> Iterable[str]:
        """Which of the ids are in the undated index, in realtime."""
        if not ids or (now and now.operations and now.operations[-1] < 0):
            return ()
        if now is None or now != self._searchable:
            if now is None or now != self._seen or not now.operations:
                self._seen = now
                return self._look_up(ids)
            # Nothing came since we looked last, so it will be quiet for a while.
            self._refresh(self._undated)
            self._searchable = now
        return self._search(self._undated, ids)

    def _look_up(self, ids: Sequence[str]) -> list[str]:
        """Which of the ids are in the undated index. The answer names only those that are."""
        path = f"/{self._undated}/_mget?_source=id&filter_path=docs._source.id,docs.error"
        answer = request(self._client, "POST", path, _encode({"ids": ids}))
        _check_errors(answer.get("docs", ()))
        return [doc["_source"]["id"] for doc in answer.get("docs", ()) if "_source" in doc]

    def _refresh(self, where: str) -> None:
        with answering(self._client):
            path = f"/{where}/_refresh?ignore_unavailable=true&expand_wildcards=open"
            failed = request(self._client, "POST", path)["_shards"]["failed"]
        if failed:
            raise RetryableError(f"Elasticsearch could not refresh {failed} shards of {where}")

    def authors(self, homes: Mapping[str, str]) -> dict[str, str]:
        """The author of each post that is where ``homes`` says and names one, in realtime: id to author id.

        Raises RetryableError, ConfigError.
        """
        path = "/_mget?_source=author.id&filter_path=docs._id,docs._source,docs.error"
        found: dict[str, str] = {}
        with answering(self._client):
            for portion in portions(homes.items(), PAIRS):
                docs = [{"_index": index, "_id": id} for id, index in portion]
                answer = request(self._client, "POST", path, _encode({"docs": docs}))["docs"]
                _check_errors(answer)
                for doc in answer:
                    if author := doc.get("_source", {}).get("author"):
                        found[doc["_id"]] = author["id"]
        return found

    def _among(self, pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
        """The index of each id that is in one of the pairs (index, id), in realtime."""
        path = "/_mget?_source=false&filter_path=docs._index,docs._id,docs._version,docs.found,docs.error"
        hits: list[Any] = []
        for portion in portions(pairs, PAIRS):
            docs = [{"_index": index, "_id": id} for index, id in portion]
            found = request(self._client, "POST", path, _encode({"docs": docs}))["docs"]
            _check_errors(found)
            hits += [doc for doc in found if doc.get("found")]
        return _newest(hits)

    def _search(self, where: str, ids: Sequence[str]) -> dict[str, str]:
        """The index of each id that a search of these indices finds."""
        hits: list[Any] = []
        for portion in portions(ids, IDS):
            query = {
                "query": {"ids": {"values": portion}},
                "version": True,
                "_source": False,
                "size": IDS,
                "track_total_hits": False,
                "sort": ["_doc"],
            }
            path = (
                f"/{where}/_search?allow_partial_search_results=false&expand_wildcards=open"
                "&ignore_unavailable=true"
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
