"""What is remembered of authors: one document each in the index ``PREFIX-authors``, made from their posts.

Nothing is added up on the way: every reckoning asks the index of posts for the whole sum, so it may be
repeated, and its result depends on the posts alone. The field meanings are in docs/authors.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from elasticsearch import Elasticsearch

from pipeline.app.authors.marks import can_be_remembered
from pipeline.core.errors import RetryableError
from pipeline.core.index_name import alias
from pipeline.core.portions import portions
from pipeline.core.settings import ElasticsearchSettings
from sinks.elastic import answering
from sinks.store import Put, Store

PAGE = 1000
"""Authors in one question to the index."""

TRIES = 3
"""How often a document that others write meanwhile is reckoned again at once."""

Document = dict[str, Any]
_Query = dict[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NEWEST_FIRST = [
    {"created_at": {"order": "desc", "missing": "_last", "unmapped_type": "date"}},
    {"collected_at": {"order": "desc", "missing": "_last", "unmapped_type": "date"}},
    {"id": {"order": "asc", "unmapped_type": "keyword"}},
]
_SPAN = {"first": {"min": {"field": "created_at"}}, "last": {"max": {"field": "created_at"}}}
_COLLECTED = {"first": {"min": {"field": "collected_at"}}, "last": {"max": {"field": "collected_at"}}}
_SUMS = {
    **_SPAN,
    # A feed that dates nothing: then the day on which we read it is the best that is known.
    "undated": {
        "filter": {"bool": {"must_not": [{"exists": {"field": "created_at"}}]}},
        "aggs": _COLLECTED,
    },
    "complaints": {"filter": {"term": {"complaint.is_complaint": True}}},
    "sentiment": {"avg": {"field": "sentiment.compound"}},
}


class AuthorMemory:
    """Reckons authors and writes their documents. Safe beside others that do the same.

    A reckoning reads the version of an author's document before it looks at the posts, and writes only
    if that is still the newest; else it looks again. So an older look never replaces a newer one. Clocks
    count only for the first document of an author: there the version is the time of the look.

    Every method raises RetryableError where the server is away and ConfigError where a person has to act.
    """

    def __init__(
        self, client: Elasticsearch, settings: ElasticsearchSettings, clock: Callable[[], datetime]
    ) -> None:
        self._client = client
        self._posts = alias(settings.prefix)
        self._store = Store(client, settings, "authors")
        self._clock = clock

    def prepare(self) -> None:
        """Makes the index where it is not there."""
        self._store.prepare()

    def reckon(self, authors: Iterable[str], gone: Sequence[str] = ()) -> None:
        """Makes the documents of these authors anew, from all posts written before the call but those
        ``gone``; deletes the document of an author who has none."""
        left = list(dict.fromkeys(authors))
        for _ in range(TRIES):
            if not left:
                return
            versions = self._versions(left)
            self._refresh()
            again: list[str] = []
            for page in portions(left, PAGE):
                again += self._write(page, gone, versions)
            left = again
        if left:
            raise RetryableError(f"others keep writing the same {len(left)} documents of {self._store.index}")

    def reckon_all(self) -> int:
        """Reckons everybody who has a post or a document; returns how many that were."""
        self.prepare()
        self._refresh()
        began = self._clock()
        count = 0
        for page in self._everybody():
            self.reckon(page)
            count += len(page)
        self._store.refresh()
        # Whose document was not written since has no post any more.
        since = {"range": {"updated_at": {"lt": began.isoformat()}}}
        left = [found.source["id"] for found in self._store.search(since)]
        for page in portions(left, PAGE):
            self.reckon(page)
        return count + len(left)

    def _versions(self, authors: Sequence[str]) -> dict[str, int]:
        """The version that the document of each is to have, if nobody writes it from now on."""
        # Where there is none it begins with the time, and not with 1, for of a document that was deleted
        # lately the server still knows the version.
        now = int(self._clock().timestamp() * 1000)
        held = self._store.get(authors)
        return {author: held[author].version + 1 if author in held else now for author in authors}

    def _write(self, authors: Sequence[str], gone: Sequence[str], versions: Mapping[str, int]) -> list[str]:
        """Writes what the posts say now; returns the authors whose documents somebody wrote meanwhile."""
        documents = self._documents(authors, gone)
        puts = [Put(author, versions[author], documents.get(author)) for author in authors]
        done = self._store.put(puts, only_newer=True)
        return [author for author, applied in zip(authors, done, strict=True) if not applied]

    def _documents(self, authors: Sequence[str], gone: Sequence[str]) -> dict[str, Document]:
        """The document of each of the authors who has a post left."""
        posts = _posts_of(authors, gone)
        sums = self._sums(posts, len(authors))
        if not sums:
            return {}
        newest = self._newest(posts, len(authors), ["source", "author.handle", "author.name"])
        linked = {"bool": {"filter": [posts, {"exists": {"field": "customer.id"}}]}}
        customers = self._newest(linked, len(authors), ["customer.id"])
        updated = self._clock()
        return {
            author: _document(author, found, newest.get(author, {}), customers.get(author, {}), updated)
            for author, found in sums.items()
        }

    def _sums(self, posts: _Query, count: int) -> dict[str, Any]:
        by_author = {
            # By the values themselves: to number all authors anew after every refresh costs more than this.
            "terms": {"field": "author.id", "size": count, "execution_hint": "map"},
            "aggs": _SUMS,
        }
        answer = self._ask(query=posts, size=0, aggs={"authors": by_author})
        # No index at all: the answer then has no aggregations either.
        buckets = answer.get("aggregations", {}).get("authors", {}).get("buckets", ())
        return {bucket["key"]: bucket for bucket in buckets}

    def _newest(self, posts: _Query, count: int, fields: Sequence[str]) -> dict[str, Document]:
        """Of each author the newest of these posts, with these fields. Thrice as quick as `top_hits`."""
        answer = self._ask(
            query=posts,
            size=count,
            collapse={"field": "author.id"},
            sort=_NEWEST_FIRST,
            source={"includes": list(fields)},
        )
        return {hit["fields"]["author.id"][0]: hit["_source"] for hit in answer["hits"]["hits"]}

    def _everybody(self) -> Iterator[list[str]]:
        after: Document | None = None
        while True:
            pages: Document = {"size": PAGE, "sources": [{"author": {"terms": {"field": "author.id"}}}]}
            if after is not None:
                pages["after"] = after
            answer = self._ask(size=0, aggs={"authors": {"composite": pages}})
            found = answer.get("aggregations", {}).get("authors", {"buckets": []})
            authors = [bucket["key"]["author"] for bucket in found["buckets"]]
            yield [author for author in authors if can_be_remembered(author)]
            after = found.get("after_key")
            if after is None:
                return

    def _ask(self, **question: Any) -> Any:
        question |= {
            "index": self._posts,
            "track_total_hits": False,
            "allow_partial_search_results": False,
            "ignore_unavailable": True,
        }
        with answering(self._client):
            return self._client.search(**question).body

    def _refresh(self) -> None:
        with answering(self._client):
            answer = self._client.indices.refresh(index=self._posts, ignore_unavailable=True)
        if failed := answer["_shards"]["failed"]:
            raise RetryableError(f"Elasticsearch could not refresh {failed} shards of {self._posts}")


def _posts_of(authors: Sequence[str], gone: Sequence[str]) -> _Query:
    without: list[_Query] = [{"term": {"deleted": True}}]
    if gone:
        without.append({"ids": {"values": list(gone)}})
    return {"bool": {"filter": [{"terms": {"author.id": list(authors)}}], "must_not": without}}


def _document(
    author: str, sums: Mapping[str, Any], newest: Document, linked: Document, updated: datetime
) -> Document:
    said = newest.get("author", {})
    spans = (sums, sums["undated"])
    first = [span["first"]["value"] for span in spans if span["first"]["value"] is not None]
    last = [span["last"]["value"] for span in spans if span["last"]["value"] is not None]
    mean = sums["sentiment"]["value"]
    found = {
        "id": author,
        "source": newest.get("source"),
        "handle": said.get("handle"),
        "name": said.get("name"),
        "customer": linked.get("customer"),
        "first_seen": _EPOCH + timedelta(milliseconds=min(first)) if first else None,
        "last_seen": _EPOCH + timedelta(milliseconds=max(last)) if last else None,
        "posts": sums["doc_count"],
        "complaints": sums["complaints"]["doc_count"],
        # The order of addition is the server's; beyond this the last digits would change by chance.
        "sentiment": None if mean is None else round(mean, 9),
        "updated_at": updated,
    }
    return {name: value for name, value in found.items() if value is not None}
