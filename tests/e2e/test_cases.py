"""Cases through real processes: each once whatever dies, and what a person took stays theirs."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.app.daemon import Daemon
from pipeline.app.log_reader import read_topic
from pipeline.app.topics import topics_of
from pipeline.core.case import Case, case_id
from pipeline.embedded.servers import kill, start_elasticsearch
from sinks.cases import Cases
from testkit.installation import Installation
from testkit.unruly import Mix, lines_of, unruly
from testkit.waiting import until

RULES = """
mode = "first"
[queues.outages]
priority = 2
first_response_minutes = 30
[queues.billing]
priority = 4
[[rules]]
id = "outage"
queue = "outages"
when = 'text contains "broke"'
[[rules]]
id = "bill"
queue = "billing"
when = 'text contains "bill"'
"""

Post = dict[str, Any]


@pytest.fixture
def installation(install: Callable[..., Installation], tmp_path: Path) -> Installation:
    """One whose posts are routed."""
    rules = tmp_path / "routing.toml"
    rules.write_text(RULES)
    return install(GROUNDSWELL_ENRICH_STEPS="route", GROUNDSWELL_ENRICHERS_ROUTE_FILE=str(rules))


def post(id: str, text: str = "it broke", author: str = "x:ann", **more: Any) -> Post:
    made: Post = {"id": id, "text": text, "author": {"id": author, "handle": author[2:]}}
    return made | {"created_at": "2026-11-22T10:00:00Z"} | more


def send(installation: Installation, posts: Sequence[Post | bytes]) -> None:
    """Replays the posts."""
    lines = [one if isinstance(one, bytes) else msgspec.json.encode(one) for one in posts]
    done = installation.command("replay", "-", stdin=lines_of(lines))
    assert done.returncode == 0, done.stderr.decode()


def stored(installation: Installation) -> dict[str, Case]:
    """All cases of the index."""
    cases = Cases(installation.client, installation.settings.elasticsearch)
    cases.store.refresh()
    return {held.case.id: held.case for held in cases.all()}


def run(installation: Installation, *words: str) -> subprocess.CompletedProcess[bytes]:
    done = installation.command("queue", *words)
    assert done.returncode == 0, done.stderr.decode()
    return done


def listed(installation: Installation, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run(installation, *words, "--format", "json").stdout)
    return found


def storm(seed: int) -> tuple[list[bytes], dict[str, set[str]]]:
    """Lines of posts with edits, deletions and repeats, in any order; and the posts of each conversation
    that are routed at the end."""
    chance = random.Random(seed)
    texts = ("it broke", "my bill", "all is well", "lovely day")
    posts = [
        post(
            f"x:{n}",
            f"{chance.choice(texts)} {n}",
            f"x:a{chance.randrange(40)}",
            **({"thread": f"t{chance.randrange(8)}"} if chance.random() < 0.5 else {}),
        )
        for n in range(400)
    ]
    lines, expected = unruly(posts, Mix(edits=80, deletions=30, repeats=200, invalid=0), seed)
    # Some lose their route by an edit, and some get one.
    for number, one in enumerate(chance.sample(posts, 60)):
        if one["id"] in expected.stubs:
            continue
        text = "all is well again" if number % 2 else "now it broke"
        edit = {**one, "text": text, "edited_at": "2026-11-22T11:00:00Z"}
        lines.insert(chance.randrange(len(lines)), msgspec.json.encode(edit))
        expected.texts[one["id"]] = text
    wanted: dict[str, set[str]] = {}
    for one in posts:
        text = expected.texts.get(one["id"], "")
        if "broke" in text or "bill" in text:
            wanted.setdefault(case_id(one["author"]["id"], one.get("thread", one["id"])), set()).add(
                one["id"]
            )
    return lines, wanted


def judge(installation: Installation, wanted: dict[str, set[str]], taken: str) -> None:
    """Every conversation with a routed post has one case that waits, and nothing else does."""
    cases = stored(installation)
    waiting = {id: case for id, case in cases.items() if case.state != "resolved" and id != taken}
    routed = {
        id: {post for post, claim in case.claims.items() if claim.queue} for id, case in waiting.items()
    }
    assert routed == wanted
    held = Counter(post for case in cases.values() for post in case.posts)
    assert max(held.values()) == 1, [post for post, count in held.items() if count > 1]
    assert (cases[taken].state, cases[taken].assignee) == ("taken", "ann")
    assert cases[taken].posts == ("x:taken", "x:more")
    _, findings = installation.audit()
    assert findings == []


def kill_index(installation: Installation, daemon: Daemon) -> Daemon:
    for _ in range(3):
        pid = installation.role_pid("index")
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        until(lambda pid=pid: installation.role_pid("index") not in (None, pid), why="a new index")
        time.sleep(0.7)
    return daemon


def another_index(installation: Installation, daemon: Daemon) -> Daemon:
    installation.daemon("index")
    return daemon


def nothing(installation: Installation, daemon: Daemon) -> Daemon:
    return daemon


def rebuild(installation: Installation, daemon: Daemon) -> Daemon:
    """Beside the running daemon, twice."""
    for _ in range(2):
        done = installation.command("rebuild", "--yes")
        assert done.returncode == 0, done.stderr.decode()
    return daemon


@pytest.mark.parametrize("disturb", [nothing, kill_index, another_index, rebuild])
def test_each_case_once_whatever_happens(
    installation: Installation, tmp_path: Path, disturb: Callable[[Installation, Daemon], Daemon]
) -> None:
    daemon = installation.daemon("enrich", "index")
    send(installation, [post("x:taken", thread="mine")])
    until(lambda: len(stored(installation)) == 1, why="the first case")
    (taken,) = stored(installation)
    run(installation, "take", taken[:6], "--as", "ann")

    lines, wanted = storm(seed=7)
    for line in (post("x:taken", thread="mine"), post("x:more", "my bill", thread="mine")):
        lines.insert(len(lines) // 2, msgspec.json.encode(line))
    file = tmp_path / "posts.jsonl"
    file.write_bytes(lines_of(lines))
    replay = installation.start("replay", "--rate", "250", str(file))
    time.sleep(0.5)
    daemon = disturb(installation, daemon)
    _, said = replay.communicate(timeout=120)
    assert replay.returncode == 0, said.decode()
    installation.settle(daemon)
    judge(installation, wanted, taken)

    before = stored(installation)
    assert installation.command("replay", str(file)).returncode == 0
    installation.settle(daemon)
    assert stored(installation) == before, "the same file once more"

    edited = post("x:taken", "it broke, and how", thread="mine", edited_at="2026-11-22T12:00:00Z")
    send(installation, [edited])
    installation.settle(daemon)
    case = stored(installation)[taken]
    assert (case.state, case.assignee, case.queue) == ("taken", "ann", "outages")
    assert case.history[-1].did == "edited"

    done = installation.command("rebuild", "--yes")
    assert done.returncode == 0, done.stderr.decode()
    assert stored(installation) == before | {taken: case}, "people's work comes back from the journal"
    judge(installation, wanted, taken)
    assert daemon.stop() == 0, installation.log()[-2000:]


def test_of_twenty_who_take_a_case_at_once_one_gets_it(installation: Installation) -> None:
    daemon = installation.daemon("enrich", "index")
    send(installation, [post(f"x:{n}") for n in range(2)])
    until(lambda: len(stored(installation)) == 2, why="the cases")
    for id in stored(installation):
        takers = {f"p{n}": installation.start("queue", "take", id, "--as", f"p{n}") for n in range(20)}
        ended = {
            name: (process.communicate(timeout=120), process.returncode) for name, process in takers.items()
        }
        winners = [name for name, (_, status) in ended.items() if status == 0]
        assert len(winners) == 1, ended
        for name, ((_, said), status) in ended.items():
            if name not in winners:
                assert status == 1, said.decode()
                assert f"{winners[0]} has case {id} since 2" in said.decode()
        case = stored(installation)[id]
        assert (case.state, case.assignee, case.revision) == ("taken", winners[0], 2)
    _, findings = installation.audit()
    assert findings == []
    assert daemon.stop() == 0


def test_a_day_at_the_desk(installation: Installation) -> None:
    daemon = installation.daemon("enrich", "index")
    first = post("x:1", "it broke \x1b[31m=cmd", url="https://x.example/1")
    send(installation, [first, post("x:2", "my bill", "x:bob"), post("x:3", "fine")])
    until(lambda: len(listed(installation)) == 2, why="the cases")
    rows = listed(installation)
    assert [(row["queue"], row["priority"], row["author"]) for row in rows] == [
        ("outages", 2, "ann"),
        ("billing", 4, "bob"),
    ]
    page = run(installation).stdout.decode()
    assert [line.split()[:4] for line in page.splitlines()[1:3]] == [
        ["billing", "1", "1", "0"],
        ["outages", "1", "1", "0"],
    ]
    assert "\x1b" not in page
    assert "late" in page or "in 2" in page
    assert run(installation, "--limit", "1", "billing", "--format", "csv").stdout.decode().count("\n") == 2

    one, two = (row["case"] for row in rows)
    assert b"taken (ann)" in run(installation, "take", "x:1", "--as", "ann", "--note", "calling").stdout
    assert b"unchanged" in run(installation, "take", one[:5], "--as", "ann").stdout
    assert b"waiting (ann)" in run(installation, "wait", one, "--as", "ann").stdout
    shown = run(installation, "show", one).stdout.decode()
    assert "took by ann: calling" in shown
    assert "it broke  [31m=cmd" in shown or "it broke [31m=cmd" in shown
    assert (
        b"in outages, priority 1"
        in run(installation, "move", two, "outages", "--as", "bob", "--priority", "1").stdout
    )
    assert [row["case"] for row in listed(installation, "outages")] == [two, one]
    run(installation, "note", two, "seen before", "--as", "bob")
    assert b"resolved (bob)" in run(installation, "done", two, "--as", "bob").stdout
    assert [row["case"] for row in listed(installation)] == [one]
    assert len(listed(installation, "--all-states")) == 2
    assert b"is new in outages" in run(installation, "release", one, "--as", "bob").stdout

    for words, status, said in (
        (["take", "ffff", "--as", "ann"], 2, "there is no case `ffff`"),
        (["take", "x:3", "--as", "ann"], 2, "there is no case `x:3`"),
        (["take", "no", "--as", "ann"], 2, "is no case"),
        (["take", one, "--as", " "], 2, "--as takes a name"),
        (["release", two, "--as", "ann"], 1, "is resolved since"),
        (["move", one, "outage", "--as", "ann"], 1, "did you mean `outages`"),
        (["billng"], 2, "did you mean `billing`"),
    ):
        refused = installation.command("queue", *words)
        assert (refused.returncode, said in refused.stderr.decode()) == (status, True), refused.stderr
    _, findings = installation.audit()
    assert findings == []
    assert daemon.stop() == 0


def test_follow_tells_what_comes_and_outlives_elasticsearch(
    installation: Installation, server_home: Path, tmp_path: Path
) -> None:
    daemon = installation.daemon("enrich", "index")
    send(installation, [post("x:1")])
    until(lambda: len(listed(installation)) == 1, why="the first case")
    out = tmp_path / "follow.txt"
    with out.open("wb") as sink:
        environ = installation.environ | {"PYTHONUNBUFFERED": "1"}
        command = [
            *installation.start("--version").args[:3],
            "queue",
            "outages",
            "--follow",
            "--format",
            "json",
        ]  # type: ignore[index]
        following = subprocess.Popen(command, env=environ, stdout=sink, stderr=subprocess.PIPE)
    try:

        def told() -> list[tuple[str, str]]:
            # The last line may be half written.
            rows = map(json.loads, out.read_text().split("\n")[:-1])
            return [(row["post"], row["state"]) for row in rows]

        until(lambda: told() == [("x:1", "new")], why="what waits already")
        send(installation, [post("x:2", author="x:bob"), post("x:other", "my bill", "x:cem")])
        until(lambda: told()[1:] == [("x:2", "new")], why="what comes")
        kill(server_home, "elasticsearch")
        time.sleep(3)
        start_elasticsearch(server_home)
        run(installation, "done", "x:1", "--as", "ann")
        until(lambda: told()[2:] == [("x:1", "resolved")], why="what changes")
        following.send_signal(signal.SIGINT)
        _, said = following.communicate(timeout=120)
        assert following.returncode == 130
        assert b"waiting until it answers" in said
        assert b"answers again" in said
    finally:
        if following.poll() is None:
            following.kill()
            following.wait()
    assert daemon.stop() == 0


def test_notices_and_answers(installation: Installation) -> None:
    daemon = installation.daemon("enrich", "index")
    ours = post("x:ours", "sorry", "x:larkwell", direction="outbound", in_reply_to="x:1")
    send(
        installation, [ours | {"created_at": "2026-11-22T10:12:00Z"}, post("x:1", url="https://x.example/1")]
    )
    installation.settle(daemon)
    (case,) = stored(installation).values()
    assert case.first_response_at is not None
    assert f"{case.first_response_at:%H:%M}" == "10:12"
    topic = topics_of(installation.settings.kafka).queue_of("outages").name
    (record,) = [record for portion in read_topic(installation.kafka, topic) for record in portion]
    notice = json.loads(record.value or b"")
    assert record.key == b"x:1"
    assert notice.pop("due_at") == f"{case.due_at:%Y-%m-%dT%H:%M:%S.%f}Z".replace(".000000", "")
    assert notice.pop("processed_at")
    assert notice == {
        "id": case.id,
        "post_id": "x:1",
        "queue": "outages",
        "priority": 2,
        "rule": "outage",
        "version": 0,
        "source": "x",
        "url": "https://x.example/1",
    }
    assert daemon.stop() == 0
