"""The audit of cases finds what it is for: every way in which the sum can break is planted."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from pipeline.app.cases.audit import weigh
from pipeline.core import case_work as work
from pipeline.core.case import Case, fold
from pipeline.core.case_events import assign, follow
from testkit.cases import event, minutes, route


def made(id: str, *queues: str) -> list[Case]:
    """The cases of a post."""
    routed = event(id, [route(queue) for queue in queues])
    return [case for id, told in assign(routed, []) if (case := follow(id, None, told)) is not None]


SOUND = {case.id: case for case in (*made("x:1", "a"), *made("x:2", "a", "b"))}
ONE = made("x:1", "a")[0]


def faults(cases: dict[str, Case], journal: dict[str, Case], **versions: int) -> list[str]:
    known = {f"x:{name[1:]}": version for name, version in versions.items()}
    found = weigh(cases, journal, ["x:1", "x:2"], known)
    return [f"{finding.id} {finding.fault}" for finding in found]


def test_a_sound_installation_is_silent() -> None:
    assert faults(SOUND, SOUND) == []


@pytest.mark.parametrize(
    ("index", "journal", "fault"),
    [
        ({ONE.id: None}, {}, "is a case in the journal but not in the index"),
        ({ONE.id: None}, {ONE.id: None}, "x:1 is routed and has no case"),
        ({}, {ONE.id: None}, "of which the journal knows nothing"),
        (
            {ONE.id: work.take(ONE, "ann", minutes(1))},
            {},
            "is a case at revision 2, but its journal ends with 1",
        ),
        ({ONE.id: structs.replace(ONE, queue="z")}, {}, "is a case that differs from its journal"),
        ({"c2": fold("c2", ONE.history)}, {"c2": fold("c2", ONE.history)}, "x:1 is in 2 cases of queue a: "),
        ({"c2": fold("c2", ONE.history)}, {"c2": fold("c2", ONE.history)}, "2 cases of one conversation: "),
    ],
)
def test_each_fault_is_named(
    index: dict[str, Case | None], journal: dict[str, Case | None], fault: str
) -> None:
    cases = {id: case for id, case in (SOUND | index).items() if case is not None}
    told = {id: case for id, case in (SOUND | journal).items() if case is not None}
    assert any(fault in found for found in faults(cases, told)), faults(cases, told)


@pytest.mark.parametrize("newer", [{"deleted": True}, {"edited_at": minutes(1)}])
def test_a_case_that_never_heard_of_the_end_of_its_post_is_named(newer: dict[str, Any]) -> None:
    over = event("x:1", at=1, **newer)
    assert faults(SOUND, SOUND, x1=event("x:1", operation=3).version) == []
    (found,) = faults(SOUND, SOUND, x1=over.version)
    assert found.startswith(f"x:1 has case {ONE.id} by a state of it that was edited or deleted since")
    [(id, told)] = assign(over, [ONE])
    heard = follow(id, ONE, told)
    assert heard is not None
    assert faults(SOUND | {id: heard}, SOUND | {id: heard}, x1=over.version) == []
