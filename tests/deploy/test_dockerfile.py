"""The Dockerfile builds what is in the repository, and runs it as the code wants to be run."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from testkit.deploy import compose
from testkit.deploy import dockerfile as checks

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
IGNORE = (ROOT / ".dockerignore").read_text(encoding="utf-8")


def test_it_agrees_with_the_repository_and_with_the_code() -> None:
    assert checks.problems(DOCKERFILE, IGNORE, ROOT) == []


SLIPS: dict[str, tuple[str, str, str]] = {
    "a Python that nobody tries": ("ARG PYTHON=3.11", "ARG PYTHON=3.9", "no slim Python"),
    "a fat image": ("-slim-bookworm\n", "-bookworm\n", "slim"),
    "a lock that is not there": ("requirements/groundswell.lock", "requirements/prod.lock", "no such file"),
    "no hashes": ("install --require-hashes", "install", "no lock holds"),
    "a package without a lock": ("dist/*.whl", "dist/*.whl httpx", "no lock holds"),
    "a folder that is forgotten": ("COPY sinks sinks\n", "", "built without sinks"),
    "a folder that is misspelt": ("COPY sinks sinks\n", "COPY sink sinks\n", "no such file"),
    "a stage that is not there": ("--from=build", "--from=builder", "no such stage"),
    "an environment elsewhere": ("--from=build /opt/groundswell ", "--from=build /opt/app ", "no stage"),
    "root": ("USER 10001:10001", "USER 0:0", "a number of its own"),
    "a user whom nobody made": ("USER 10001:10001", "USER 10002:10002", "nothing makes"),
    "a home of somebody else": ("GROUNDSWELL_HOME=/var/lib/groundswell", "GROUNDSWELL_HOME=/data", "home"),
    "a volume elsewhere": ('VOLUME ["/var/lib/groundswell"]', 'VOLUME ["/data"]', "volume"),
    "an unknown command": ('CMD ["run"]', 'CMD ["start"]', "refuses"),
    "an unknown program": ('ENTRYPOINT ["groundswell"]', 'ENTRYPOINT ["groundwell"]', "no such command"),
    "an unknown variable": ("GROUNDSWELL_HTTP_HOST", "GROUNDSWELL_HOST", "unknown variable"),
    "a port too few": ("9640 9641 9642 9643", "9640 9641 9642", "the roles serve at"),
    "a check that is not there": ('groundswell/health.py"]', 'groundswell/check.py"]', "not there"),
    "another version": ("ARG VERSION=0.1.0", "ARG VERSION=0.0.9", "version"),
    "a program of the last stage": ("RUN groupadd", "RUN apt-get install gcc && groupadd", "programs"),
    "a path without the command": ("PATH=/opt/groundswell/bin:", "PATH=/opt/bin:", "PATH"),
}  # fmt: skip


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_is_found(slip: str) -> None:
    before, after, words = SLIPS[slip]
    assert before in DOCKERFILE
    found = checks.problems(DOCKERFILE.replace(before, after), IGNORE, ROOT)
    assert any(words in problem for problem in found), found


def test_what_the_image_is_not_made_of_stays_here() -> None:
    for path in (".git/config", "secrets/elastic_password", "tests/conftest.py", ".venv/bin/python", "x.env"):
        assert not checks.sent(path, IGNORE), path
    for path in ("configs/deploy/groundswell.toml", "pipeline/app/__pycache__/roles.cpython-311.pyc"):
        assert not checks.sent(path, IGNORE), path
    assert checks.sent("configs/routing.toml", IGNORE)


def test_a_copy_that_is_kept_back_is_found() -> None:
    found = checks.problems(DOCKERFILE, IGNORE.replace("!sinks\n", ""), ROOT)
    assert found == ["COPY sinks: kept back by .dockerignore"]


def test_the_builder_of_the_wheel_is_the_locked_one(tmp_path: Path) -> None:
    command = re.search(r"sed -n '(.*?)' requirements/dev.lock", DOCKERFILE)
    assert command
    lines = subprocess.run(
        ["sed", "-n", command[1], str(ROOT / "requirements" / "dev.lock")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert lines[0].startswith("setuptools==")
    assert len(lines) > 1
    assert all(line.strip().startswith("--hash=sha256:") for line in lines[1:])


def test_compose_checks_health_with_what_the_image_has() -> None:
    services = compose.read(ROOT)["services"]
    final = checks.read(DOCKERFILE)[-1]
    targets = [copy.words[-1] for copy in final.all("COPY")]
    ours = [one for one in services.values() if one["image"].startswith("groundswell:")]
    tests = [one["healthcheck"]["test"] for one in ours if "test" in one["healthcheck"]]
    assert len(tests) == 3
    for test in tests:
        assert test[:2] == ["CMD", "python"]
        assert test[2] in targets


def test_the_home_that_is_mounted_is_the_one_that_the_user_owns() -> None:
    """A volume takes its owner from what the image has at its place."""
    home = checks.read(DOCKERFILE)[-1].environ["GROUNDSWELL_HOME"]
    services = compose.read(ROOT)["services"]
    ours = [one for one in services.values() if one["image"].startswith("groundswell:")]
    assert {one["environment"]["GROUNDSWELL_HOME"] for one in ours} == {home}
