"""No crash, no full disk and no broken file makes the connector forget in silence what it took in."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from connectors._bluesky.taken import Taken
from connectors._memory import FILE
from pipeline.app.registry import MEMORIES
from pipeline.core.errors import ConfigError, RetryableError
from testkit.connector_drive import Drive
from testkit.connectors import bluesky as jetstream
from testkit.jetstream import Network, key, post_id
from testkit.platform.staged import ServedStage

WORDS = ["parcel"]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[ServedStage]:
    with jetstream.FIXTURE.stage(tmp_path) as stage:
        yield stage


def driven(stage: ServedStage, folder: Path, cursor: Any = None) -> Drive:
    return Drive("bluesky", {**stage.table, "batch": 1000}, folder, cursor)


BROKEN = {
    "another": lambda _: b"no such thing" * 1000,
    "cut off": lambda whole: whole[: len(whole) // 2 // 4096 * 4096],
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_file_is_told_with_what_to_do(how: str, stage: ServedStage, tmp_path: Path) -> None:
    network = Network(stage)
    for number in range(300):
        network.post(number, key(500, number))
    with closing(driven(stage, tmp_path)) as drive:
        drive.until_idle()
    folder = tmp_path / MEMORIES / "contract"
    file = folder / FILE
    file.write_bytes(BROKEN[how](file.read_bytes()))
    gone = key(500)
    network.delete(1, gone)
    with closing(driven(stage, tmp_path, drive.cursor)) as again:
        with pytest.raises(ConfigError, match=r"is damaged .*remove that folder \(deletions of") as error:
            again.connector.read(again.cursor)
        assert str(folder) in str(error.value)
        for left in folder.iterdir():
            left.unlink()
        folder.rmdir()
        again.until_idle()
        assert (post_id(1, gone), True) in again.got


def test_an_emptied_file_is_no_memory_and_lets_earlier_deletions_pass(
    stage: ServedStage, tmp_path: Path
) -> None:
    network = Network(stage)
    gone = key(500)
    network.post(1, gone)
    with closing(driven(stage, tmp_path)) as drive:
        drive.until_idle()
    (tmp_path / MEMORIES / "contract" / FILE).write_bytes(b"")
    network.delete(1, gone)
    with closing(driven(stage, tmp_path, drive.cursor)) as again:
        again.until_idle()
        assert (post_id(1, gone), True) in again.got


PUMP = """
import json, os, sys
from pathlib import Path
from pipeline.app.registry import build_connector
from pipeline.core.errors import RetryableError
table, home, kept = json.loads(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
connector = build_connector("feed", table, home)
cursor = json.loads(kept.read_text()) if kept.exists() else None
while True:
    try:
        read = connector.read(cursor)
    except RetryableError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        continue
    for post in read.posts:
        print(json.dumps({"id": post.id, "deleted": post.deleted}), flush=True)
    new = kept.with_suffix(".new")
    new.write_text(json.dumps(read.cursor))
    os.replace(new, kept)
    cursor = read.cursor
    print(json.dumps({"wait": read.wait}), flush=True)
"""


def run_until_killed(table: dict[str, Any], folder: Path, after: int, got: set[tuple[str, bool]]) -> bool:
    """Kills it after so many lines, or once it is idle; whether it was."""
    call = [sys.executable, "-c", PUMP, json.dumps(table), str(folder / "home"), str(folder / "cursor")]
    with subprocess.Popen(call, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        idle = False
        for number, line in enumerate(process.stdout):
            told = json.loads(line)
            assert "error" not in told, told
            if "id" in told:
                got.add((told["id"], told["deleted"]))
            idle = bool(told.get("wait"))
            if idle or number >= after:
                process.send_signal(signal.SIGKILL)
                break
    return idle


@pytest.mark.parametrize("seed", range(2))
def test_killed_anywhere_no_deletion_of_a_taken_post_is_lost(
    seed: int, stage: ServedStage, tmp_path: Path
) -> None:
    network = Network(stage)
    chance = random.Random(seed)
    count = 60
    keys = [key(500, number) for number in range(count)]
    for author, rkey in enumerate(keys):
        network.post(author, rkey)
        network.post(1000 + author, rkey, "nice weather")
        if author % 3 == 2:
            network.delete(author - 1, keys[author - 1])
            network.delete(1000 + author, rkey)
    for number in range(20):
        network.post(0, key(400, number))
    network.account(0, "deleted")
    for author in range(2, count, 3):
        network.account(author, "takendown")
    table = {**stage.table, "kind": "bluesky", "words": WORDS, "batch": 9, "profiles": ""}
    # A host that a busy machine has answer late is no error here.
    table["timeout_seconds"] = 30
    got: set[tuple[str, bool]] = set()
    for _ in range(9):
        run_until_killed(table, tmp_path, chance.randrange(40), got)
    deadline = time.monotonic() + 60
    while not run_until_killed(table, tmp_path, 10_000, got):
        assert time.monotonic() < deadline
    live = {one for one, deleted in got if not deleted}
    gone = {one for one, deleted in got if deleted}
    assert len(live) == count + 20
    ended = {jetstream.did(author) for author in (0, *range(2, count, 3))}
    deleted = {post_id(author - 1, keys[author - 1]) for author in range(2, count, 3)}
    assert gone == deleted | {one for one in live if one.split("/")[2] in ended}


FULL = """
import json, resource, sys
from pathlib import Path
from connectors._bluesky.taken import Taken
from pipeline.core.errors import RetryableError
taken = Taken(Path(sys.argv[1]), 10, narrowed=True, resumed=False, now=0)
taken.note([("did:a", "one")], 0)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
many = [(f"did:{number}", "key") for number in range(9000)]
try:
    taken.note(many, 0)
except RetryableError as error:
    print(error)
print(taken.knows("did:a"), taken.knows("did:77"))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
taken.close()
taken = Taken(Path(sys.argv[1]), 10, narrowed=True, resumed=True, now=0)
taken.note(many, 0)
print(taken.knows("did:a"), taken.knows("did:77"))
"""


def test_a_full_disk_is_told_and_mended_by_room(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, timeout=120, check=True
    )
    told, before, after = done.stdout.splitlines()
    assert told.startswith(
        f"the connector's memory in {tmp_path} cannot be written, its disk is full or broken: make room"
    )
    assert before == "True False"
    assert after == "True True"


def test_events_come_again_after_the_memory_could_not_be_written(
    stage: ServedStage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Network(stage)
    network.post(1, key(500))
    whole = Taken.note

    def note(self: Taken, posts: Any, now: float) -> None:
        monkeypatch.setattr(Taken, "note", whole)
        raise RetryableError("no room", 0.1)

    monkeypatch.setattr(Taken, "note", note)
    with closing(driven(stage, tmp_path)) as drive:
        assert drive.read() is None
        drive.until_idle()
        assert len(drive.got) == 1
