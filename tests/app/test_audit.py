"""The audit finds what it is for: every way in which the sum can break is planted, and named by its id."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from pipeline.app.audit import Document, Emitted, Finding, Refusals, Taken, balance, persisting
from pipeline.core.version import MAX_EDIT, pack

FIRST, EDIT, GONE = pack(0, 0, 0), pack(100, 0, 0), pack(MAX_EDIT, 0, 0)


@dataclass
class Stores:
    """Two posts, one of them edited, a deleted one and a refused line: a sound installation."""

    taken: Taken = field(default_factory=Taken)
    emitted: Emitted = field(default_factory=Emitted)
    refusals: Refusals = field(default_factory=lambda: Refusals({"r1"}, set(), set(), {"r0"}))
    documents: dict[str, Document] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for post_id, version in [
            ("x:1", FIRST),
            ("x:2", FIRST),
            ("x:2", EDIT),
            ("x:3", FIRST),
            ("x:3", GONE),
        ]:
            self.taken.enter(post_id, version, in_flight=False)
            self.emitted.enter(post_id, version, in_flight=False)
            self.documents[post_id] = Document(version, "p-posts-2026.11", version == GONE, False)
        self.taken.enter("x:1", FIRST, in_flight=False)
        self.taken.enter_invalid("r1", "posts-0-5", in_flight=False)

    def weigh(self) -> tuple[dict[str, int], list[Finding]]:
        ledger, findings = balance(self.taken, self.emitted, self.refusals, self.documents)
        return {name: getattr(ledger, name) for name in ledger.__struct_fields__}, findings


def test_a_sound_installation_is_silent_and_the_sum_is_right() -> None:
    ledger, findings = Stores().weigh()
    assert findings == []
    assert ledger == {
        "records": 7,
        "applied": 2,
        "superseded": 2,
        "deleted": 1,
        "rejected": 1,
        "expired": 0,
        "in_flight": 0,
        "duplicates": 1,
        "lost": 0,
        "refused_before": 1,
    }
    parts = ("applied", "superseded", "deleted", "rejected", "expired", "in_flight", "duplicates", "lost")
    assert ledger["records"] == sum(ledger[name] for name in parts)


def lose_event(stores: Stores) -> None:
    stores.taken.enter("x:9", FIRST, in_flight=False)


def lose_edit(stores: Stores) -> None:
    stores.taken.enter("x:1", EDIT, in_flight=False)


def lose_document(stores: Stores) -> None:
    del stores.documents["x:1"]


def old_document(stores: Stores) -> None:
    stores.documents["x:2"] = Document(FIRST, "p-posts-2026.11", False, False)


def document_ahead_of_the_log(stores: Stores) -> None:
    stores.documents["x:1"] = Document(EDIT, "p-posts-2026.11", False, False)


def talkative_stub(stores: Stores) -> None:
    stores.documents["x:3"] = Document(GONE, "p-posts-2026.11", True, True)


def deletion_not_carried_out(stores: Stores) -> None:
    stores.documents["x:3"] = Document(GONE, "p-posts-2026.11", False, True)


def stranger(stores: Stores) -> None:
    stores.documents["x:7"] = Document(FIRST, "p-posts-2026.11", False, False)


def lost_reason(stores: Stores) -> None:
    stores.refusals.ids.clear()


@pytest.mark.parametrize(
    ("fault", "names", "says"),
    [
        (lose_event, "x:9", "never became an event"),
        (lose_edit, "x:1", "never became an event"),
        (lose_document, "x:1", "not in the index"),
        (old_document, "x:2", "in the index but"),
        (document_ahead_of_the_log, "x:1", "in the index but"),
        (talkative_stub, "x:3", "still holds what it said"),
        (deletion_not_carried_out, "x:3", "still holds what it said"),
        (stranger, "x:7", "in the index but not in the log"),
        (lost_reason, "posts-0-5", "stands in no rejection"),
    ],
)
def test_each_fault_is_named(fault: Callable[[Stores], None], names: str, says: str) -> None:
    stores = Stores()
    fault(stores)
    _, findings = stores.weigh()
    assert [finding.id for finding in findings] == [names]
    assert says in findings[0].fault


def test_what_is_on_its_way_is_no_fault() -> None:
    stores = Stores()
    stores.taken.enter("x:8", FIRST, in_flight=True)
    stores.taken.enter("x:9", FIRST, in_flight=False)
    stores.emitted.enter("x:9", FIRST, in_flight=True)
    ledger, findings = stores.weigh()
    assert findings == []
    assert ledger["in_flight"] == 2


def test_a_state_that_the_index_refused_counts_as_rejected() -> None:
    stores = Stores()
    del stores.documents["x:1"]
    stores.refusals.states.add(("x:1", FIRST))
    ledger, findings = stores.weigh()
    assert findings == []
    assert ledger["rejected"] == 2


def test_an_older_observation_behind_a_newer_one_in_the_log_is_no_fault() -> None:
    stores = Stores()
    stores.documents["x:1"] = Document(pack(0, 0, 90), "p-posts-2026.11", False, False)
    assert stores.weigh()[1] == []


RELINKED, REFRESHED = pack(0, 1, 0), pack(0, 0, 30)


def test_a_relinked_post_is_superseded_once_and_what_follows_takes_its_operation() -> None:
    stores = Stores()
    stores.taken.enter("x:1", RELINKED, in_flight=False)
    stores.taken.enter("x:1", REFRESHED, in_flight=False)
    stores.emitted.enter("x:1", pack(0, 1, 30), in_flight=False)
    stores.documents["x:1"] = Document(pack(0, 1, 30), "p-posts-2026.11", False, False)
    ledger, findings = stores.weigh()
    assert findings == []
    assert (ledger["applied"], ledger["superseded"], ledger["duplicates"]) == (2, 4, 1)
    assert ledger["records"] == 9


def test_an_operation_that_only_the_log_of_events_remembers_is_taken_too() -> None:
    """The posts topic forgets after a week: the re-link went by, and a refresh of today took it."""
    stores = Stores()
    stores.emitted.enter("x:1", RELINKED, in_flight=False)
    stores.documents["x:1"] = Document(RELINKED, "p-posts-2026.11", False, False)
    ledger, findings = stores.weigh()
    assert findings == []
    assert (ledger["applied"], ledger["superseded"], ledger["duplicates"]) == (2, 2, 1)


def test_a_relink_that_was_refused_lifts_nothing() -> None:
    stores = Stores()
    stores.taken.enter("x:1", RELINKED, in_flight=False)
    stores.taken.enter("x:1", REFRESHED, in_flight=False)
    stores.refusals.states.add(("x:1", RELINKED))
    stores.refusals.unpublished.add(("x:1", RELINKED))
    stores.emitted.enter("x:1", REFRESHED, in_flight=False)
    stores.documents["x:1"] = Document(REFRESHED, "p-posts-2026.11", False, False)
    ledger, findings = stores.weigh()
    assert findings == []
    assert (ledger["applied"], ledger["rejected"], ledger["superseded"]) == (2, 2, 3)


def test_a_relink_that_enrich_lost_is_named() -> None:
    stores = Stores()
    stores.taken.enter("x:1", RELINKED, in_flight=False)
    ledger, findings = stores.weigh()
    assert [finding.id for finding in findings] == ["x:1"]
    assert ledger["lost"] == 1


def test_only_what_two_audits_agree_on_stays() -> None:
    first = [Finding("x:1", "a"), Finding("x:2", "b")]
    second = [Finding("x:2", "c"), Finding("x:3", "d")]
    assert persisting(first, second) == [Finding("x:2", "c")]


def test_what_is_past_its_time_is_neither_lost_nor_strange() -> None:
    stores = Stores()
    stores.taken.enter("x:old", FIRST, in_flight=False, expired=True)
    assert stores.weigh()[0]["expired"] == 1
    assert stores.weigh()[1] == [], "it never became an event"
    stores.emitted.enter("x:old", FIRST, in_flight=False, routed=True)
    stores.emitted.expire("x:old")
    assert stores.weigh()[1] == [], "it is in the log, and no longer in the index"
    stores.documents["x:old"] = Document(FIRST, "p-posts-2024.01", deleted=False, has_text=False)
    assert stores.weigh()[1] == [], "it is still in both"
    stores.emitted.purge("x:old")
    assert [finding.id for finding in stores.weigh()[1]] == ["x:old"], "gone from the log, and in the index"


def test_a_log_that_goes_back_is_named_before_compaction_forgets_the_newer_state() -> None:
    stores = Stores()
    stores.emitted.enter("x:2", FIRST, in_flight=False)
    stores.emitted.enter("x:3", FIRST, in_flight=False)
    _, findings = stores.weigh()
    assert [(found.id, f"version {FIRST}, behind" in found.fault) for found in findings] == [
        ("x:2", True),
        ("x:3", True),
    ]
    stores.emitted.enter("x:2", EDIT, in_flight=False)
    stores.emitted.enter("x:3", FIRST, in_flight=True)
    assert stores.weigh()[1] == [], "the one is made good, the other may be at any moment"


def test_an_older_observation_behind_a_newer_one_is_no_step_back() -> None:
    stores = Stores()
    stores.documents["x:1"] = Document(pack(0, 0, 9), "p-posts-2026.11", False, True)
    stores.taken.enter("x:1", pack(0, 0, 9), in_flight=False)
    stores.emitted.enter("x:1", pack(0, 0, 9), in_flight=False)
    stores.emitted.enter("x:1", FIRST, in_flight=False)
    assert stores.weigh()[1] == []
