"""What was taken in from Reddit is looked at again: edits and deletions come, and no death loses one."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors._memory import FILE
from connectors._reddit.looks import Change, Known, Shown, looked_at, next_look
from connectors._reddit.taken import Taken
from connectors.reddit import SETTINGS, Reddit
from pipeline.app.registry import build_connector
from pipeline.core.errors import ConfigError, RetryableError
from pipeline.core.post import Post
from pipeline.core.protocols import Cursor
from pipeline.core.settings import Secret
from pipeline.core.version import version_of
from testkit.connectors import reddit as fixture
from testkit.platform.faults import FAULTS
from testkit.platform.server import PlatformServer
from testkit.waiting import until

COUNT = 12


class Past:
    """A site with a dozen things, and connectors whose clock can be put forward."""

    def __init__(self, server: PlatformServer, site: fixture.Site, folder: Path, stack: ExitStack) -> None:
        self.server = server
        self.site = site
        self.folder = folder
        self.ahead = timedelta()
        self._stack = stack

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def clock(self) -> float:
        return time.monotonic() + self.ahead.total_seconds()

    def connect(self, **settings: Any) -> Reddit:
        table = fixture.table(self.server.url) | {"batch": 100, "poll_seconds": 1, "recheck_hours": 24.0}
        made = SETTINGS(client_secret=Secret(fixture.SECRET), **(table | settings))
        connector = Reddit(made, [], Taken(self.folder), self.now, self.clock)
        self._stack.callback(connector.close)
        return connector

    def later(self, **ago: float) -> None:
        self.ahead += timedelta(**ago)

    @property
    def looks(self) -> list[list[str]]:
        return [asked.last("id").split(",") for asked in self.server.asked if asked.last("id")]


@pytest.fixture
def past(tmp_path: Path) -> Iterator[Past]:
    began = time.time() - 60
    items = [fixture.item(number, began + number) for number in range(COUNT)]
    site = fixture.Site(lambda: items, {"parcels": "public", "acme": "public"})
    with ExitStack() as stack, PlatformServer(site, fixture.RedditDialect()) as server:
        yield Past(server, site, tmp_path / "memory", stack)


def catch_up(connector: Reddit, cursor: Cursor | None = None) -> tuple[list[Post], Cursor]:
    posts: list[Post] = []
    while True:
        read = connector.read(cursor)
        posts += read.posts
        cursor = read.cursor
        if read.wait:
            return posts, cursor


LIVE = [fixture.name(number) for number in range(COUNT) if number % 13 != 8]


def test_edits_and_deletions_are_found(past: Past) -> None:
    connector = past.connect()
    first, cursor = catch_up(connector)
    assert len(first) == COUNT
    assert not past.looks, "nothing is ten minutes old"
    past.site.changed[fixture.name(1)] = {"body": "[deleted]", "author": "[deleted]", "author_fullname": None}
    past.site.changed[fixture.name(2)] = {"body": "[removed]"}
    past.site.changed[fixture.name(3)] = {"removed_by_category": "moderator"}
    past.site.changed[fixture.name(4)] = {"body": "It came after all", "edited": time.time()}
    past.site.changed[fixture.name(6)] = {"selftext": "Put right within three minutes"}
    past.site.changed[fixture.name(7)] = {"score": 99}
    past.later(minutes=11)
    found, cursor = catch_up(connector, cursor)
    assert [sorted(names) for names in past.looks] == [sorted(LIVE)]
    by_id = {post.id: post for post in found}
    assert by_id.keys() == {f"reddit:{fixture.name(number)}" for number in (1, 2, 3, 4, 6)}
    assert {post.id[-1] for post in found if post.deleted} == {name[-1] for name in LIVE[1:4]}
    assert not any(post.text or post.author.id for post in found if post.deleted)
    edit, ninja = by_id[f"reddit:{fixture.name(4)}"], by_id[f"reddit:{fixture.name(6)}"]
    assert edit.text == "It came after all"
    before = {post.id: post for post in first}
    for post in found:
        assert version_of(post) > version_of(before[post.id])
    assert ninja.edited_at is None
    # What is known now is not sent again, and what is gone is not asked for.
    past.later(minutes=25)
    assert catch_up(connector, cursor)[0] == []
    assert fixture.name(1) not in past.looks[-1]
    assert fixture.name(4) in past.looks[-1]


def test_what_is_not_shown_counts_as_deleted_the_second_time(past: Past) -> None:
    connector = past.connect()
    _, cursor = catch_up(connector)
    past.site.changed[fixture.name(1)] = None
    past.later(minutes=11)
    posts, cursor = catch_up(connector, cursor)
    assert posts == []
    past.later(minutes=9)
    assert catch_up(connector, cursor)[0] == []
    past.later(minutes=2)
    (post,), cursor = catch_up(connector, cursor)
    assert (post.id, post.deleted) == (f"reddit:{fixture.name(1)}", True)


def test_what_is_shown_and_cannot_be_read_is_refused_and_not_taken_for_gone(past: Past) -> None:
    connector = past.connect()
    _, cursor = catch_up(connector)
    past.site.changed[fixture.name(1)] = {"body": 5}
    past.later(minutes=11)
    read = connector.read(connector.read(connector.read(cursor).cursor).cursor)
    assert (list(read.posts), len(read.rejected)) == ([], 1)
    cursor = read.cursor
    for _ in range(3):
        past.later(minutes=20)
        posts, cursor = catch_up(connector, cursor)
        assert posts == []
    past.site.changed = {}
    past.later(hours=3)
    assert catch_up(connector, cursor)[0] == []


def test_an_answer_that_shows_nothing_deletes_nothing(past: Past, caplog: pytest.LogCaptureFixture) -> None:
    connector = past.connect()
    _, cursor = catch_up(connector)
    past.site.changed = dict.fromkeys(LIVE)
    for _ in range(4):
        past.later(minutes=11)
        posts, cursor = catch_up(connector, cursor)
        assert posts == []
    assert "Reddit shows none of 11 posts" in caplog.text
    past.site.changed = {}
    past.later(minutes=11)
    assert catch_up(connector, cursor)[0] == []


def test_looks_end_with_the_hours(past: Past) -> None:
    connector = past.connect(recheck_hours=1.0)
    _, cursor = catch_up(connector)
    for _ in range(13):
        past.later(minutes=10)
        _, cursor = catch_up(connector, cursor)
    counts = {name: sum(name in names for names in past.looks) for name in LIVE}
    assert set(counts.values()) == {3}, "after 10 and 30 minutes, and at the end"


def test_a_death_before_it_was_sent_finds_it_again(past: Past) -> None:
    gone = fixture.name(1)
    connector = past.connect()
    _, cursor = catch_up(connector)
    connector.close()
    past.site.changed[gone] = {"body": "[deleted]", "author": "[deleted]"}
    past.site.hidden.add(gone)
    past.later(minutes=11)
    for _ in range(3):  # three deaths, each with the deletion in hand
        connector = past.connect()
        read = connector.read(connector.read(connector.read(cursor).cursor).cursor)
        assert [post.id for post in read.posts] == [f"reddit:{gone}"]
        connector.close()
    connector = past.connect()
    found, cursor = catch_up(connector, cursor)
    assert f"reddit:{gone}" in {post.id for post in found if post.deleted}
    connector.close()
    # It came back with our cursor before it ended, so all that is noted, for others too.
    looks = len(past.looks)
    connector = past.connect()
    _, cursor = catch_up(connector, cursor)
    assert len(past.looks) == looks
    past.later(minutes=25)
    catch_up(connector, cursor)
    assert len(past.looks) == looks + 1
    assert gone not in past.looks[-1]


def test_looks_leave_the_limit_to_what_is_new(past: Past) -> None:
    connector = past.connect()
    _, cursor = catch_up(connector)
    past.later(minutes=11)
    past.site.left, past.site.reset = 200.0, 600
    _, cursor = catch_up(connector, cursor)
    assert not past.looks
    past.site.left = 600.0
    past.later(seconds=2)
    _, cursor = catch_up(connector, cursor)
    past.later(seconds=10)
    _, cursor = catch_up(connector, cursor)
    assert past.looks


@pytest.mark.parametrize("fault", ["401", "404", "429", "503", "no answer", "redirect", "body of 100 MB"])
def test_looks_bear_every_fault(past: Past, fault: str) -> None:
    connector = past.connect()
    _, cursor = catch_up(connector)
    past.site.changed[fixture.name(1)] = {"body": "[deleted]", "author": "[deleted]"}
    past.later(minutes=11)
    read = connector.read(cursor)  # the listings come first
    read = connector.read(read.cursor)
    past.server.spoil(next(one for one in FAULTS if one.name == fault))
    with pytest.raises((ConfigError, RetryableError)) as fell:
        connector.read(read.cursor)
    assert past.looks
    time.sleep(getattr(fell.value, "retry_after", None) or 0)
    assert catch_up(connector, read.cursor)[0] == [], "what is new goes on, the look rests"
    past.later(seconds=5)
    found, _ = catch_up(connector, read.cursor)
    assert [post.id for post in found if post.deleted] == [f"reddit:{fixture.name(1)}"]


def test_without_a_home_nothing_is_remembered(past: Past, tmp_path: Path) -> None:
    (tmp_path / "s").write_text(fixture.SECRET)
    table = {"kind": "reddit", "client_secret_file": str(tmp_path / "s"), **fixture.table(past.server.url)}
    for home, remembers in ((None, False), (tmp_path / "home", True)):
        connector = build_connector("mine", table, home)
        catch_up(connector)  # type: ignore[arg-type]
        connector.close()
        assert (tmp_path / "home" / "connectors" / "mine" / FILE).exists() == remembers
    never = build_connector("other", table | {"recheck_hours": 0}, tmp_path / "home")
    catch_up(never)  # type: ignore[arg-type]
    never.close()
    assert not (tmp_path / "home" / "connectors" / "other").exists()


# ---- the memory


def known(number: int, at: float) -> Known:
    return Known(fixture.name(number), at, 0.0, number)


def test_the_memory_is_bounded_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    memory = Taken(tmp_path, most=100)
    for start in range(0, 400, 40):
        memory.remember([(known(number, float(number)), 1.0) for number in range(start, start + 40)])
    kept = memory.due(2.0, 1000)
    assert {one.name for one in kept} == {fixture.name(number) for number in range(300, 400)}
    assert caplog.text.count("lower `recheck_hours`") == 1
    memory.close()


def test_what_is_known_stays_until_a_look_says_otherwise(tmp_path: Path) -> None:
    memory = Taken(tmp_path)
    old, new = known(1, 5.0), Known(fixture.name(1), 5.0, 9.0, 77)
    memory.remember([(old, 1.0)])
    memory.remember([(new, 3.0)])
    assert memory.due(2.0, 9) == [old]
    memory.note([Change(new, 4.0)])
    assert memory.due(3.0, 9) == []
    assert memory.due(4.0, 9) == [new]
    memory.note([Change(new, None)])
    assert memory.due(9.0, 9) == []
    memory.close()
    with pytest.raises(RetryableError):
        memory.due(1.0, 1)


def test_a_memory_of_a_later_version_with_more_columns_serves(tmp_path: Path) -> None:
    Taken(tmp_path).due(1.0, 1)
    with closing(sqlite3.connect(tmp_path / FILE)) as file:
        file.execute("ALTER TABLE taken ADD COLUMN later TEXT")
    memory = Taken(tmp_path)
    memory.remember([(Known("t1_a", 1.0, 0.0, 7), 2.0)])
    assert [one.name for one in memory.due(3.0, 1)] == ["t1_a"]
    memory.close()


def test_a_damaged_memory_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database " * 1000)
    with pytest.raises(ConfigError, match="remove that folder"):
        Taken(tmp_path).due(1.0, 1)


_WRITER = """
import sys
from pathlib import Path
from connectors._memory import FILE
from connectors._reddit.looks import Known
from connectors._reddit.taken import Taken
memory = Taken(Path(sys.argv[1]))
number = 0
while True:
    names = [Known(f"t1_{number + step}", 1.0, 0.0, 5) for step in range(10)]
    memory.remember([(one, 1.0) for one in names])
    number += 10
    print(number, flush=True)
