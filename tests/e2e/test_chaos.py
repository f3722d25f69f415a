"""Short rounds of chaos: the product stands them, and of three planted faults none gets through.

`make chaos` plays long ones. A red round tells its seed; docs/chaos.md says how to play it again.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.embedded.servers import Addresses
from testkit.chaos.ground import Ground
from testkit.chaos.round import plan, play, program_of
from testkit.chaos.stream import stream
from testkit.chaos.verdict import summary


@pytest.fixture
def ground(servers: Addresses, server_home: Path) -> Ground:
    """The session's servers."""
    return Ground(servers, server_home)


def test_a_stream_follows_from_its_seed() -> None:
    lines, truth = stream(3, 3000)
    again, same = stream(3, 3000)
    assert (lines, truth) == (again, same)
    assert stream(4, 3000)[0] != lines
    assert sum(text is None for text in truth.texts.values()) > 50
    assert sum("edited" in (text or "") for text in truth.texts.values()) > 100
    assert truth.invalid
    assert len(truth.complaints) > 300


@pytest.mark.parametrize(
    ("seed", "names"),
    [
        (1, ("kill-enrich-at-commit", "elastic-item-busy", "workers-index", "kill-collect")),
        (2, ("elastic-late", "kill-kafka", "block-read-only", "kill-directory")),
    ],
)
def test_a_round_is_green(ground: Ground, tmp_path: Path, seed: int, names: tuple[str, ...]) -> None:
    outcome = play(plan(seed, 4000, len(names), names), ground, tmp_path)
    assert outcome.faults == [], summary(outcome.faults)


def test_a_clock_that_jumps_back_an_hour_changes_nothing(ground: Ground, tmp_path: Path) -> None:
    chosen = plan(3, 3000, 2, ("kill-index", "kill-enrich"))
    outcome = play(chosen, ground, tmp_path, program_of("clock-back"))
    assert outcome.faults == [], summary(outcome.faults)
    for role in ("enrich", "index", "directory"):
        assert "the clock is an hour behind now" in (tmp_path / "home" / "logs" / f"{role}.log").read_text()


@pytest.mark.parametrize(
    ("mutant", "faults", "law"),
    [
        ("early-commit", ["kill-index-at-commit"], "each valid id is in the index"),
        ("early-commit", ["kill-enrich-at-commit"], "each valid id is in the log"),
        ("no-stub", ["kill-index"], "each valid id is in the index"),
        ("no-version", ["elastic-late"], "the audit is silent"),
    ],
)
def test_a_planted_fault_is_found(
    ground: Ground, tmp_path: Path, mutant: str, faults: list[str], law: str
) -> None:
    """By the stores themselves, but for the version, which the audit sees first. A death may find nothing in
    hand that could be lost: `make chaos-mutants` gives each fault five rounds, here it has three."""
    seen: set[str] = set()
    for seed in (4, 5, 6):
        folder = tmp_path / str(seed)
        folder.mkdir()
        outcome = play(plan(seed, 5000, len(faults), faults), ground, folder, program_of(mutant), 90)
        seen |= {fault.law for fault in outcome.faults}
        if law in seen:
            break
    assert law in seen, summary(outcome.faults)
