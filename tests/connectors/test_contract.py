"""Every connector keeps the contract, under every fault: found by itself, a file of connectors/ a column."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.app.registry import known
from testkit import connector_contract as contract
from testkit.connector_drive import fixture_of, modes_of
from testkit.platform.faults import FAULTS, Fault

KINDS = known("connectors")
every_connector = pytest.mark.parametrize("kind", [mode for kind in KINDS for mode in modes_of(kind)])


@every_connector
def test_everything_arrives_valid_and_in_utc(kind: str, tmp_path: Path) -> None:
    contract.check_everything_arrives(fixture_of(kind), tmp_path)


@every_connector
def test_ids_are_stable(kind: str, tmp_path: Path) -> None:
    contract.check_ids_are_stable(fixture_of(kind), tmp_path)


@every_connector
def test_the_cursor_is_never_ahead_of_its_posts(kind: str, tmp_path: Path) -> None:
    contract.check_cursor_is_never_ahead(fixture_of(kind), tmp_path)


@every_connector
@pytest.mark.parametrize("seed", range(3))
def test_crashes_anywhere_lose_nothing(kind: str, seed: int, tmp_path: Path) -> None:
    contract.check_crash_anywhere(fixture_of(kind), tmp_path, seed)


@every_connector
def test_secrets_stay_secret(kind: str, tmp_path: Path) -> None:
    contract.check_secrets_stay_secret(fixture_of(kind), tmp_path)


@every_connector
def test_parse_survives_anything(kind: str) -> None:
    contract.check_parse_survives(fixture_of(kind))


@every_connector
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.replace(" ", "-"))
@pytest.mark.parametrize("midway", [False, True], ids=["at once", "midway"])
def test_every_connector_under_every_fault(kind: str, fault: Fault, midway: bool, tmp_path: Path) -> None:
    fixture = fixture_of(kind)
    if fault.name in fixture.exempt:
        assert len(fixture.exempt[fault.name]) > 10, "an exemption needs a reason"
        return
    if midway and fault.name == "cursor too old":
        return  # a cursor grows old while nobody listens
    contract.check_fault(fixture, fault, tmp_path, midway=midway)


@every_connector
def test_exemptions_are_of_faults_that_exist(kind: str) -> None:
    assert set(fixture_of(kind).exempt) <= {fault.name for fault in FAULTS}


DOCS = Path(__file__).parents[2] / "docs"
INDEX = (DOCS / "connectors" / "README.md").read_text(encoding="utf-8")
DUTIES = {
    "config": "a person must act",
    "retry": "tries again",
    "recover": "goes on",
    "reject": "refuses the post",
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_connector_has_its_page(kind: str) -> None:
    contract.check_page(kind, DOCS)


def test_the_index_lists_every_connector() -> None:
    assert re.findall(r"^\| \[([a-z0-9_]+)\]\(\1\.md\) \|", INDEX, re.MULTILINE) == KINDS


def test_the_index_tells_what_comes_of_every_fault() -> None:
    rows = re.findall(r"^\| ([^|]+?) \| ([^|]+?) \| ([^|]*?) ?\|$", INDEX, re.MULTILINE)
    told = {name: (duty, exempt) for name, duty, exempt in rows}
    for fault in FAULTS:
        duty, exempt = told[fault.name]
        assert duty == DUTIES[fault.duty] or fault.resets, fault.name
        spared = [
            kind for kind in KINDS if all(fault.name in fixture_of(mode).exempt for mode in modes_of(kind))
        ]
        assert exempt == ", ".join(spared), f"docs/connectors/README.md, `{fault.name}`"
