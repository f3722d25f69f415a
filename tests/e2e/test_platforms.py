"""A live platform through the daemon into Kafka, through faults of the platform and deaths of the role."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from pipeline.app.cursors import CursorStore
from pipeline.app.log_reader import read_topic
from pipeline.app.registry import MEMORIES
from pipeline.core.post import decode_post
from testkit.connector_drive import Stage, fixture_of
from testkit.installation import Installation
from testkit.platform.faults import FAULTS
from testkit.waiting import until

NAMES = ("503", "cut within an item", "429", "clock a day ahead", "401", "out of order")
FAULTY = [next(fault for fault in FAULTS if fault.name == name) for name in NAMES]


def configure(installation: Installation, stage: Stage, folder: Path) -> None:
    assert stage.server is not None
    file = folder / "groundswell.toml"
    file.write_text(
        f'[connectors.sky]\nkind = "bluesky"\nhosts = ["{stage.server.socket_url}"]\n'
        f'words = ["parcel"]\nprofiles = "{stage.table["profiles"]}"\n'
        "since_hours = 1\nbatch = 7\ntimeout_seconds = 2\n"
    )
    installation.environ["GROUNDSWELL_CONFIG"] = str(file)


def taken(installation: Installation) -> set[tuple[str, bool]]:
    """The ids of the posts topic, each with whether as a deletion."""
    topic = f"{installation.prefix}.posts"
    posts = [
        decode_post(record.value) for portion in read_topic(installation.kafka, topic) for record in portion
    ]
    return {(post.id, post.deleted) for post in posts}


def test_collect_once_ends_though_the_platform_never_does(installation: Installation, tmp_path: Path) -> None:
    with fixture_of("bluesky").stage(tmp_path) as stage:
        configure(installation, stage, tmp_path)
        stage.tell(40)
        done = installation.command("collect", "sky", "--once")
        assert done.returncode == 0, done.stderr
        assert taken(installation) == stage.timeline.expected
        kept = CursorStore(installation.home).load("sky")
        assert kept is not None
        assert kept["time_us"] <= stage.timeline.items[-1].at * 1_000_000
        assert (installation.home / MEMORIES / "sky").is_dir(), "whose posts they are is not remembered"


def test_faults_and_deaths_lose_nothing(installation: Installation, tmp_path: Path) -> None:
    with fixture_of("bluesky").stage(tmp_path) as stage:
        configure(installation, stage, tmp_path)
        stage.tell(40)
        cursor = installation.home / "cursors" / "sky.json"
        collect = installation.start("run", "--role", "collect")
        until(cursor.exists, why="the first posts arrive")
        for step, fault in enumerate(FAULTY):
            stage.spoil(fault)
            stage.interrupt()
            stage.tell(20)
            if step % 2 == 0:
                collect.kill()
                collect.wait()
                collect = installation.start("run", "--role", "collect")
            until(partial(stage.met, fault), why=fault.name)
        until(lambda: taken(installation) >= stage.timeline.expected, why="no post is lost")
        assert taken(installation) == stage.timeline.expected
        assert collect.poll() is None
