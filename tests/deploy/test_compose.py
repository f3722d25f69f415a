"""docker-compose.yml starts what the code is. No engine is here, so each name is held against something."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from testkit.deploy import compose as checks
from testkit.deploy.slips import Slip, read_slips

ROOT = Path(__file__).parents[2]
COMPOSE = checks.read(ROOT)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What secrets and volumes hold once all is up."""
    folder = tmp_path_factory.mktemp("compose")
    checks.prepare(COMPOSE, ROOT, folder)
    return folder


def test_it_agrees_with_its_schema_with_itself_and_with_the_code(scratch: Path) -> None:
    assert checks.problems(COMPOSE, ROOT, scratch) == []


@pytest.mark.parametrize(
    "slip", read_slips(Path(__file__).with_name("compose_slips.yaml")), ids=lambda s: s.slip
)
def test_a_slip_is_found(slip: Slip, scratch: Path) -> None:
    found = checks.problems(slip.made(COMPOSE), ROOT, scratch)
    assert any(slip.found in problem for problem in found), found


def test_a_password_for_who_needs_none_is_found(scratch: Path) -> None:
    changed = copy.deepcopy(COMPOSE)
    collect, index = changed["services"]["collect"], changed["services"]["index"]
    collect |= {"environment": index["environment"], "secrets": index["secrets"]}
    collect["volumes"] += index["volumes"]
    assert "collect: has the password of Elasticsearch and does not need it" in checks.problems(
        changed, ROOT, scratch
    )


def test_a_service_that_ends_and_is_not_awaited_is_found(scratch: Path) -> None:
    """`up --wait` takes it for a failure."""
    changed = copy.deepcopy(COMPOSE)
    for name in ("enrich", "index", "groundswell"):
        del changed["services"][name]["depends_on"]["accounts"]
    assert checks.problems(changed, ROOT, scratch) == [
        "accounts ends, and no service that stays waits for it"
    ]
