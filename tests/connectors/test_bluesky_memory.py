"""Whose deletions and edits are told of, and what becomes of the posts of accounts that end."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connectors._bluesky.taken import Taken
from connectors._memory import FILE
from connectors.bluesky import SETTINGS, Bluesky, at_home, build
from pipeline.core.post import Post
from testkit.connectors import bluesky as jetstream
from testkit.jetstream import Network, key, post_id
from testkit.platform.answers import Item
from testkit.platform.staged import ServedStage

WORDS = ["parcel"]
SECOND = 1_000_000


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[ServedStage]:
    with jetstream.FIXTURE.stage(tmp_path) as stage:
        yield stage


@pytest.fixture
def network(stage: ServedStage) -> Network:
    return Network(stage)


@pytest.fixture
def listen(stage: ServedStage, tmp_path: Path) -> Iterator[Any]:
    """Makes connectors with a memory of the test's own and these settings."""
    with ExitStack() as stack:

        def make(**settings: Any) -> Bluesky:
            table = {**stage.table, "words": WORDS, "batch": 1000, **settings}
            connector = build(at_home(msgspec.convert(table, SETTINGS), tmp_path / "memory"))
            stack.callback(connector.close)
            return connector

        yield make


def read_all(connector: Bluesky, cursor: Any = None) -> tuple[list[Post], Any]:
    found: list[Post] = []
    wait: float | None = 0.0
    while not wait:
        read = connector.read(cursor)
        assert not read.rejected
        found += read.posts
        cursor, wait = read.cursor, read.wait
    return found, cursor


def ids(posts: list[Post], *, deleted: bool) -> list[str]:
    return [post.id for post in posts if post.deleted == deleted]


def test_only_deletions_and_edits_by_authors_of_whom_something_was_taken_in(
    network: Network, listen: Any
) -> None:
    ours, theirs = key(500), key(500, 1)
    network.post(1, ours)
    network.post(2, theirs, "nice weather")
    for author, rkey in ((1, ours), (2, theirs), (3, key(9000))):
        network.delete(author, rkey)
    network.post(1, key(400), "late again", operation="update")
    network.post(2, key(400), "late again", operation="update")
    network.post(4, key(400), "PARCEL!", operation="update")
    found, _ = read_all(listen())
    assert ids(found, deleted=True) == [post_id(1, ours)]
    assert [post.text for post in found if not post.deleted] == ["my parcel", "late again", "PARCEL!"]


def test_authors_are_remembered_beyond_the_process(network: Network, listen: Any) -> None:
    network.post(1, key(500))
    connector = listen()
    _, cursor = read_all(connector)
    connector.close()
    later = key(400)
    network.delete(1, later)
    network.delete(2, later)
    found, _ = read_all(listen(), cursor)
    assert ids(found, deleted=True) == [post_id(1, later)]


def test_all_deletions_pass_without_narrowing_and_without_a_memory(
    stage: ServedStage, network: Network, listen: Any
) -> None:
    network.delete(1, key(500))
    assert len(read_all(listen(words=[]))[0]) == 1
    bare = build(msgspec.convert({**stage.table, "words": WORDS}, SETTINGS))
    assert len(read_all(bare)[0]) == 1
    bare.close()


def test_deletions_by_authors_who_are_followed_pass(network: Network, listen: Any) -> None:
    network.delete(1, key(500))
    assert len(read_all(listen(authors=[jetstream.did(1)]))[0]) == 1


def test_a_deletion_that_comes_before_its_post_is_kept_for_it(network: Network, listen: Any) -> None:
    rkey = key(500)
    network.delete(1, rkey)
    network.delete(2, key(500, 1))
    connector = listen()
    first, cursor = read_all(connector)
    assert not first
    network.post(1, rkey)
    found, _ = read_all(connector, cursor)
    assert ids(found, deleted=True) == ids(found, deleted=False) == [post_id(1, rkey)]


def test_posts_of_an_installation_that_had_no_memory_are_still_deleted(network: Network, listen: Any) -> None:
    cursor = {"time_us": int((time.time() - 600) * SECOND)}
    old, strange, new = key(9000), "a-key-of-its-own", key(-2 * 86400)
    for rkey in (old, strange, new):
        network.delete(3, rkey)
    network.post(3, old, "nice weather", operation="update")
    connector = listen()
    found, cursor = read_all(connector, cursor)
    assert ids(found, deleted=True) == [post_id(3, old), post_id(3, strange)]
    assert ids(found, deleted=False) == [post_id(3, old)]
    connector.close()
    network.delete(4, old)
    assert len(read_all(listen(), cursor)[0]) >= 1, "the memory's birth is forgotten with the process"


def test_a_first_start_has_nothing_earlier(network: Network, listen: Any) -> None:
    network.delete(3, key(9000))
    connector = listen()
    found, cursor = read_all(connector)
    connector.close()
    network.delete(3, key(9000, 1))
    assert not found
    assert not read_all(listen(), cursor)[0]


@pytest.mark.parametrize("begun", [False, True], ids=["never narrowed", "narrowed at first"])
def test_a_source_that_is_narrowed_later_deletes_what_it_took_in_before(
    begun: bool, network: Network, listen: Any
) -> None:
    cursor = None
    if begun:
        network.post(4, key(400), "nice weather")
        connector = listen()
        _, cursor = read_all(connector)
        connector.close()
        network.rest(10)
    rkey = key(300)
    network.post(3, rkey, "nice weather")
    connector = listen(words=[])
    taken, cursor = read_all(connector, cursor)
    assert post_id(3, rkey) in ids(taken, deleted=False)
    connector.close()
    network.delete(3, rkey)
    network.delete(3, key(-2 * 86400))
    found, _ = read_all(listen(), cursor)
    assert ids(found, deleted=True) == [post_id(3, rkey)]


