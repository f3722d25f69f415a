"""The memory of authors, end to end: unruly streams, repeats, deaths; what the posts say is remembered."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.app.offsets import spans
from pipeline.app.site import group
from pipeline.app.topics import admin_client, topics_of
from pipeline.core.errors import RetryableError
from sinks.store import Store
from testkit.authors import expected_authors, same
from testkit.installation import Installation, rows_of
from testkit.unruly import Mix, lines_of, unruly
from testkit.waiting import halt, until

MIX = Mix(edits=250, deletions=200, repeats=250, invalid=10)
POSTS = 2500
RATE = "250"  # a second: slow enough for a death to fall into the middle

Posts = Callable[[int], list[dict[str, Any]]]


def unreckoned(installation: Installation) -> int:
    """Marks that no worker has confirmed."""
    admin = admin_client(installation.kafka)
    try:
        marks = topics_of(installation.settings.kafka).authors.name
        return sum(s.lag for s in spans(admin, marks, group(installation.settings, "directory")).values())
    finally:
        admin.close()


def authors(installation: Installation) -> dict[str, dict[str, Any]]:
    store = Store(installation.client, installation.settings.elasticsearch, "authors")
    try:
        store.refresh()
        return {found.source["id"]: found.source for found in store.search({"match_all": {}})}
    except RetryableError:
        return {}  # the index is just being made


def check(installation: Installation, texts: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Every author is remembered as the final posts say, and nobody else."""
    posts = [row.source for row in rows_of(installation.documents()).values()]
    assert {post["id"]: post["text"] for post in posts if not post["deleted"]} == texts
    expected, found = expected_authors(posts), authors(installation)
    assert found.keys() == expected.keys()
    wrong = [(found[id], expected[id]) for id in expected if not same(found[id], expected[id])]
    assert wrong == []
    return {id: {**document, "updated_at": ""} for id, document in found.items()}


def stream(posts: Posts, tmp_path: Path, seed: int) -> tuple[Path, dict[str, str], set[str]]:
    """A file with an unruly stream of posts of few authors of two sources; the texts and stubs of its end."""
    chosen = posts(POSTS)
    for number, post in enumerate(chosen):
        if number % 5:
            source = post["id"].partition(":")[0]
            post["author"] = {"id": f"{source}:few-{number % 300}", "handle": f"h{number % 7}"}
        if number % 9 == 0:
            post["collected_at"] = "2018-06-01T10:00:00.123456Z"
    lines, expected = unruly(chosen, MIX, seed)
    file = tmp_path / "posts.jsonl"
    file.write_bytes(lines_of(lines))
    return file, expected.texts, expected.stubs


def test_twice_through_everything(installation: Installation, posts: Posts, tmp_path: Path) -> None:
    file, texts, stubs = stream(posts, tmp_path, seed=11)
    daemon = installation.daemon("enrich", "index", "directory")
    rounds = []
    for _ in range(2):
        sent = installation.command("replay", str(file))
        assert sent.returncode == 0, sent.stderr.decode()
        installation.settle(daemon)
        until(lambda: unreckoned(installation) == 0, why="every mark is worked off")
        rounds.append(check(installation, texts))
    assert rounds[0] == rounds[1]
    assert len(stubs) == MIX.deletions
    assert daemon.stop() == 0

    # Nothing but the log is left, and no worker: the command alone brings everybody back.
    store = Store(installation.client, installation.settings.elasticsearch, "authors")
    store.drop()
    rebuilt = installation.command("rebuild", "--yes")
    assert rebuilt.returncode == 0, rebuilt.stderr.decode()
    assert f"{len(rounds[0])} authors" in rebuilt.stderr.decode()
    assert check(installation, texts) == rounds[0]


def test_who_deletes_all_is_forgotten(installation: Installation) -> None:
    daemon = installation.daemon("enrich", "index", "directory")
    post = b'{"id": "x:%d", "text": "hello", "author": {"id": "x:%s"}}\n'
    lines = b"".join(post % pair for pair in [(1, b"ann"), (2, b"ann"), (3, b"bo")])
    assert installation.command("replay", "-", stdin=lines).returncode == 0
    until(lambda: authors(installation).keys() == {"x:ann", "x:bo"}, why="both are remembered")
    notice = b'{"id": "x:%d", "deleted": true}\n'
    assert installation.command("replay", "-", stdin=notice % 1 + notice % 2).returncode == 0
    until(lambda: authors(installation).keys() == {"x:bo"}, why="who has no post is forgotten")
    assert daemon.stop() == 0


@pytest.mark.parametrize("victim", ["index", "directory"])
def test_a_death_changes_nothing(
    installation: Installation, posts: Posts, tmp_path: Path, victim: str
) -> None:
    file, texts, _ = stream(posts, tmp_path, seed=len(victim))
    daemon = installation.daemon("enrich", "index", "directory")
    first = b'{"id": "x:first", "text": "hello", "author": {"id": "x:first"}}\n'
    assert installation.command("replay", "-", stdin=first).returncode == 0
    until(lambda: "x:first" in authors(installation), why="both are at work")
    texts["x:first"] = "hello"
    pid = installation.role_pid(victim)
    assert pid is not None
    replay = installation.start("replay", "--rate", RATE, str(file))
    sent = topics_of(installation.settings.kafka).posts.name
    halt(
        replay.pid,
        lambda: len(authors(installation)) > 10,
        lambda: installation.records(sent) > POSTS / 2,
        why="authors are remembered",
    )
    assert replay.poll() is None, "the death must fall into the middle of the stream"
    replay.send_signal(signal.SIGCONT)
    os.kill(pid, signal.SIGKILL)
    until(lambda: installation.role_pid(victim) not in (None, pid), why=f"a new {victim}")
    _, said = replay.communicate(timeout=120)
    assert replay.returncode == 0, said.decode()
    installation.settle(daemon)
    until(lambda: unreckoned(installation) == 0, why="every mark is worked off")
    check(installation, texts)
    assert daemon.stop() == 0
