"""Collecting and replaying files that grow, shrink, vanish or are damaged, through kills: no post is lost."""

from __future__ import annotations

import gzip
import json
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.app.log_reader import read_topic
from pipeline.app.registry import known
from pipeline.app.topics import ensure_topics
from testkit.installation import Installation, rows_of
from testkit.readiness import readyz
from testkit.waiting import halt, until


def lines(first: int, after: int) -> bytes:
    """Posts of these numbers, a line each."""
    whole = '{"id": "x:%d", "text": "hello number %d", "author": {"id": "x:joe"}}\n'
    return "".join(whole % (number, number) for number in range(first, after)).encode()


def ids(first: int, after: int) -> set[str]:
    return {f"x:{number}" for number in range(first, after)}


def append(file: Path, data: bytes) -> None:
    with file.open("ab") as out:
        out.write(data)


def taken(installation: Installation) -> list[str]:
    """The ids of the posts topic, as often as they are there."""
    topic = f"{installation.prefix}.posts"
    return [record.key.decode() for portion in read_topic(installation.kafka, topic) for record in portion]


def configure(installation: Installation, folder: Path, text: str) -> None:
    file = folder / "groundswell.toml"
    file.write_text(text)
    installation.environ["GROUNDSWELL_CONFIG"] = str(file)


def waits_for(installation: Installation) -> dict[str, str] | None:
    """What the collect role waits for; None where it does not answer."""
    return readyz(installation, "collect").get("waits_for")


def at(cursor: Path) -> int:
    """The line up to which Kafka has all."""
    return int(json.loads(cursor.read_bytes())["line"])


def sent(process: subprocess.CompletedProcess[bytes]) -> tuple[int, float]:
    """How many posts a replay says that it sent, and in how many seconds."""
    found = re.search(r"^sent (\d+) posts in ([\d.]+) s ", process.stderr.decode(), re.M)
    assert found, process.stderr.decode()
    return int(found[1]), float(found[2])


def test_a_growing_file_through_a_kill_and_a_swap(installation: Installation, tmp_path: Path) -> None:
    file = tmp_path / "posts.jsonl"
    file.write_bytes(lines(0, 500))
    settings = f'[connectors.feed]\nkind = "jsonl"\npath = "{file}"\nfollow = true\nbatch = '
    # So slowly that the kill falls into the midst.
    configure(installation, tmp_path, settings + "10\n")
    topics = ensure_topics(installation.kafka, installation.settings.kafka)
    assert topics.posts.name == f"{installation.prefix}.posts"
    cursor = installation.home / "cursors" / "feed.json"
    collect = installation.start("run", "--role", "collect")
    # Killed between the first and the last line of a stretch, whichever it then is.
    append(file, lines(500, 10_000))
    halt(collect.pid, lambda: cursor.exists() and at(cursor) > 500, why="it reads on")
    collect.kill()
    collect.wait()
    line = at(cursor)
    assert line < 10_000, "the kill must fall into the middle"
    before = taken(installation)
    assert ids(0, line) <= set(before), "the cursor stands behind nothing that Kafka has not confirmed"

    configure(installation, tmp_path, settings + "1000\n")
    collect = installation.start("run", "--role", "collect")
    half, other = lines(10_000, 10_001)[:30], lines(10_000, 10_001)[30:]
    append(file, half)
    until(lambda: at(cursor) >= 10_000, why="all lines that are whole are taken")
    time.sleep(1.5)  # longer than it rests at the end of a file
    assert at(cursor) == len(set(taken(installation))) == 10_000, "half a line is not taken"
    append(file, other)
    until(lambda: at(cursor) == 10_001, why="the whole line is")
    again = len(taken(installation)) - 10_001
    assert again <= 10, "no more than the batch in hand at the kill is sent twice"

    file.rename(tmp_path / "yesterday.jsonl")
    gone = f"{file} is gone (No such file or directory): what comes under this name is read next"
    until(lambda: waits_for(installation) == {"connectors.feed": gone}, why="collect says what it misses")
    append(tmp_path / "yesterday.jsonl", lines(10_001, 10_002))
    # The new file is longer than what was read of the old one.
    (tmp_path / "today").write_bytes(lines(30_000, 45_000))
    (tmp_path / "today").rename(file)
    wanted = ids(0, 10_002) | ids(30_000, 45_000)
    until(lambda: set(taken(installation)) == wanted, why="the end of the old file and all of the new one")
    until(lambda: waits_for(installation) == {}, why="collect is well again")
    file.write_bytes(lines(70_000, 70_010))
    until(lambda: set(taken(installation)) == wanted | ids(70_000, 70_010), why="a file that was cut short")

    collect.send_signal(signal.SIGTERM)
    _, said = collect.communicate(timeout=120)
    assert collect.returncode == 0, said.decode()
    assert said.decode().count(gone) == 1, "told once, not every second"
    assert "Traceback" not in said.decode()
    assert "has ended" not in said.decode()


