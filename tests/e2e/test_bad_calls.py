"""Wrong settings, wrong topics, ports that are taken: one sentence each, status 2, and nothing is touched."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from pipeline.app.topics import admin_client, topics_of
from testkit.installation import Installation, rows_of
from testkit.waiting import until

POST = '{"id": "x:%d", "text": "hello", "author": {"id": "x:joe"}}\n'
SECRET = "hunter2-in-clear"


def posts(folder: Path, count: int = 10) -> str:
    file = folder / "posts.jsonl"
    file.write_text("".join(POST % number for number in range(count)))
    return str(file)


def partitions(installation: Installation) -> dict[str, int]:
    """Topic to number of partitions, of this installation's topics."""
    admin = admin_client(installation.kafka)
    try:
        return {
            entry["name"]: len(entry["partitions"])
            for entry in admin.describe_topics()
            if entry["name"].startswith(f"{installation.prefix}.")
        }
    finally:
        admin.close()


def policy_of(admin: KafkaAdminClient, topic: str) -> dict[str, str]:
    """The topic's configuration as the broker has it."""
    found = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])["topic"][topic]
    return {name: entry["value"] for name, entry in found.items()}


@pytest.mark.parametrize("wrong", [2, 7])
@pytest.mark.parametrize("topic", ["posts", "events"])
def test_other_partitions_than_configured(
    installation: Installation, tmp_path: Path, wrong: int, topic: str
) -> None:
    name = f"{installation.prefix}.{topic}"
    admin = admin_client(installation.kafka)
    admin.create_topics({name: {"num_partitions": wrong, "replication_factor": 1}}, wait_for_metadata=True)
    admin.close()
    sentence = (
        f"groundswell: topic {name} has {wrong} partitions, but kafka.partitions is 4: set it to {wrong}, or"
        " choose another kafka.prefix and replay, for a post must not change its partition\n"
    )
    for call in (["replay", posts(tmp_path)], ["run", "--role", "enrich"]):
        refused = installation.command(*call)
        assert refused.returncode == 2
        assert refused.stderr.decode().endswith(sentence)
        assert "Traceback" not in refused.stderr.decode()
    # Whoever mends the setting goes on; what was missing has been made and nothing was sent.
    installation.environ["GROUNDSWELL_KAFKA_PARTITIONS"] = str(wrong)
    assert partitions(installation)[name] == wrong
    if topic == "posts" and wrong == 2:
        for other, number in partitions(installation).items():
            assert other == name or number == 4, "a refusal makes no topic of the new number"


def test_missing_topics_are_made_and_drifted_policies_brought_back(
    installation: Installation, tmp_path: Path
) -> None:
    assert partitions(installation) == {}
    assert installation.command("replay", posts(tmp_path)).returncode == 0
    topics = topics_of(installation.settings.kafka)
    assert partitions(installation) == {topic.name: 4 for topic in topics.all()}

    admin = admin_client(installation.kafka)
    drift = {"retention.ms": "60000", "max.message.bytes": "1000", "flush.ms": "5000"}
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topics.posts.name, drift)])
    admin.delete_topics([topics.rejected.name])

    until(lambda: topics.rejected.name not in partitions(installation), why="the topic is gone")
    daemon = installation.daemon("enrich", "index", "directory")
    assert installation.command("replay", posts(tmp_path, 20)).returncode == 0
    installation.settle(daemon)
    policy = policy_of(admin, topics.posts.name)
    # What an operator set beside our policies is left to him.
    assert policy == {**topics.posts.config, "flush.ms": "5000"}
    assert partitions(installation) == {topic.name: 4 for topic in topics.all()}
    assert rows_of(installation.documents()).keys() == {f"x:{number}" for number in range(20)}
    assert installation.audit()[1] == []
    admin.close()
    assert daemon.stop() == 0


@pytest.mark.parametrize("call", [["status"], ["run"], ["run", "--role", "index"], ["replay", "-"]])
def test_a_wrong_settings_file(installation: Installation, tmp_path: Path, call: list[str]) -> None:
    file = tmp_path / "groundswell.toml"
    file.write_text(
        f"""
        [kafka]
        partition = 3
        replication = "three"
        [elasticsearch]
        password = "{SECRET}"
        timeout_seconds = -1
        [collectors]
        x = 1
        """
    )
    refused = installation.command("--config", str(file), *call)
    assert refused.returncode == 2
    assert refused.stdout == b""
    said = refused.stderr.decode()
    assert SECRET not in said
    head, *problems = said.splitlines()
    assert head == f"groundswell: settings file {file}: 5 problems"
    assert len(problems) == 5
    for path in (
        "kafka.partition",
        "kafka.replication",
        "elasticsearch.password",
        "elasticsearch.timeout_seconds",
        "collectors",
    ):
        assert sum(problem.startswith(f"  {path}: ") for problem in problems) == 1, path
    assert partitions(installation) == {}, "nothing was begun"


@pytest.mark.parametrize("call", [["run", "--role", "enrich"], ["run"]])
def test_a_port_that_is_taken(install: Callable[..., Installation], call: list[str]) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        installation = install(GROUNDSWELL_HTTP_PORT=str(port - 1))
        refused = installation.command(*call)
    said = refused.stderr.decode()
    assert refused.returncode == 2
    assert (
        f"groundswell: port {port} of 127.0.0.1 is taken: set http.port (the role enrich adds 1), or 0 for"
        " any free one (" in said
    )
    assert "Traceback" not in said
    assert installation.role_pid("collect") is None, "no role is left behind"


def test_wrong_calls(installation: Installation, tmp_path: Path) -> None:
    calls: dict[str, tuple[list[str], str]] = {
        "role": (
            ["run", "--role", "enrich,indx"],
            "there is no role `indx`: choose from collect, enrich, index, directory",
        ),
        "rate": (["replay", "--rate", "0", posts(tmp_path)], "--rate must be above 0"),
        "file": (["replay", "/nowhere.jsonl"], "/nowhere.jsonl cannot be read: No such file or directory"),
        "folder": (["replay", str(tmp_path)], f"{tmp_path} cannot be read: Is a directory"),
        "config": (["--config", "/nowhere.toml", "status"], "settings file /nowhere.toml: 1 problem"),
        "nothing": (["rejected", "replay"], "say which: an ID, --reason, --stage, --from FILE or --all"),
        "id": (
            ["rejected", "replay", "zz"],
            "no rejection begins with `zz`; see `groundswell rejected list`",
        ),
    }
    for name, (call, sentence) in calls.items():
        refused = installation.command(*call)
        assert refused.returncode == 2, (name, refused.stderr)
        assert refused.stderr.decode().startswith(f"groundswell: {sentence}"), (name, refused.stderr)
        assert refused.stdout == b""
    empty = installation.command("replay", "-", stdin=b"\n\n")
    assert (empty.returncode, empty.stderr.decode().splitlines()[-1]) == (
        1,
        "groundswell: there was no post in the input",
    )
    assert json.loads(installation.command("rejected", "list", "--format", "json").stdout) == []
