"""The whole pipeline against servers with security on, every role with its least rights and no more."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from pipeline.app.kafka_rights import ALL, MAKING, ROLES
from pipeline.core.settings import Secret
from testkit.installation import Installation
from testkit.secured.elasticsearch import SecuredElasticsearch
from testkit.secured.kafka import Right, SecuredKafka, rights_of
from testkit.waiting import until
from tests.security.conftest import PASSWORD

CONFIG = """
[enrichers.route]
file = "{rules}"

[connectors.archive]
kind = "jsonl"
path = "{archive}"
"""

ARCHIVE = "archive.jsonl"
"""What the role collect reads."""

Install = Callable[[str, Path], Installation]


@pytest.fixture
def install(
    safe_kafka: SecuredKafka,
    safe_elasticsearch: SecuredElasticsearch,
    prefix: str,
    key: Secret,
    tmp_path: Path,
) -> Iterator[Install]:
    """Makes installations of one prefix, each with a user of its own; ends all that they started."""
    made: list[Installation] = []

    def make(user: str, home: Path) -> Installation:
        password = tmp_path / f"{user}.password"
        password.write_text(PASSWORD + "\n", encoding="utf-8")
        authority = str(safe_kafka.authority)
        rules = tmp_path / "groundswell.toml"
        archive = tmp_path / ARCHIVE
        config = CONFIG.format(rules=files("configs") / "routing.toml", archive=archive)
        rules.write_text(config, encoding="utf-8")
        settings = {
            "GROUNDSWELL_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "GROUNDSWELL_KAFKA_CA_FILE": authority,
            "GROUNDSWELL_KAFKA_USERNAME": user,
            "GROUNDSWELL_KAFKA_PASSWORD_FILE": str(password),
            "GROUNDSWELL_ELASTICSEARCH_CA_FILE": authority,
            "GROUNDSWELL_ELASTICSEARCH_API_KEY": key.reveal(),
            "GROUNDSWELL_CONFIG": str(rules),
            "GROUNDSWELL_LOG_LEVEL": "debug",
        }
        address = safe_kafka.addresses["SASL_SSL"]
        made.append(Installation(home, prefix, address, safe_elasticsearch.url, **settings))
        return made[-1]

    yield make
    for installation in made:
        installation.close()


def operator(prefix: str) -> list[Right]:
    """Of whoever makes the topics and calls the commands: everything, on what has our prefix."""
    topics = [("topic", f"{prefix}.", operation) for operation in (*ALL, *MAKING, "READ", "WRITE")]
    return [*topics, ("group", f"{prefix}-", "DESCRIBE")]


def done(installation: Installation, *arguments: str) -> str:
    """What a command says that must succeed."""
    ended = installation.command(*arguments)
    assert ended.returncode == 0, ended.stderr.decode()
    return ended.stdout.decode()


def test_every_role_and_command_works_with_its_least_rights(
    install: Install, safe_kafka: SecuredKafka, prefix: str, tmp_path: Path, key: Secret
) -> None:
    users = {role: f"{prefix}-{role}" for role in ROLES}
    for role, user in users.items():
        safe_kafka.user(user, PASSWORD, ["SCRAM-SHA-512"])
        safe_kafka.allow(user, rights_of(role, prefix, every_queue()))
    boss = f"{prefix}-boss"
    safe_kafka.user(boss, PASSWORD, ["SCRAM-SHA-512"])
    safe_kafka.allow(boss, operator(prefix))
    home = tmp_path / "home"
    ours = install(boss, home)

    checked = ours.command("check", "--servers", "--format", "json")
    assert checked.returncode == 2
    assert b"READ on the group" in checked.stderr, "the boss runs no role"
    (tmp_path / ARCHIVE).write_bytes(some_posts(range(10, 30)))
    customers = tmp_path / "customers.csv"
    customers.write_text("id,name,email\nc-1,Ann Example,ann@example.org\n", encoding="utf-8")
    done(ours, "customer", "import", str(customers))
    waiting = install(users["enrich"], home).daemon("enrich")
    until(lambda: "CREATE on the missing topic" in ours.log(), why="enrich may not make the queues' topics")
    safe_kafka.allow(users["enrich"], [("topic", f"{prefix}.queue.", "CREATE")])
    daemons = [install(users[role], home).daemon(role) for role in ROLES if role != "enrich"]
    posts = tmp_path / "posts.jsonl"
    posts.write_bytes(some_posts(range(10)))
    done(ours, "replay", str(posts))
    index = f"{prefix}-posts-*"
    until(lambda: arrived(ours, index) == 30, 120, "what was collected and what was sent is indexed")
    for daemon in daemons:
        daemon.check()

    assert "lost            0" in done(ours, "audit")
    assert done(ours, "query", "broken", "--count").strip() == "30"
    listed = json.loads(done(ours, "queue", "--format", "json"))
    assert listed, "the rules route them"
    done(ours, "queue", "take", listed[0]["case"], "--as", "maria")
    until(lambda: "Ann Example" in done(ours, "customer", "show", "c-1"), why="the customer is indexed")
    done(ours, "explain", "mail:1")
    done(ours, "rejected", "list")
    status = done(ours, "status")
    assert "answers" in status
    assert "directory  customers" in status
    for daemon in (waiting, *daemons):
        assert daemon.stop() == 0
    done(ours, "rebuild", "--yes")
    assert "lost            0" in done(ours, "audit")
    assert done(ours, "query", "broken", "--count").strip() == "30"

    said = ours.log() + status
    for secret in (PASSWORD, key.reveal()):
        assert secret not in said


def arrived(installation: Installation, index: str) -> int:
    """How many posts can be found."""
    installation.client.indices.refresh(index=index)
    return int(installation.client.count(index=index, ignore_unavailable=True)["count"])


def every_queue() -> list[str]:
    from enrichers.route import read_router

    return list(read_router(Path(str(files("configs") / "routing.toml"))).queues)


def some_posts(numbers: range) -> bytes:
    """Complaints as JSON Lines."""
    posts = [
        {
            "id": f"mail:{number}",
            "text": "My router is broken, no internet since yesterday! I want my money back.",
            "author": {"id": f"mail:a{number}", "name": "Ann Example"},
            "direction": "inbound",
        }
        for number in numbers
    ]
    return "".join(f"{json.dumps(post)}\n" for post in posts).encode()


def test_a_wrong_password_in_the_daemon_waits_and_says_so(
    install: Install, safe_kafka: SecuredKafka, prefix: str, tmp_path: Path
) -> None:
    installation = install(prefix, tmp_path / "home")  # nobody of that name
    refused = f"refuses the sign-in of `{prefix}` by SCRAM-SHA-512"
    audit = installation.command("audit")
    assert audit.returncode == 1
    assert audit.stderr.decode().startswith("groundswell: Kafka at ")
    assert audit.stderr.decode().count("\n") == 1, "one line, and none of a library's"
    assert refused in audit.stderr.decode()
    daemon = installation.daemon("index")
    until(lambda: refused in installation.log(), why="the daemon says why it waits")
    until(lambda: refused in installation.command("status").stdout.decode(), why="status shows it")
    daemon.check()
    safe_kafka.user(prefix, PASSWORD)
    safe_kafka.allow(prefix, [*operator(prefix), ("group", f"{prefix}-", "READ")])
    until(lambda: b" ready " in installation.command("status").stdout, why="it goes on by itself")
    said = installation.log() + audit.stderr.decode()
    assert PASSWORD not in said
    assert daemon.stop() == 0
