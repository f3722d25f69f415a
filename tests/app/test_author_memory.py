"""The memory of authors against a true Elasticsearch: sums, versions, and forgetting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from elasticsearch import Elasticsearch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.app.authors.memory import AuthorMemory
from pipeline.core.errors import RetryableError
from pipeline.core.event import Complaint, CustomerLink, Event, Sentiment
from pipeline.core.index_name import index_of
from pipeline.core.post import Author, Post, stub
from pipeline.core.settings import ElasticsearchSettings
from pipeline.core.version import version_of
from sinks.elastic import ElasticSink
from sinks.store import Store
from testkit.authors import expected_authors, same

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)


class Index:
    """The posts and the authors of one test."""

    def __init__(self, client: Elasticsearch, settings: ElasticsearchSettings) -> None:
        self.client, self.settings = client, settings
        self.sink = ElasticSink(client, settings)
        self.store = Store(client, settings, "authors")
        self.memory = self.another()
        self.memory.prepare()

    def another(self, ahead: timedelta = timedelta()) -> AuthorMemory:
        """The memory of another process, whose clock is ahead."""
        return AuthorMemory(self.client, self.settings, lambda: datetime.now(UTC) + ahead)

    def event(self, id: str, by: str = "x:a", *, found: dict[str, Any] | None = None, **post: Any) -> Event:
        made = Post(id=id, **{"text": "hello", "author": Author(id=by, handle=by[2:]), **post})
        made = stub(made) if made.deleted else made
        return Event(
            post=made,
            **(found or {}),
            index=index_of(self.settings.prefix, made.created_at, NOW),
            version=version_of(made),
            processed_at=NOW,
        )

    def write(self, *events: Event) -> None:
        assert set(self.sink.write(events)) == {None}

    def delete(self, id: str) -> None:
        self.write(self.event(id, deleted=True))

    def authors(self) -> dict[str, dict[str, Any]]:
        self.store.refresh()
        return {found.source["id"]: found.source for found in self.store.search({"match_all": {}})}

    def posts(self) -> list[dict[str, Any]]:
        self.client.indices.refresh(index=f"{self.settings.prefix}-posts", ignore_unavailable=True)
        hits = self.client.search(
            index=f"{self.settings.prefix}-posts", size=10_000, ignore_unavailable=True
        )["hits"]["hits"]
        return [hit["_source"] for hit in hits]

    def check(self) -> None:
        """What is remembered is what the posts say."""
        found, expected = self.authors(), expected_authors(self.posts())
        assert found.keys() == expected.keys()
        for author, document in expected.items():
            assert same(found[author], document), (found[author], document)


@pytest.fixture
def index(client: Elasticsearch, elastic_settings: ElasticsearchSettings) -> Iterator[Index]:
    made = Index(client, elastic_settings)
    yield made
    made.store.drop()


moments = st.one_of(
    st.none(),
    st.datetimes(datetime(2026, 3, 1), datetime(2026, 6, 1), timezones=st.just(UTC)),
    st.sampled_from([NOW - timedelta(days=30), datetime(1999, 1, 1, tzinfo=UTC)]),
)
moods = st.builds(Sentiment, st.floats(-1, 1), st.just("x"), st.just(0.1), st.just(0.2), st.just(0.7))
found = st.fixed_dictionaries(
    {},
    optional={
        "sentiment": moods,
        "complaint": st.builds(Complaint, st.just(0.5), st.booleans()),
        "customer": st.builds(CustomerLink, st.sampled_from(["c-1", "c-2"]), st.just(0.9)),
    },
)
written = st.lists(
    st.tuples(
        st.integers(0, 11), st.integers(0, 3), moments, moments, st.sampled_from(["", "Ann", "Bo"]), found
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda one: one[0],
)


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(posts=written, deleted=st.sets(st.integers(0, 11), max_size=6))
def test_what_is_remembered_is_what_the_posts_say(
    index: Index, posts: Sequence[Any], deleted: set[int]
) -> None:
    run = len(index.posts())
    authors = {f"x:{run}-{author}" for _, author, *_ in posts}
    events = [
        index.event(
            f"x:{run}-{post}",
            author=Author(id=f"x:{run}-{author}", handle=name.lower(), name=name),
            created_at=created,
            collected_at=collected,
            found=found,
        )
        for post, author, created, collected, name, found in posts
    ]
    index.write(*events)
    index.memory.reckon(authors)
    index.check()
    for post in deleted & {post for post, *_ in posts}:
        index.delete(f"x:{run}-{post}")
    index.memory.reckon(authors)
    index.check()


def test_the_last_post_takes_the_author_along(index: Index) -> None:
    index.write(index.event("x:1", created_at=NOW), index.event("x:2", "x:b", created_at=NOW))
    index.memory.reckon(["x:a", "x:b"])
    assert index.authors().keys() == {"x:a", "x:b"}
    index.delete("x:1")
    index.memory.reckon(["x:a", "x:b"])
    assert index.authors().keys() == {"x:b"}
    index.write(index.event("x:3"))
    index.memory.reckon(["x:a"])
    assert index.authors()["x:a"]["posts"] == 1, "who comes back is remembered again"


def test_a_post_that_is_about_to_go_does_not_count(index: Index) -> None:
    index.write(index.event("x:1"), index.event("x:2"), index.event("x:3", "x:b"))
    index.memory.reckon(["x:a", "x:b"], ["x:1", "x:3"])
    assert {author: found["posts"] for author, found in index.authors().items()} == {"x:a": 1}


def test_nobody_is_found_before_there_is_a_post(index: Index) -> None:
    index.memory.reckon(["x:a"])
    index.memory.reckon([])
    assert index.memory.reckon_all() == 0
    assert index.authors() == {}


def test_many_authors_take_several_pages(index: Index) -> None:
    events = [index.event(f"x:{n}", f"x:u{n % 1500}", created_at=NOW) for n in range(2000)]
    index.write(*events)
    index.memory.reckon([event.post.author.id for event in events])
    index.check()
    assert len(index.authors()) == 1500


class Slow(AuthorMemory):
    """Looks at the posts, and before it writes something happens."""

    def __init__(self, *arguments: Any, happens: Sequence[Any]) -> None:
        super().__init__(*arguments)
        self.happens = list(happens)

    def _documents(self, authors: Sequence[str], gone: Sequence[str]) -> dict[str, dict[str, Any]]:
        seen = super()._documents(authors, gone)
        if self.happens:
            self.happens.pop(0)()
        return seen


@pytest.mark.parametrize("ahead", [-3600, 0, 3600])
def test_an_older_look_never_replaces_a_newer_one(index: Index, ahead: int) -> None:
    """Whatever the clocks say: the slow one's is right, that of the quick one ``ahead`` seconds ahead."""
    quick = index.another(timedelta(seconds=ahead))

    def more() -> None:
        index.write(index.event("x:2"), index.event("x:3"))
        quick.reckon(["x:a"])

    def none() -> None:
        for id in ("x:1", "x:2", "x:3"):
            index.delete(id)
        quick.reckon(["x:a"])

    index.write(index.event("x:1"))
    index.memory.reckon(["x:a"])
    slow = Slow(index.client, index.settings, lambda: datetime.now(UTC), happens=[more])
    slow.reckon(["x:a"])
    assert index.authors()["x:a"]["posts"] == 3
    slow.happens.append(none)
    slow.reckon(["x:a"])
    assert index.authors() == {}


