"""The law of the cases written lately: whatever a search does not show is told, or it is told to refresh."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.case import Case, change
from sinks._look import Look
from sinks._recent import MOST, Recent

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def case(number: int) -> Case:
    return change(Case(id=f"{number:016x}"), "opened", NOW, queue="a", opened_at=NOW)


def note(recent: Recent[Case], operation: int, written: Case) -> None:
    recent.note(operation, written.id, written)


@given(
    steps=st.lists(
        st.sampled_from(["ours", "ours", "lost", "late", "told", "theirs", "look", "look", "blind", "anew"]),
        max_size=50,
    )
)
def test_nothing_is_missed(steps: list[str]) -> None:
    recent: Recent[Case] = Recent()
    uuid, written, searchable = 0, 0, 0
    late: list[int] = []
    for step in steps:
        if step in ("ours", "lost", "late", "theirs"):
            if step == "ours":
                note(recent, written, case(written))
            elif step == "late":  # another thread, whose answer is still under way
                late.append(written)
            written += 1
        elif step == "told":
            for operation in late:
                note(recent, operation, case(operation))
            late.clear()
        elif step == "blind":  # the server does not say how far the index is
            assert recent.since(Look(str(uuid), 1, ())) is None
            searchable = written
            recent.begin(Look(str(uuid), 1, ()))
        elif step == "anew":
            uuid, written, searchable = uuid + 1, 0, 0
            late.clear()
        else:
            look = Look(str(uuid), 1, (written - 1,))
            unseen = recent.since(look)
            if unseen is None:
                searchable = written
                recent.begin(look)
            else:
                told = {case(number).id for number in range(searchable, written)}
                assert told <= unseen.keys()


def test_a_lone_writer_refreshes_once() -> None:
    recent: Recent[Case] = Recent()
    recent.begin(Look("u", 1, (-1,)))
    for number in range(MOST):
        note(recent, number, case(number % 7))
        assert recent.since(Look("u", 1, (number, number))) is not None
    assert len(recent.since(Look("u", 1, (MOST - 1,))) or ()) == 7
    note(recent, MOST, case(1))
    assert recent.since(Look("u", 1, (MOST,))) is None, "too much to remember"


def test_what_is_not_known_is_refreshed() -> None:
    recent: Recent[Case] = Recent()
    for look in (None, Look("u", 1, ()), Look("u", 2, (3, 4)), Look("other", 1, (0,))):
        recent.begin(Look("u", 1, (0,)))
        assert recent.since(look) is None
    recent.begin(None)
    assert recent.since(Look("u", 1, (0,))) is None


def test_memory_is_bounded_also_where_the_server_does_not_say_how_far_an_index_is() -> None:
    recent: Recent[Case] = Recent()
    for number in range(5):
        note(recent, number, case(number))
        assert recent.since(Look("u", 1, ())) is None
        recent.begin(Look("u", 1, ()))
    assert not recent._ours
