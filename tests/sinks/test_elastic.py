"""The sink against a true Elasticsearch: versions, homes, conflicts, refusals."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from pipeline.core.errors import RetryableError
from sinks._template import template_for
from sinks.elastic import build, drop, encode, prepare

MAY = datetime(2026, 5, 3, tzinfo=UTC)
EDIT = datetime(2026, 6, 1, tzinfo=UTC)


def test_a_document_is_the_event_and_is_found_under_the_alias(store: Any) -> None:
    event = store.event(created_at=MAY)
    assert store.sink.write([event]) == [None]
    [hit] = store.stored()["x:1"]
    assert (hit["_index"], hit["_version"]) == (f"{store.prefix}-posts-2026.05", event.version)
    assert hit["_source"] == json.loads(encode(event))
    assert store.client.count(index=f"{store.prefix}-posts")["count"] == 1


def test_an_older_version_is_superseded_and_an_equal_one_applied(store: Any) -> None:
    new = store.event(created_at=MAY, edited_at=EDIT, text="new")
    again = replace(new, processed_at=new.processed_at + timedelta(days=1))
    for event in (new, store.event(created_at=MAY, text="old"), again):
        assert store.sink.write([event]) == [None]
    [hit] = store.stored()["x:1"]
    assert hit["_source"]["text"] == "new"
    assert hit["_source"]["processed_at"] == "2026-11-23T10:00:00Z"


def test_a_deletion_without_a_date_finds_the_post(store: Any) -> None:
    store.sink.write([store.event(created_at=MAY)])
    # Another process, which remembers nothing and may not wait for a refresh.
    other = store.another()
    assert other.write([store.event(deleted=True)]) == [None]
    [hit] = store.stored()["x:1"]
    assert hit["_index"] == f"{store.prefix}-posts-2026.05"
    assert hit["_source"]["deleted"] is True
    assert "text" not in hit["_source"]


def test_a_post_after_its_deletion_stays_deleted(store: Any) -> None:
    store.sink.write([store.event(deleted=True)])
    other = store.another()
    assert other.write([store.event(created_at=MAY)]) == [None]
    [hit] = store.stored()["x:1"]
    assert (hit["_index"], hit["_source"]["deleted"]) == (f"{store.prefix}-posts-undated", True)


def test_a_post_of_the_future_stays_where_it_is_when_it_comes_again_in_time(store: Any) -> None:
    first = store.event(created_at=MAY, seen=MAY - timedelta(days=40))
    later = store.event(created_at=MAY)
    assert first.index != later.index
    store.sink.write([first])
    store.another().write([later])
    [hit] = store.stored()["x:1"]
    assert hit["_index"] == f"{store.prefix}-posts-undated"


def test_one_bulk_holds_good_and_bad_and_the_good_are_applied(store: Any) -> None:
    store.sink.write([store.event("x:before", created_at=MAY)])
    # Somebody makes an index of his own while the daemon runs; in it, sentiment is a word.
    conflict = {"dynamic": False, "properties": {"sentiment": {"type": "keyword"}}}
    store.client.indices.create(index=f"{store.prefix}-posts-2026.04", mappings=conflict)
    april = MAY - timedelta(days=20)
    events = [store.event(f"x:{n}", created_at=april if n % 3 == 0 else MAY) for n in range(10)]
    outcomes = store.sink.write(events)
    assert [outcome is None for outcome in outcomes] == [n % 3 != 0 for n in range(10)]
    assert "sentiment" in str(outcomes[0])
    assert len(store.stored()) == 1 + 6


def test_one_conflicting_document_among_two_thousand_is_refused_alone(store: Any) -> None:
    events = [store.event(f"x:{n}", created_at=MAY) for n in range(2000)]
    bad = replace(events[1234].post, metrics={"likes": 2**70})
    events[1234] = replace(events[1234], post=bad)
    outcomes = store.sink.write(events)
    assert [n for n, outcome in enumerate(outcomes) if outcome is not None] == [1234]
    assert "likes" in str(outcomes[1234])
    store.client.indices.refresh(index=f"{store.prefix}-posts-*")
    assert store.client.count(index=f"{store.prefix}-posts-*")["count"] == 1999


def test_a_newer_document_among_two_thousand_stays_and_the_others_are_applied(store: Any) -> None:
    newer = store.event("x:1234", created_at=MAY, edited_at=EDIT, text="newer")
    store.another().write([newer])
    events = [store.event(f"x:{n}", created_at=MAY) for n in range(2000)]
    assert store.sink.write(events) == [None] * 2000
    hit = store.client.get(index=newer.index, id="x:1234")
    assert hit["_source"]["text"] == "newer"
    store.client.indices.refresh(index=f"{store.prefix}-posts-*")
    assert store.client.count(index=f"{store.prefix}-posts-*")["count"] == 2000


def test_a_refused_state_leaves_the_one_before_it(store: Any) -> None:
    good = store.event(created_at=MAY, text="good")
    edit = store.event(created_at=MAY, edited_at=EDIT)
    # No client of ours makes such a number; a wrong mapping would have the same effect.
    bad = replace(edit, post=replace(edit.post, metrics={"likes": 2**70}))
    outcomes = store.sink.write([good, bad, good])
    assert [outcome is None for outcome in outcomes] == [True, False, True]
    [hit] = store.stored()["x:1"]
    assert hit["_source"]["text"] == "good"


def test_a_mapping_that_cannot_grow_is_told_and_stops_nothing_else(
    store: Any, caplog: pytest.LogCaptureFixture
) -> None:
    index = f"{store.prefix}-posts-2026.04"
    store.client.indices.create(index=index, mappings={"properties": {"sentiment": {"type": "keyword"}}})
    prepare(store.client, store.settings)
    [told] = [record.getMessage() for record in caplog.records if record.name == "groundswell.sink"]
    assert told.startswith(
        f"index {index} maps 1 fields otherwise (can't merge a non object mapping [sentiment]"
    )
    assert "`groundswell rebuild`" in told
    mapping = store.client.indices.get_mapping(index=index)[index]["mappings"]
    assert mapping["dynamic"] == "false"
    assert mapping["properties"]["sentiment"] == {"type": "keyword"}
    assert mapping["properties"]["deleted"] == {"type": "boolean"}
    assert f"{store.prefix}-posts" in store.client.indices.get_alias(index=index)[index]["aliases"]


def test_prepare_adds_fields_and_the_alias_to_an_index_of_before(store: Any) -> None:
    index = f"{store.prefix}-posts-2026.04"
    store.client.indices.create(
        index=index, mappings={"dynamic": True, "properties": {"id": {"type": "keyword"}}}
    )
    store.client.index(index=index, document={"id": "1", "mine": {"own": 1}})
    for _ in range(2):
        prepare(store.client, store.settings)
    mapping = store.client.indices.get_mapping(index=index)[index]["mappings"]
    assert mapping["dynamic"] == "false"
    assert mapping["properties"]["routes"]["properties"]["queue"]["type"] == "keyword"
    assert mapping["properties"]["mine"]["properties"]["own"]["type"] == "long"
    assert f"{store.prefix}-posts" in store.client.indices.get_alias(index=index)[index]["aliases"]


def test_unknown_fields_are_kept_but_never_mapped(store: Any) -> None:
    prepare(store.client, store.settings)
    index = f"{store.prefix}-posts-undated"
    before = store.client.indices.get_mapping(index=index)[index]["mappings"]
    odd = {"odd": 1, "metrics": {"odd": 1}, "author": {"odd": {"x": 1}}, "customer": {"odd": "a"}}
    store.client.index(index=index, document=odd)
    store.client.index(index=index, document={**odd, "odd": "a word", "metrics": {"odd": {"x": 1}}})
    assert store.client.indices.get_mapping(index=index)[index]["mappings"] == before


def test_extreme_values_are_taken(store: Any) -> None:
    long = "x" * 1_000_000
    events = [
        store.event("x:text", text=long),
        store.event("x:url", url=long[:40_000], hashtags=("é" * 20_000,)),
        store.event("x:" + "é" * 250, text="\u202eevil\x00\x1b[31m\u2028"),
        store.event("x:old", created_at=datetime(1, 1, 1, tzinfo=UTC)),
        store.event("x:new", created_at=datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)),
        store.event("x:many", metrics={"likes": 2**63 - 1, "odd.name..": -(2**63)}),
        store.event('x:"quoted"\\', mentions=("",)),
        store.event("x:empty", text=""),
    ]
    assert store.sink.write(events) == [None] * len(events)
    assert store.stored().keys() == {event.post.id for event in events}


def test_nothing_to_write_asks_nobody(store: Any) -> None:
    assert build(store.settings, "http://127.0.0.1:1").write([]) == []


def test_a_server_that_is_away_is_told_with_its_address(store: Any) -> None:
    with pytest.raises(RetryableError, match=r"http://127.0.0.1:1: `groundswell up`"):
        build(store.settings, "http://127.0.0.1:1").write([store.event()])


def test_a_running_sink_notices_that_the_indices_were_dropped(store: Any) -> None:
    store.sink.write([store.event(created_at=MAY)])
    assert drop(store.client, store.prefix) == [
        f"{store.prefix}-posts-undated",
        f"{store.prefix}-posts-2026.05",
    ]
    # The rebuild, in another process, knows only the deletion, which has no date.
    store.another().write([store.event(deleted=True)])
    store.sink.write([store.event(created_at=MAY)])
    [hit] = store.stored()["x:1"]
    assert hit["_source"]["deleted"] is True


def test_a_rebuild_gives_the_same_documents(store: Any) -> None:
    events = [store.event(f"x:{n}", created_at=MAY, text=f"text {n}") for n in range(50)]
    store.sink.write(events)
    before = store.stored()
    drop(store.client, store.prefix)
    store.sink.write(events[::-1])
    after = store.stored()
    assert {id: hits[0]["_source"] for id, hits in after.items()} == {
        id: hits[0]["_source"] for id, hits in before.items()
    }


def test_several_threads_write_at_once(store: Any) -> None:
    batches = [[store.event(f"x:{part}-{n}", created_at=MAY) for n in range(50)] for part in range(8)]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(store.sink.write, batches)) == [[None] * 50] * 8
    assert len(store.stored()) == 400


def test_several_processes_prepare_at_once(store: Any) -> None:
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: prepare(store.client, store.settings), range(4)))
    assert store.client.count(index=f"{store.prefix}-posts")["count"] == 0


def test_of_two_homes_the_newer_is_taken_and_it_is_told(store: Any, caplog: pytest.LogCaptureFixture) -> None:
    store.sink.write([store.event(created_at=MAY)])
    # What should never be: somebody wrote past the sink.
    elsewhere = f"{store.prefix}-posts-2026.01"
    store.client.index(
        index=elsewhere, id="x:1", document={"id": "x:1"}, version=5, version_type="external", refresh=True
    )
    store.another().write([store.event(deleted=True)])
    assert f"post x:1 lives in both {elsewhere} and {store.prefix}-posts-2026.05" in caplog.text
    homes = {hit["_index"]: hit["_source"].get("deleted") for hit in store.stored()["x:1"]}
    assert homes[elsewhere] is True


def test_the_stemmed_field_is_there_where_the_server_offers_it(store: Any) -> None:
    rich = template_for(store.settings, english=True)["mappings"]["properties"]["text"]
    assert rich == {"type": "text", "fields": {"english": {"type": "text", "analyzer": "english"}}}
    assert "fields" not in template_for(store.settings, english=False)["mappings"]["properties"]["text"]
