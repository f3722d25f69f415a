"""Pages of posts on a true Elasticsearch: all of them, or an error."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from elasticsearch import Elasticsearch

from pipeline.app.directory import posts as posts_reader
from pipeline.app.directory.posts import PostsReader
from pipeline.core.errors import RetryableError
from pipeline.core.settings import ElasticsearchSettings

ALL = {"match_all": {}}


@pytest.fixture
def reader(client: Elasticsearch, prefix: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[PostsReader]:
    monkeypatch.setattr(posts_reader, "PAGE", 2)
    index = f"{prefix}-posts-2026.01"
    lines = [
        line for n in range(5) for line in ({"index": {"_index": index, "_id": f"{n}"}}, {"id": f"x:{n}"})
    ]
    client.bulk(operations=lines, refresh=True)
    yield PostsReader(client, prefix)
    client.indices.delete(index=index)


def test_all_pages_come(reader: PostsReader) -> None:
    assert [len(page) for page in reader.pages(ALL)] == [2, 2, 1]


def test_no_index_has_no_posts(client: Elasticsearch, elastic_settings: ElasticsearchSettings) -> None:
    reader = PostsReader(client, f"{elastic_settings.prefix}none")
    assert list(reader.pages(ALL)) == []


def test_pages_that_the_server_has_forgotten_are_no_end(
    reader: PostsReader, client: Elasticsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kafka was away for longer than the server keeps the view, or the server was started anew."""
    points: list[str] = []
    opened = client.open_point_in_time

    def remembered(**how: object) -> object:
        answer = opened(**how)  # type: ignore[arg-type]
        points.append(answer["id"])
        return answer

    monkeypatch.setattr(client, "open_point_in_time", remembered)
    pages = reader.pages(ALL)
    assert len(next(pages)) == 2
    client.close_point_in_time(id=points[0])
    with pytest.raises(RetryableError, match="forgotten"):
        next(pages)


def test_shards_that_do_not_answer_are_no_end(
    reader: PostsReader, client: Elasticsearch, elastic_settings: ElasticsearchSettings
) -> None:
    nowhere = {"index.routing.allocation.require.nobody": "here", "number_of_replicas": 0}
    index = f"{elastic_settings.prefix}-posts-2026.02"
    client.indices.create(index=index, settings=nowhere, wait_for_active_shards="0")
    try:
        with pytest.raises(RetryableError):
            list(reader.pages(ALL))
    finally:
        client.indices.delete(index=index)