def test_an_older_look_does_not_bring_back_an_author_who_came_and_went(index: Index) -> None:
    def comes_and_goes() -> None:
        index.memory.reckon(["x:a"])
        index.delete("x:1")
        index.memory.reckon(["x:a"])

    index.write(index.event("x:1"))
    slow = Slow(index.client, index.settings, lambda: datetime.now(UTC), happens=[comes_and_goes])
    slow.reckon(["x:a"])
    assert index.authors() == {}


def test_who_always_comes_second_tries_again_later(index: Index) -> None:
    index.write(index.event("x:1"))
    quick = index.another()
    many = [lambda: quick.reckon(["x:a"])] * 9
    slow = Slow(index.client, index.settings, lambda: datetime.now(UTC), happens=many)
    with pytest.raises(RetryableError, match="keep writing"):
        slow.reckon(["x:a"])


def test_reckon_all_mends_everything(index: Index) -> None:
    events = [index.event(f"x:{n}", f"x:u{n % 1203}", created_at=NOW) for n in range(1300)]
    index.write(*events, index.event("x:long", "x:" + "a" * 600))
    index.memory.reckon(["x:u1", "x:u2"])
    index.delete("x:1")
    index.delete("x:1204")
    index.delete("x:2")
    assert index.memory.reckon_all() == 1203
    expected = expected_authors(post for post in index.posts() if post["id"] != "x:long")
    found = index.authors()
    assert found.keys() == expected.keys()
    assert all(same(found[author], expected[author]) for author in expected)
    assert found["x:u2"]["posts"] == 1
    assert "x:u1" not in found
    assert found["x:u0"]["posts"] == 2