@pytest.mark.parametrize("status", ["deleted", "takendown"])
def test_an_account_that_ends_takes_its_posts_along_some_at_a_time(
    status: str, network: Network, listen: Any
) -> None:
    keys = [key(500, number) for number in range(30)]
    for rkey in keys:
        network.post(1, rkey)
    network.post(2, keys[0])
    connector = listen()
    _, cursor = read_all(connector)
    connector.close()
    network.account(1, status)
    connector = listen(batch=8)
    found: set[str] = set()
    repeated = False
    idle = False
    while not idle:
        read = connector.read(cursor)
        assert len(read.posts) <= 16
        if "told" in read.cursor and not repeated:
            repeated = True  # it was not confirmed: the same cursor comes again, and all of it must
            continue
        found |= set(ids(read.posts, deleted=True))
        cursor, idle = read.cursor, bool(read.wait)
    assert repeated
    assert found == {post_id(1, rkey) for rkey in keys}


@pytest.mark.parametrize("status", ["deactivated", "suspended", "throttled", None, 7, [], {}])
def test_an_account_that_may_come_back_keeps_its_posts(status: Any, network: Network, listen: Any) -> None:
    network.post(1, key(500))
    network.account(1, status)
    network.account(2, "deleted")
    assert not ids(read_all(listen())[0], deleted=True)


def test_the_cursor_waits_before_an_account_until_all_is_told(network: Network, listen: Any) -> None:
    keys = [key(500, number) for number in range(30)]
    for rkey in keys:
        network.post(1, rkey)
    network.account(1, "deleted")
    for number in range(40):
        network.rest(10)
        network.post(2, key(400, number))
    connector = listen(batch=8)
    got: set[str] = set()
    cursor: Any = None
    told = 0
    idle = False
    while not idle:
        read = connector.read(cursor)
        got |= set(ids(read.posts, deleted=True))
        cursor, idle = json.loads(json.dumps(read.cursor)), bool(read.wait)
        told += "told" in cursor
        if told == 3:  # others' posts of later were read by now
            connector.close()
            connector = listen(batch=8)
            got.clear()
            told += 1
    assert told > 3
    assert got == {post_id(1, rkey) for rkey in keys}
    assert "told" not in cursor


def test_production_events_are_sifted(stage: ServedStage, listen: Any, tmp_path: Path, shared: Path) -> None:
    file = shared / "data" / "payloads" / "bluesky_jetstream" / "expected_v1.jsonl"
    lines = [json.loads(line) for line in file.read_bytes().splitlines()]
    for step, line in enumerate(lines):
        stage.timeline.items.append(Item(data=line, at=time.time() - 300 + step / 10))
    connector = listen(words=[], profiles="", memory=tmp_path / "other")
    all_of_it = ids(read_all(connector)[0], deleted=False)
    assert len(all_of_it) == 17
    found, _ = read_all(listen(words=[], languages=["en"]))
    assert 0 < len(found) < 17
    assert {post.id for post in found} < set(all_of_it), "the one deletion is of an author not taken in"


def test_nothing_is_written_where_nothing_is_new(network: Network, listen: Any, tmp_path: Path) -> None:
    network.post(1, key(500))
    connector = listen()
    _, cursor = read_all(connector)
    files = [tmp_path / "memory" / name for name in (FILE, f"{FILE}-wal")]
    before = [file.read_bytes() for file in files]
    connector._hang_up()
    network.delete(1, key(500))
    network.delete(2, key(500))
    again, _ = read_all(connector, cursor)
    assert len(again) == 2
    assert [file.read_bytes() for file in files] == before


def test_old_keys_are_forgotten_and_authors_are_not(tmp_path: Path) -> None:
    day = 86400.0
    taken = Taken(tmp_path, 10, narrowed=True, resumed=False, now=0)
    taken.note([("did:a", "one"), ("did:b", "two")], 100 * day)
    taken.note([("did:a", "three")], 105 * day)
    for step in range(5):
        taken.sweep(111 * day + step * 61)
    assert taken.keys_of("did:a", "", 9) == ["three"]
    assert taken.keys_of("did:b", "", 9) == []
    assert taken.knows("did:a")
    assert taken.knows("did:b")
    taken.close()


def test_keys_come_in_order_and_of_one_author(tmp_path: Path) -> None:
    taken = Taken(tmp_path, 10, narrowed=True, resumed=False, now=0)
    keys = {author: sorted(f"{'a' * (n % 3)}{n:03d}" for n in range(40)) for author in ("did:a", "did:b")}
    taken.note([(author, one) for author, some in keys.items() for one in some], 0)
    for author, some in keys.items():
        for size in (1, 7, 40, 100):
            found: list[str] = []
            while page := taken.keys_of(author, found[-1] if found else "", size):
                found += page
            assert found == some
    taken.close()


def test_the_file_belongs_to_whoever_runs_it_alone(network: Network, listen: Any, tmp_path: Path) -> None:
    network.post(1, key(500))
    read_all(listen())
    files = [*(tmp_path / "memory").iterdir()]
    assert FILE in {file.name for file in files}
    for file in (tmp_path / "memory", *files):
        assert file.stat().st_mode & 0o077 == 0, file
    assert not any(jetstream.did(1).encode() in file.read_bytes() for file in files)