"""


def test_what_was_remembered_outlives_a_kill(tmp_path: Path) -> None:
    for round_ in range(3):
        folder = tmp_path / str(round_)
        with subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(folder)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            said: list[int] = []
            until(lambda w=writer, s=said: s.append(int(w.stdout.readline())) or s[-1] > 100)  # type: ignore[misc,union-attr,func-returns-value]
            os.kill(writer.pid, signal.SIGKILL)
            said += [int(line) for line in writer.stdout.read().split()]
        memory = Taken(folder)
        kept = memory.due(2.0, 10**6)
        assert {f"t1_{number}" for number in range(said[-1])} <= {one.name for one in kept}
        assert len(kept) % 10 == 0, "a batch is remembered whole or not at all"
        memory.close()


@given(st.floats(0, 2**31), st.floats(0, 10**7), st.floats(0.01, 720))
def test_looks_go_on_and_come_to_an_end(at: float, age: float, hours: float) -> None:
    now, looks = at + age, 0
    while (due := next_look(at, now, hours)) is not None:
        assert now < due <= at + hours * 3600 + 0.001
        now, looks = due + 0.001, looks + 1
    assert looks <= 9


def test_a_look_that_was_for_one_thing_alone_is_believed() -> None:
    now = datetime.now(UTC)
    one = msgspec.structs.replace(known(1, now.timestamp() - 700), absent=1)
    (post,), (change,) = looked_at([one], Shown(), now, 24)
    assert post.deleted
    assert change.due is None
