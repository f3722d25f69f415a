"""docs/deploy.md names what is there: commands, services, files, units, and what each service may take."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from testkit.deploy import compose
from testkit.deploy.compose import bytes_of
from testkit.deploy.container import command_problems, settings_problems

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```\n(.+?)^```", PAGE, re.DOTALL | re.MULTILINE)
COMPOSE = compose.read(ROOT)
SERVICES = COMPOSE["services"]


def _lines() -> list[list[str]]:
    """Every command of the page's blocks as words; what comes behind a pipe, `&&` or `<` is left out."""
    text = "".join(BLOCKS).replace("\\\n", " ")
    commands = [part for line in text.splitlines() for part in line.split(" && ")]
    return [shlex.split(re.split(r" < | \| ", one)[0], comments=True) for one in commands if one.strip()]


def _calls() -> Iterator[list[str]]:
    """What the page has people say to `groundswell`, in a container or not."""
    for words in _lines():
        if "groundswell" not in words or words[0] in ("install", "systemctl", "journalctl"):
            continue
        if words[:2] == ["docker", "compose"]:
            yield words[words.index("groundswell") + 1 :]
        elif words[0] == "kubectl" and "--" in words:
            yield words[words.index("--") + 2 :]
        elif words[0] == "groundswell":
            yield words[1:]
    for call in re.findall(r"`groundswell ([^`]+)`", PAGE):
        yield shlex.split(call)


def test_every_command_is_one() -> None:
    calls = list(_calls())
    assert len(calls) > 10
    assert [problem for call in calls for problem in command_problems(call)] == []


def test_every_service_is_one() -> None:
    named = {
        word
        for words in _lines()
        if words[:2] == ["docker", "compose"] and words[2] in ("up", "restart", "run", "exec", "cp")
        for word in (words[2:] if words[2] in ("up", "restart") else words[2:5])
        if re.fullmatch(r"[a-z]+", word.partition(":")[0])
        and word not in ("up", "restart", "run", "exec", "cp")
    }
    assert {name.partition(":")[0] for name in named} <= set(SERVICES)
    assert named >= {"kafka", "elasticsearch", "accounts", "groundswell", "index"}


def test_the_table_of_services_has_all_with_their_limits() -> None:
    rows = dict(re.findall(r"^\| (`.+?`) \| .+? \| (.*?) ?\|$", PAGE, re.MULTILINE))
    told = {name: limit for names, limit in rows.items() for name in re.findall(r"`([a-z]+)`", names)}
    assert set(SERVICES) <= set(told)
    for name, service in SERVICES.items():
        if told[name]:
            size, unit = told[name].split()
            assert int(size) << {"MB": 20, "GB": 30}[unit] == bytes_of(service["mem_limit"]), name


def test_the_sum_of_the_limits_is_told() -> None:
    together = sum(bytes_of(one["mem_limit"]) for one in SERVICES.values() if one["restart"] != "no")
    assert f"limits of {together / (1 << 30):.1f} GB" in PAGE


def test_every_file_of_the_repository_is_there() -> None:
    named = set(re.findall(r"\b((?:configs|requirements)/[\w./-]+[\w])", PAGE))
    assert len(named) > 10
    assert [path for path in named if not (ROOT / path).exists()] == []
    links = re.findall(r"\]\(([^)#]+)", PAGE)
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []


def test_every_section_that_is_linked_is_there() -> None:
    there = {
        re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^#+ (.+)$", PAGE, re.M)
    }
    linked = set(re.findall(r"\]\(#([^)]+)\)", PAGE))
    assert linked
    assert linked <= there


def test_the_variables_of_a_groundswell_beside_the_servers_are_settings(tmp_path: Path) -> None:
    variables = dict(re.findall(r"^export (\w+)=(\S+)$", PAGE, re.MULTILINE))
    (tmp_path / "password").write_text("a password", encoding="ascii")
    secrets = {name: path for name, path in variables.items() if name.endswith("PASSWORD_FILE")}
    assert len(secrets) == 2
    assert {Path(path) for path in secrets.values()} <= {
        Path(secret["file"]) for secret in COMPOSE["secrets"].values()
    }
    settings, wrong = settings_problems(
        {**variables, **dict.fromkeys(secrets, str(tmp_path / "password"))}, None
    )
    assert wrong == []
    assert settings
    assert f"127.0.0.1:{settings.kafka.bootstrap.rpartition(':')[2]}" in SERVICES["kafka"]["ports"][0]
    assert settings.elasticsearch.url == "https://127.0.0.1:9200"


@pytest.mark.parametrize("path", re.findall(r"install .*?(configs/deploy/systemd/\S+)", PAGE))
def test_what_is_installed_for_systemd_is_there(path: str) -> None:
    assert (ROOT / path).is_file()