def test_one_connector_by_hand(installation: Installation, tmp_path: Path) -> None:
    file = tmp_path / "posts.jsonl"
    file.write_bytes(lines(0, 100) + b"no post\n")
    configure(
        installation,
        tmp_path,
        f'[connectors.archive]\nkind = "jsonl"\npath = "{file}"\n'
        f'[connectors.feed]\nkind = "jsonl"\npath = "{file}"\nfollow = true\n'
        '[connectors.lost]\nkind = "jsonl"\npath = "nowhere.jsonl"\n',
    )
    for name in ("archive", "feed"):
        for posts, refused in ((100, 1), (0, 0)):
            done = installation.command("collect", name, "--once")
            assert done.returncode == 0
            assert done.stderr.decode() == f"{name}: {posts} posts sent, {refused} refused\n"
    append(file, lines(100, 105))
    assert installation.command("collect", "feed", "--once").stderr == b"feed: 5 posts sent, 0 refused\n"
    assert len(taken(installation)) == 205
    [row] = json.loads(installation.command("rejected", "list", "--format", "json").stdout)
    assert (row["stage"], row["origin"], row["attempts"]) == ("collect", f"{file}:101", 2)

    for name, sentence in {
        "feet": "no connector `feet` is configured, did you mean `feed`?",
        "something": "no connector `something` is configured; known are `archive`, `feed`, `lost`",
        "lost": f"{tmp_path}/nowhere.jsonl cannot be read: No such file or directory",
    }.items():
        refused_call = installation.command("collect", name)
        assert refused_call.returncode == 2
        assert refused_call.stderr.decode() == f"groundswell: {sentence}\n"


def test_connectors_that_are_configured_wrongly(installation: Installation, tmp_path: Path) -> None:
    kinds = ", ".join(f"`{kind}`" for kind in known("connectors"))
    configure(
        installation,
        tmp_path,
        '[connectors.one]\nkind = "jsnol"\npath = "x"\n[connectors.two]\nkind = "jsonl"\npaht = "x"\n',
    )
    done = installation.command("collect", "one")
    assert (done.returncode, done.stderr.decode()) == (
        2,
        "groundswell: connectors.one.kind: there is no connector `jsnol`, did you mean `jsonl`? known are"
        f" {kinds}\n",
    )
    run = installation.command("run", "--role", "collect")
    assert run.returncode == 2
    for words in (
        "connectors.one.kind: there is no connector `jsnol`, did you mean `jsonl`?",
        "connectors.two.paht: unknown key, did you mean `path`?",
        "connectors.two.path: missing",
    ):
        assert words in run.stderr.decode()
    assert "Traceback" not in run.stderr.decode()


