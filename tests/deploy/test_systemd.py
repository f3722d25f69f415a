"""The unit starts what the code is, and leaves it no right that it does not need."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from testkit.deploy import systemd as checks

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "configs" / "deploy" / "systemd"
UNIT = (FOLDER / "groundswell.service").read_text(encoding="utf-8")
ENVIRONMENT = (FOLDER / "environment").read_text(encoding="utf-8")
SYSUSERS = (FOLDER / "groundswell.conf").read_text(encoding="utf-8")
MOST_EXPOSED = 2.0
"""Of 10, as `systemd-analyze security` counts."""


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """In place of /etc/groundswell: what docs/deploy.md has people put there."""
    etc = tmp_path / "etc"
    etc.mkdir()
    for source in ("deploy/groundswell.toml", "brands.toml", "routing.toml", "routing_test.toml"):
        shutil.copy(ROOT / "configs" / source, etc)
    (etc / "ca.crt").touch()
    return tmp_path


def _problems(unit: str, environment: str, scratch: Path) -> list[str]:
    return checks.problems(checks.read_unit(unit), checks.read_environment(environment), SYSUSERS, scratch)


def test_it_agrees_with_the_code(scratch: Path) -> None:
    assert _problems(UNIT, ENVIRONMENT, scratch) == []


SLIPS = {
    "a command": ("groundswell run", "groundswell start", "refuses"),
    "a program": ("bin/groundswell run", "bin/groundwell run", "no such command"),
    "a role": ("--role directory,enrich", "--role directory,enricher", "no role"),
    "a variable of the unit": ("GROUNDSWELL_CONFIG", "GROUNDSWELL_CONFIGS", "GROUNDSWELL_CONFIGS"),
    "a variable of the machine": ("KAFKA_BOOTSTRAP=", "KAFKA_BOOTSTRAPS=", "unknown variable"),
    "a value": ("https://elasticsearch.example", "elasticsearch.example", "GROUNDSWELL_ELASTICSEARCH_URL"),
    "a credential": ("=%d/elasticsearch_password", "=%d/elastic_password", "cannot read"),
    "no credential": ("LoadCredential=", "#LoadCredential=", "cannot read"),
    "a home": ("=/var/lib/groundswell", "=/var/lib/groundwell", "state directory"),
    "a user": ("User=groundswell", "User=groundwell", "nobody makes the user"),
    "an end": ("TimeoutStopSec=75s", "TimeoutStopSec=30s", "killed before"),
    "a restart": ("RestartPreventExitStatus=2", "RestartPreventExitStatus=1", "wrong setting"),
    "no limit": ("MemoryMax=", "#MemoryMax=", "no MemoryMax"),
    "roles that nobody explains": ("#ROLES=", "#ROLE=", "not explained"),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_is_found(slip: str, scratch: Path) -> None:
    before, after, words = SLIPS[slip]
    assert before in UNIT + ENVIRONMENT
    found = _problems(UNIT.replace(before, after), ENVIRONMENT.replace(before, after), scratch)
    assert any(words in problem for problem in found), found


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The unit with a program that is there; systemd looks for it."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze, of the package systemd")
    unit = tmp_path / "groundswell.service"
    unit.write_text(re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", UNIT), encoding="utf-8")
    return unit


def test_systemd_knows_every_word_of_it(installed: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(installed)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    installed.write_text(UNIT.replace("ProtectSystem=strict", "ProtectSystems=strict"), encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(installed)], capture_output=True, text=True, check=False
    )
    assert "ProtectSystems" in done.stderr


def test_it_is_little_exposed(installed: Path) -> None:
    # A threshold above the score is the exit status; it is counted in tenths of a point.
    done = subprocess.run(
        [
            "systemd-analyze",
            "security",
            "--offline=true",
            f"--threshold={MOST_EXPOSED * 10:.0f}",
            str(installed),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-300:]


def test_the_start_of_a_role_stays_readable() -> None:
    """A role notes when it began, which it reckons from /proc/stat: `status` knows it by that."""
    assert "ProcSubset" not in checks.read_unit(UNIT)


def test_a_command_gets_what_the_service_gets(tmp_path: Path) -> None:
    """The script of commands hands on the user, the settings and the passwords of the unit."""
    recorder = tmp_path / "systemd-run"
    recorder.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n', encoding="ascii")
    recorder.chmod(0o755)
    done = subprocess.run(
        [FOLDER / "command.sh", "query", "two words"],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    said = done.stdout.splitlines()
    unit = checks.read_unit(UNIT)
    assert {f"--uid={name}" for name in unit["User"]} | {"--pipe", "--wait"} <= set(said)
    for credential in unit["LoadCredential"]:
        assert f"--property=LoadCredential={credential}" in said
    for variable in unit["Environment"]:
        name, _, value = variable.partition("=")
        if value.startswith("%d/"):
            assert f'    export {name}="$CREDENTIALS_DIRECTORY/{value[3:]}"' in said
        else:
            assert f"--setenv={variable}" in said
    assert f"--property=EnvironmentFile={unit['EnvironmentFile'][0]}" in said
    program = unit["ExecStart"][0].split()[0]
    assert f'    exec {program} "$@"' in said
    assert said[-3:] == ["groundswell", "query", "two words"]
