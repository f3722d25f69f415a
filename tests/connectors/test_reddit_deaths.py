"""Reddit's connector killed again and again, while posts come, and while it finds what was deleted."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from testkit.connectors.reddit_world import World, world_in
from testkit.waiting import until

# As the pump works: what was read is sent, and only then the cursor is kept.
_DRIVER = """
import json, os, sys, time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from connectors._reddit.taken import Taken
from connectors.reddit import SETTINGS, Reddit
from pipeline.core.errors import RetryableError
from pipeline.core.settings import Secret
from testkit.connectors import reddit as fixture

folder, url, ahead = Path(sys.argv[1]), sys.argv[2], timedelta(minutes=float(sys.argv[3]))
settings = SETTINGS(client_secret=Secret(fixture.SECRET), **fixture.table(url) | {"batch": 20})
connector = Reddit(settings, [], Taken(folder), lambda: datetime.now(UTC) + ahead)
kept, sent = folder / "cursor", folder / "sent"
cursor = json.loads(kept.read_text()) if kept.exists() else None
print("begins", flush=True)
while True:
    try:
        read = connector.read(cursor)
    except RetryableError:
        time.sleep(0.05)
        continue
    with sent.open("a") as file:
        file.writelines(json.dumps([post.id, post.deleted]) + "\\n" for post in read.posts)
    cursor = read.cursor
    new = folder / "cursor.new"
    new.write_text(json.dumps(cursor))
    os.replace(new, kept)
    time.sleep(min(read.wait or 0.0, 0.05))
"""


@contextmanager
def driver(folder: Path, world: World, ahead: float) -> Iterator[None]:
    """A process at work, killed in the end."""
    command = [sys.executable, "-c", _DRIVER, str(folder), world.server.url, str(ahead)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begins\n"
        try:
            yield
        finally:
            os.kill(process.pid, signal.SIGKILL)


def sent(folder: Path) -> set[tuple[str, bool]]:
    """What was sent so far; a death may leave half a line behind."""
    found = set()
    file = folder / "sent"
    for line in file.read_text().splitlines() if file.exists() else ():
        with suppress(ValueError):
            one, deleted = json.loads(line)
            found.add((one, deleted))
    return found


def test_nothing_is_lost_by_deaths_at_any_instant(tmp_path: Path) -> None:
    chance = random.Random(5)
    folder = tmp_path / "memory"
    folder.mkdir()
    with world_in(tmp_path) as world:
        world.say(120, age=60)
        for _ in range(5):
            with driver(folder, world, 0):
                time.sleep(chance.uniform(0.02, 0.3))
                world.say(40)
                time.sleep(chance.uniform(0.0, 0.2))
        live = [item.id for item in world.items if not item.deleted]
        with driver(folder, world, 0):
            until(lambda: {(one, False) for one in live} <= sent(folder), why="not all came")
        gone = live[::4]
        for one in gone:
            name = one.removeprefix("reddit:")
            world.site.hidden.add(name)
            world.site.changed[name] = {"author": "[deleted]", "author_fullname": None}
        for _ in range(5):
            with driver(folder, world, 12):
                time.sleep(chance.uniform(0.0, 0.5))
        with driver(folder, world, 12):
            until(lambda: {(one, True) for one in gone} <= sent(folder), why="not all deletions came")
        deleted = {one for one, is_deleted in sent(folder) if is_deleted}
        assert deleted == set(gone) | {item.id for item in world.items if item.deleted}
        assert {one for one, _ in sent(folder)} == world.ids