def test_a_connector_without_its_file_hurts_no_other(installation: Installation, tmp_path: Path) -> None:
    (tmp_path / "posts.jsonl").write_bytes(lines(0, 10))
    configure(
        installation,
        tmp_path,
        '[connectors.good]\nkind = "jsonl"\npath = "posts.jsonl"\n'
        '[connectors.lost]\nkind = "jsonl"\npath = "later.jsonl"\n',
    )
    daemon = installation.daemon()
    lost = {"connectors.lost": f"{tmp_path}/later.jsonl cannot be read: No such file or directory"}
    until(lambda: waits_for(installation) == lost, why="collect says which file it misses")
    until(lambda: len(taken(installation)) == 10, why="the other one is read")
    (tmp_path / "later.jsonl").write_bytes(lines(10, 20))
    until(lambda: len(taken(installation)) == 20, why="the file is found when it comes")
    until(lambda: waits_for(installation) == {}, why="collect is well")
    installation.settle(daemon)
    assert rows_of(installation.documents()).keys() == ids(0, 20)
    assert installation.audit()[1] == []
    assert daemon.stop() == 0


def test_a_damaged_archive_is_sent_up_to_the_damage(installation: Installation, tmp_path: Path) -> None:
    whole = gzip.compress(lines(0, 10_000))
    file = tmp_path / "posts.jsonl.gz"
    file.write_bytes(whole[: len(whole) // 2])
    done = installation.command("replay", str(file))
    assert done.returncode == 1
    summary, sentence = done.stderr.decode().splitlines()
    number = sent(done)[0]
    assert summary.startswith(f"sent {number} posts in ")
    assert sentence == (
        f"groundswell: {file} is damaged behind line {number}: Compressed file ended before the"
        " end-of-stream marker was reached"
    )
    assert number > 1_000
    assert set(taken(installation)) == ids(0, number)
    # The whole file comes in its place: read from its start, all is there, in its right number.
    (tmp_path / "whole").write_bytes(whole)
    (tmp_path / "whole").rename(file)
    resumed = installation.command("replay", "--resume", str(file))
    assert (resumed.returncode, resumed.stderr.decode()) == (
        1,
        f"groundswell: {file} is no longer the file that was read up to line {number}: read it from its"
        " start\n",
    )
    assert sent(installation.command("replay", str(file)))[0] == 10_000
    assert set(taken(installation)) == ids(0, 10_000)


def test_replay_keeps_the_rate_and_reads_what_is_piped_in(installation: Installation) -> None:
    for rate, count in ((100, 300), (1000, 2500)):
        done = installation.command("replay", "--rate", str(rate), "-", stdin=lines(0, count))
        assert done.returncode == 0
        number, seconds = sent(done)
        assert number == count
        # A busy machine may hold up its last post.
        assert 0.5 * rate < number / seconds < 1.1 * rate
    assert len(taken(installation)) == 2800
    packed = installation.command("replay", "-", stdin=gzip.compress(lines(2500, 2600)))
    assert sent(packed)[0] == 100
    assert set(taken(installation)) == ids(0, 2600)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_replay_goes_on(
    installation: Installation, tmp_path: Path, number: signal.Signals
) -> None:
    file = tmp_path / "posts.jsonl"
    file.write_bytes(lines(0, 3000))
    # Ten seconds long, so that the signal falls into its midst.
    call: Sequence[str] = ("replay", "--rate", "300", str(file))
    replay = installation.start(*call)
    until(lambda: any((installation.home / "cursors").glob("replay-*.json")), why="it sends")
    time.sleep(0.5)
    replay.send_signal(number)
    _, said = replay.communicate(timeout=120)
    [cursor] = (installation.home / "cursors").glob("replay-*.json")
    line = json.loads(cursor.read_bytes())["line"]
    assert 0 < line < 3000
    if number == signal.SIGKILL:
        assert replay.returncode == -signal.SIGKILL
        assert ids(0, line) <= set(taken(installation))
    else:
        assert replay.returncode == 130
        assert said.decode().splitlines()[-1] == (
            "groundswell: interrupted; the same call with --resume goes on from there"
        )
    resumed = installation.command("replay", "--resume", str(file))
    assert resumed.returncode == 0
    assert sent(resumed)[0] == 3000 - line
    everything = taken(installation)
    assert set(everything) == ids(0, 3000)
    assert len(everything) - 3000 <= 60, "no more than the batch in hand is sent twice"
    assert not cursor.exists(), "a replay that is done begins anew"
