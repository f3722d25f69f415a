"""A small index of records that carry their own version: customers, cases, authors.

Every write names its version, and the server keeps the highest (``version_type``), so writes may be
repeated in any order. With ``only_newer`` a write also fails where the very version is there already:
two who change the same state at once cannot both succeed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any

import msgspec
from elasticsearch import BadRequestError, Elasticsearch, NotFoundError
from msgspec import Struct

from pipeline.core.errors import ConfigError, RetryableError
from pipeline.core.portions import portions
from pipeline.core.settings import ElasticsearchSettings
from sinks._client import answering, cause_of, request
from sinks._look import Look, look
from sinks._outcome import Cause, Verdict, judge, said
from sinks._template import PRIORITY

_encode = msgspec.json.Encoder().encode

PAGE = 1000
_BULK = 1000
_READ = "filter_path=docs._id,docs._version,docs._source,docs.error"
_WRITTEN = "filter_path=items.*._id,items.*._seq_no,items.*.status,items.*.error"


class Found(Struct, frozen=True):
    """A record as the index holds it."""

    version: int
    source: dict[str, Any]


class Put(Struct, frozen=True):
    """A record on its way; a ``source`` of None deletes."""

    id: str
    version: int
    source: Any


class _Answer(Struct):
    status: int
    error: Cause | None = None


class Store:
    """One index, whose mapping is ``configs/index-KIND.json``. Thread-safe.

    Every method raises RetryableError where the server is away and ConfigError where a person has to act.
    """

    def __init__(self, client: Elasticsearch, settings: ElasticsearchSettings, kind: str) -> None:
        """``kind`` is the last part of the name: ``cases`` is the index ``PREFIX-cases``."""
        self.client = client
        self.index = f"{settings.prefix}-{kind}"
        self._settings = settings
        self._kind = kind

    def prepare(self) -> None:
        """Makes the index where it is not there, and adds fields that it does not know yet. Repeatable."""
        properties = fields_of(self._kind)
        with answering(self.client, self.index):
            # Elasticsearch makes an index that was dropped anew at the next write, and would guess its
            # fields: whoever drops it, or writes at that moment, must not spoil it for good.
            self.client.indices.put_index_template(
                name=self.index,
                index_patterns=[self.index],
                template={
                    "mappings": {"dynamic": False, "properties": properties},
                    "settings": {
                        "index": {"number_of_shards": 1, "number_of_replicas": self._settings.replicas}
                    },
                },
                priority=PRIORITY,
            )
            try:
                self.client.indices.create(index=self.index)
            except BadRequestError as error:
                if cause_of(error).type != "resource_already_exists_exception":
                    raise
                self.client.indices.put_mapping(index=self.index, properties=properties)

    def get(self, ids: Sequence[str]) -> dict[str, Found]:
        """Those of the ids that are there, as they are this instant: no refresh is waited for."""
        found: dict[str, Found] = {}
        for page in portions(ids, PAGE):
            body = _encode({"ids": page})
            with answering(self.client, self.index):
                try:
                    answer = request(self.client, "POST", f"/{self.index}/_mget?{_READ}", body)
                except NotFoundError:
                    return {}
            for doc in answer["docs"]:
                if "_source" in doc:
                    found[doc["_id"]] = Found(doc["_version"], doc["_source"])
                elif "error" in doc:
                    self._not_told(msgspec.convert(doc["error"], Cause))
        return found

    def _not_told(self, error: Cause) -> None:
        """An answer of 200 may hold errors: of a shard that is just moving or starting, of a closed index.
        None of them says that the record is not there, but for an index that is not."""
        if error.type == "index_not_found_exception":
            return
        outcome = judge(503, error, self.index)
        if outcome.verdict is Verdict.MISCONFIGURED:
            raise ConfigError(outcome.words)
        raise RetryableError(outcome.words, outcome.retry_after)

    def put(self, puts: Sequence[Put], *, only_newer: bool = False) -> list[bool]:
        """Writes all; True for each that is applied, False where the index holds a newer version.

        With ``only_newer`` False also where it holds that very version. RetryableError when the server
        could not take some of them: repeat the whole call.
        """
        return [number is not None for number in self.write(puts, only_newer=only_newer)]

    def write(self, puts: Sequence[Put], *, only_newer: bool = False) -> list[int | None]:
        """As :meth:`put`; of each that is applied the number of the operation, as in a look at the index, and
        -1 where the server does not say."""
        kind = "external" if only_newer else "external_gte"
        done: list[int | None] = []
        for portion in portions(puts, _BULK):
            lines = b"".join(self._lines(put, kind) for put in portion)
            with answering(self.client, self.index):
                answer = request(self.client, "POST", f"/_bulk?{_WRITTEN}", lines, lines=True)
            done += [self._number(item) for item in answer["items"]]
        return done

    def _lines(self, put: Put, kind: str) -> bytes:
        verb = b"index" if put.source is not None else b"delete"
        head = b'{"%b":{"_index":%b,"_id":%b,"version":%d,"version_type":"%b"}}\n' % (
            verb,
            _encode(self.index),
            _encode(put.id),
            put.version,
            kind.encode(),
        )
        return head if put.source is None else head + _encode(put.source) + b"\n"

    def _number(self, item: Mapping[str, Any]) -> int | None:
        ((_, result),) = item.items()
        return int(result.get("_seq_no", -1)) if self._applied(item) else None

    def _applied(self, item: Mapping[str, Any]) -> bool:
        ((verb, result),) = item.items()
        answer = msgspec.convert(result, _Answer)
        if verb == "delete" and answer.status == 404 and answer.error is None:
            return True  # it was not there, and the version is noted all the same
        outcome = judge(answer.status, answer.error, self.index)
        if outcome.verdict is Verdict.APPLIED:
            return True
        if outcome.verdict is Verdict.SUPERSEDED:
            return False
        if outcome.verdict is Verdict.AGAIN:
            raise RetryableError(outcome.words, outcome.retry_after)
        why = outcome.words or said(answer.error or Cause())
        raise ConfigError(f"{self.index} refuses {result.get('_id', 'a record')}: {why}")

    def search(
        self,
        query: Mapping[str, Any],
        *,
        sort: Sequence[Mapping[str, Any]] = ({"id": "asc"},),
        limit: int | None = None,
    ) -> Iterator[Found]:
        """The records that match, in order; what was written in the last second may be missing: `refresh`."""
        after: list[Any] | None = None
        left = limit
        while left is None or left > 0:
            size = PAGE if left is None else min(PAGE, left)
            with answering(self.client, self.index):
                answer = self.client.search(
                    index=self.index,
                    query=dict(query),
                    sort=[dict(one) for one in sort],
                    size=size,
                    version=True,
                    search_after=after,
                    track_total_hits=False,
                    ignore_unavailable=True,
                    allow_partial_search_results=False,
                )
            hits = answer["hits"]["hits"]
            for hit in hits:
                yield Found(hit["_version"], hit["_source"])
            if len(hits) < size:
                return
            after = hits[-1]["sort"]
            left = None if left is None else left - len(hits)

    def look(self) -> Look | None:
        """How far the index was written to, this instant; None where there is none."""
        return look(self.client, self.index)

    def refresh(self) -> None:
        """All that was written is found by searches from now on."""
        with answering(self.client, self.index):
            self.client.indices.refresh(index=self.index, ignore_unavailable=True)

    def drop(self) -> None:
        """Deletes the index."""
        with answering(self.client, self.index):
            self.client.indices.delete(index=self.index, ignore_unavailable=True)


def fields_of(kind: str) -> dict[str, Any]:
    """The mapped fields of ``configs/index-KIND.json``."""
    raw = (files("configs") / f"index-{kind}.json").read_bytes()
    found: dict[str, Any] = msgspec.json.decode(raw)
    return found
