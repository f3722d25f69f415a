"""What can befall an installation in a round. Each fault takes seconds and leaves nothing broken behind."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError
from msgspec import Struct

from pipeline.app.topics import admin_client
from pipeline.embedded import servers
from pipeline.embedded.start import Name
from testkit.chaos.crew import Crew, Member
from testkit.chaos.trouble import TROUBLES, Sky, read_only
from testkit.installation import Installation
from testkit.waiting import until

# The group's session ends after ten seconds of silence.
FROZEN_SECONDS = (12.0, 16.0)
TROUBLE_SECONDS = (3.0, 8.0)


class Scene(Struct, frozen=True):
    """What faults can reach. ``servers`` is the home of the embedded servers."""

    installation: Installation
    crew: Crew
    sky: Sky
    servers: Path


Fault = Callable[[Scene, random.Random], None]


def _one(scene: Scene, role: str, chance: random.Random) -> Member:
    until(lambda: bool(scene.crew.of(role)), why=f"a living {role}")
    return chance.choice(scene.crew.of(role))


def kill_role(role: str, scene: Scene, chance: random.Random) -> None:
    """One to three deaths, some of them of processes that have only just begun."""
    for _ in range(chance.randrange(1, 4)):
        scene.crew.kill(_one(scene, role, chance))
        time.sleep(chance.uniform(0.5, 4))


def kill_at_commit(role: str, scene: Scene, chance: random.Random) -> None:
    """Death at the instant at which progress was recorded: what was recorded too early is now lost."""
    for _ in range(3):
        victim = _one(scene, role, chance)
        await_commit(role, scene)
        scene.crew.kill(victim)


def await_commit(role: str, scene: Scene) -> None:
    """Returns at the instant at which a role records progress, for it is then in the midst of its work; after
    some seconds in any case."""
    group = f"{scene.installation.prefix}-{role}"
    admin = admin_client(scene.installation.kafka)
    try:
        before = committed(admin, group)
        deadline = time.monotonic() + 8
        while time.monotonic() < deadline and committed(admin, group) == before:
            time.sleep(0.005)
    finally:
        admin.close()


def committed(admin: KafkaAdminClient, group: str) -> Any:
    """What a group has recorded as done, by partition; empty while it has nothing, or Kafka does not say."""
    try:
        return admin.list_group_offsets(group).get(group, {})
    except KafkaError:
        return {}


def kill_server(name: Name, scene: Scene, chance: random.Random) -> None:
    """A server dies and comes back."""
    servers.kill(scene.servers, name)
    time.sleep(chance.uniform(0, 3))
    _BRING_UP[name](scene.servers)


def freeze_server(name: Name, scene: Scene, chance: random.Random) -> None:
    """A server keeps its connections and answers nothing for a while."""
    servers.pause(scene.servers, name)
    time.sleep(chance.uniform(2, 6))
    servers.resume(scene.servers, name)


def freeze_role(role: str, scene: Scene, chance: random.Random) -> None:
    """A process stands still past its session, another takes its work; then it wakes and knows of nothing."""
    victim = _one(scene, role, chance)
    scene.crew.start(role)
    await_commit(role, scene)
    scene.crew.freeze(victim)
    time.sleep(chance.uniform(*FROZEN_SECONDS))
    scene.crew.thaw(victim)
    time.sleep(2)
    _shrink(role, scene, chance)


def more_and_fewer(role: str, scene: Scene, chance: random.Random) -> None:
    """Workers come, some are killed while they settle in, and go."""
    for _ in range(chance.randrange(1, 3)):
        scene.crew.start(role)
        time.sleep(chance.uniform(1, 4))
    scene.crew.kill(_one(scene, role, chance))
    time.sleep(chance.uniform(0, 3))
    _shrink(role, scene, chance)


def _shrink(role: str, scene: Scene, chance: random.Random) -> None:
    while len(living := scene.crew.of(role)) > 1:
        scene.crew.leave(chance.choice(living))


def trouble(name: str, scene: Scene, chance: random.Random) -> None:
    """Elasticsearch answers badly; in half of the cases the index worker dies meanwhile."""
    with scene.sky.bad(name):
        seconds = chance.uniform(*TROUBLE_SECONDS)
        time.sleep(seconds / 2)
        if chance.random() < 0.5:
            scene.crew.kill(_one(scene, "index", chance))
        time.sleep(seconds / 2)


def write_block(block: str, scene: Scene, chance: random.Random) -> None:
    """The indices take no writes; in half of the cases the index worker dies meanwhile."""
    installation = scene.installation
    with read_only(installation.client, f"{installation.prefix}-*", block):
        seconds = chance.uniform(*TROUBLE_SECONDS)
        time.sleep(seconds / 2)
        if chance.random() < 0.5:
            scene.crew.kill(_one(scene, "index", chance))
        time.sleep(seconds / 2)


_BRING_UP: Mapping[Name, Callable[[Path], str]] = {
    "kafka": servers.start_kafka,
    "elasticsearch": servers.start_elasticsearch,
}

FAULTS: Mapping[str, Fault] = {
    **{f"kill-{role}": partial(kill_role, role) for role in ("collect", "enrich", "index", "directory")},
    "kill-enrich-at-commit": partial(kill_at_commit, "enrich"),
    "kill-index-at-commit": partial(kill_at_commit, "index"),
    "kill-kafka": partial(kill_server, "kafka"),
    "kill-elasticsearch": partial(kill_server, "elasticsearch"),
    "freeze-kafka": partial(freeze_server, "kafka"),
    "freeze-elasticsearch": partial(freeze_server, "elasticsearch"),
    "freeze-enrich": partial(freeze_role, "enrich"),
    "freeze-index": partial(freeze_role, "index"),
    "workers-enrich": partial(more_and_fewer, "enrich"),
    "workers-index": partial(more_and_fewer, "index"),
    **{f"elastic-{name.replace('_', '-')}": partial(trouble, name) for name in TROUBLES},
    "block-write": partial(write_block, "write"),
    "block-read-only": partial(write_block, "read_only_allow_delete"),
}
"""By the names that `--only` and `--without` take."""
