"""What a sink asks before it writes: little, and never so little that an id gets two documents."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

MAY = datetime(2026, 5, 3, tzinfo=UTC)


def asked(proxy: Any) -> list[str]:
    """The endpoints that were asked since the last call, but for writes."""
    paths = [path.split("?")[0].rsplit("/", 1)[-1] for path, _, _ in proxy.seen]
    proxy.seen.clear()
    return [path for path in paths if path not in ("_bulk", "docs")]


def dated(store: Any, *numbers: int) -> list[Any]:
    return [store.event(f"x:{number}", created_at=MAY) for number in numbers]


def test_posts_with_a_date_ask_for_nothing_while_all_have_one(store: Any, proxy: Any) -> None:
    store.proxied.write(dated(store, 0))
    asked(proxy)
    store.proxied.write(dated(store, 1, 2, 3))
    assert asked(proxy) == []


def test_a_quiet_undated_index_is_searched_and_a_busy_one_looked_up(store: Any, proxy: Any) -> None:
    store.proxied.write([store.event("x:undated")])
    asked(proxy)
    store.proxied.write(dated(store, 1))
    assert asked(proxy) == ["_mget"], "it was written to since we looked"
    store.proxied.write(dated(store, 2))
    assert asked(proxy) == ["_refresh", "_search"]
    store.proxied.write(dated(store, 3))
    assert asked(proxy) == ["_search"]
    # Another process, a rebuild beside us, writes a stub there in this moment.
    store.another().write([store.event("x:4", deleted=True)])
    asked(proxy)
    store.proxied.write(dated(store, 4))
    assert asked(proxy) == ["_mget"]
    assert [hit["_index"] for hit in store.stored()["x:4"]] == [f"{store.prefix}-posts-undated"]


def test_what_a_search_found_is_not_looked_for_again(store: Any, proxy: Any) -> None:
    store.sink.write([store.event("x:1")])
    store.proxied.catch_up()
    store.proxied.write([store.event("x:1")])
    assert "_search" in asked(proxy)
    store.proxied.write([store.event("x:1", created_at=MAY)])
    assert asked(proxy) == []
    assert [hit["_index"] for hit in store.stored()["x:1"]] == [f"{store.prefix}-posts-undated"]


def test_whoever_takes_over_finds_what_was_written_just_now(store: Any) -> None:
    store.client.indices.put_settings(
        index=f"{store.prefix}-posts-*", settings={"index.refresh_interval": "-1"}
    )
    store.sink.write(dated(store, *range(50)))
    # The same posts without their dates, as a feed sends them that lost these.
    store.another().write([store.event(f"x:{number}") for number in range(50)])
    assert {hit["_index"] for [hit] in store.stored().values()} == {f"{store.prefix}-posts-2026.05"}


def test_a_memory_that_is_full_forgets_nothing_too_early(store: Any) -> None:
    sink = type(store.sink)(store.client, store.settings, known_ids=10, sleep=lambda _: None)
    sink.write(dated(store, 0))
    store.client.indices.put_settings(
        index=f"{store.prefix}-posts-*", settings={"index.refresh_interval": "-1"}
    )
    for number in range(40):
        sink.write(dated(store, number))
    for number in range(40):
        sink.write([store.event(f"x:{number}")])
    assert {hit["_index"] for [hit] in store.stored().values()} == {f"{store.prefix}-posts-2026.05"}
