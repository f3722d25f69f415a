"""The laws of cases: repeats change nothing, a person's work stands, the history is the case."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core import case_work as work
from pipeline.core.case import (
    Case,
    Claim,
    Entry,
    Refused,
    as_one,
    case_from,
    case_id,
    cases_of,
    decode_entry,
    document_of,
    encode_entry,
    fold,
)
from pipeline.core.case_events import answered, assign, follow
from pipeline.core.errors import ConfigError, RejectedError
from pipeline.core.event import Event
from testkit.cases import event, minutes, route

QUEUES = {"a": 2, "b": 4, "c": 6}
ROUTES = st.sampled_from([(), (route("a", 2, 30),), (route("b", 4, 60),), (route("a", 2), route("b", 4))])
Cases = dict[str, Case]


def hear(cases: Cases, heard: Event) -> Cases:
    """All cases after one event, as whoever keeps them does it."""
    holding = [case for case in cases.values() if heard.post.id in case.claims]
    after = dict(cases)
    for id, told in assign(heard, holding):
        case = follow(id, cases.get(id), told)
        if case is not None:
            after[id] = as_one(cases.get(id), case) if case is not cases.get(id) else case
    return after


def only(cases: Cases) -> Case:
    """The one case there is."""
    (case,) = cases.values()
    return case


@st.composite
def logs(draw: st.DrawFn) -> list[Event]:
    """Events as the log has them: of each post the states in their order, edits and deletions among them,
    and repeats of what was there before anywhere behind it."""
    told: list[Event] = []
    state: dict[str, tuple[int, int, bool]] = {}
    for at in range(draw(st.integers(1, 12))):
        if told and draw(st.booleans()) and draw(st.booleans()):
            told.append(draw(st.sampled_from(told)))
            continue
        id = draw(st.sampled_from(["x:1", "x:2", "x:3"]))
        edit, operation, gone = state.get(id, (0, 0, False))
        if id in state:
            step = draw(st.sampled_from(["edit", "operation", "delete"]))
            edit, operation = edit + (step == "edit"), operation + (step == "operation")
            gone = gone or step == "delete"
        state[id] = edit, operation, gone
        more: dict[str, Any] = {"edited_at": minutes(100 + edit)} if edit else {}
        if gone:
            told.append(event(id, at=at, operation=operation, deleted=True))
            continue
        thread = "" if id == "x:3" else "t"
        customer = draw(st.sampled_from(["", "c1", "c2"]))
        routes = draw(ROUTES)
        told.append(event(id, routes, at=at, operation=operation, thread=thread, customer=customer, **more))
    return told


Act = Callable[[Case, int], Case]
ACTS: list[Act] = [
    lambda case, at: work.take(case, "ann", minutes(at)),
    lambda case, at: work.take(case, "bob", minutes(at)),
    lambda case, at: work.done(case, "ann", minutes(at)),
    lambda case, at: work.release(case, "bob", minutes(at)),
    lambda case, at: work.wait(case, "ann", minutes(at), "asked for the number"),
    lambda case, at: work.move(case, "c", "ann", minutes(at), queues=QUEUES),
    lambda case, at: work.add_note(case, "ann", minutes(at), "called"),
]


@given(logs(), st.data())
def test_repeats_change_nothing_and_the_history_is_the_case(log: list[Event], data: st.DataObject) -> None:
    cases: Cases = {}
    for heard in log:
        before = cases
        cases = hear(cases, heard)
        for id, case in cases.items():
            known = before[id].revision if id in before else 0
            assert case.revision in (known, known + 1)
            assert (case is before.get(id)) == (case.revision == known)
            assert fold(id, case.history) == case
            assert [step.revision for step in case.history] == list(range(1, case.revision + 1))
        again = data.draw(st.sampled_from(log[: log.index(heard) + 1]))
        if again.version <= max(e.version for e in log[: log.index(heard) + 1] if e.post.id == again.post.id):
            holding = [case for case in cases.values() if again.post.id in case.claims]
            seen = [case.claims[again.post.id].version for case in holding]
            if seen and again.version <= min(seen):
                repeated = hear(cases, again)
                assert {id: repeated[id] for id in cases} == cases


@given(logs())
def test_the_end_follows_from_the_last_states_alone(log: list[Event]) -> None:
    """The whole log once more, as after a crash: no case opens, none changes."""
    once: Cases = {}
    for heard in log:
        once = hear(once, heard)
    twice = once
    newest: dict[str, Event] = {}
    for heard in log:
        twice = hear(twice, heard)
        if heard.version >= newest.get(heard.post.id, heard).version:
            newest[heard.post.id] = heard
    for post, last in newest.items():
        wanted = {route.queue for _, route in cases_of(last)}
        for cases in (once, twice):
            claimed = [case.claims[post].queue for case in cases.values() if post in case.claims]
            assert sorted(queue for queue in claimed if queue) == sorted(wanted), "each route has one case"
    for id, case in once.items():
        assert (twice[id].state, twice[id].queue, twice[id].priority) == (
            case.state,
            case.queue,
            case.priority,
        )
        assert case.state == ("new" if any(claim.queue for claim in case.claims.values()) else "resolved")


@given(logs(), st.lists(st.tuples(st.integers(0, 12), st.sampled_from(ACTS)), max_size=8))
def test_no_event_undoes_what_a_person_did(log: list[Event], acts: list[tuple[int, Act]]) -> None:
    cases: Cases = {}
    for at, heard in enumerate(log):
        before = cases
        cases = hear(cases, heard)
        for id, case in before.items():
            now = cases[id]
            assert set(case.posts) <= set(now.posts)
            if not case.touched:
                continue
            assert now.queue == case.queue
            assert now.priority <= case.priority, "more pressing at most"
            if case.state == "taken":
                assert (now.state, now.assignee, now.priority) == ("taken", case.assignee, case.priority)
            if case.state == "waiting":
                assert now.state in ("waiting", "taken")
                assert now.assignee == case.assignee
            if now.state != case.state and case.state == "resolved":
                assert len(now.posts) > len(case.posts), "only a further post opens it again"
                assert (now.state, now.assignee) == ("new", "")
        for place, act in acts:
            if place == at and cases:
                id = sorted(cases)[place % len(cases)]
                try:
                    worked = act(cases[id], at)
                except Refused:
                    continue
                assert worked is cases[id] or worked.revision == cases[id].revision + 1
                assert fold(id, worked.history) == worked
                assert worked.claims == cases[id].claims
                cases = {**cases, id: worked}


@given(logs(), st.sampled_from(ACTS))
def test_a_case_survives_the_index_and_the_journal(log: list[Event], act: Act) -> None:
    cases: Cases = {}
    for heard in log:
        cases = hear(cases, heard)
    for id, case in cases.items():
        document = msgspec.json.decode(msgspec.json.encode(document_of(case, 7)))
        assert case_from(document) == (case, 7)
        assert list(case_from(document)[0].claims) == list(case.claims), "the order of the posts counts"
        entries = [encode_entry(Entry(case=id, step=step)) for step in case.history]
        assert fold(id, [decode_entry(raw).step for raw in entries]) == case
        assert "it broke" not in str(document), "a case holds no text"
        for entry, step in zip(document["history"], case.history, strict=True):
            assert all(
                isinstance(entry.get(part, {}).get("claims", []), list) for part in ("before", "after")
            )
            entry |= {"before": msgspec.to_builtins(step.before), "after": msgspec.to_builtins(step.after)}
        document["claims"] = msgspec.to_builtins(case.claims)
        assert case_from(document) == (case, 7), "as an earlier version wrote it"


def opened(*routes: Any, **post: Any) -> Case:
    return only(hear({}, event(routes=routes or (route("a", 2, 30),), **post)))


def test_a_thread_of_one_author_is_one_case() -> None:
    cases = hear({}, event("x:1", [route("b", 4, 60)], thread="t"))
    cases = hear(cases, event("x:2", [route("a", 2, 30)], thread="t", at=5, customer="c1"))
    case = only(cases)
    assert case.posts == ("x:1", "x:2")
    assert (case.queue, case.priority, case.due_at) == ("a", 2, minutes(30)), "the most pressing post's"
    assert case.customer_id == "c1"
    cases = hear(cases, event("x:3", [route("a")], thread="t", author="x:bob"))
    assert len(cases) == 2
    assert len({case_id("x:ann", "t"), case_id("x:bob", "t"), case_id("x:ann", "t", "q")}) == 3


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(1, 4), st.integers(10, 90)), min_size=2, max_size=5
    ),
    st.randoms(use_true_random=False),
)
def test_the_order_in_which_posts_come_does_not_matter(
    asked: list[tuple[str, int, int]], chance: Any
) -> None:
    told = [
        event(f"x:{number}", [route(queue, priority, due)], thread="t")
        for number, (queue, priority, due) in enumerate(asked)
    ]
    mixed = chance.sample(told, len(told))
    found = []
    for order in (told, mixed):
        cases: Cases = {}
        for one in order:
            cases = hear(cases, one)
        case = only(cases)
        found.append((case.queue, case.priority, case.rule, case.due_at))
    assert found[0] == found[1]


def test_mode_all_gives_a_case_for_each_route() -> None:
    cases = hear({}, event(routes=[route("a"), route("b")]))
    assert sorted((case.queue, case.split) for case in cases.values()) == [("a", ""), ("b", "b")]
    moved = hear(cases, event(routes=[route("b")], operation=1))
    assert sorted((case.queue, case.state) for case in moved.values()) == [("a", "resolved"), ("b", "new")]


def test_a_thread_that_comes_to_be_known_makes_no_second_case() -> None:
    cases = hear({}, event(routes=[route("a")]))
    cases = hear(cases, event(routes=[route("a")], thread="t", edited_at=minutes(3)))
    assert only(cases).posts == ("x:1",)


def test_while_nobody_works_on_it_a_case_follows_its_post() -> None:
    cases = hear({}, event(routes=[route("a", 2, 30)]))
    cases = hear(cases, event(routes=[route("b", 4, 90)], operation=1, at=1))
    assert (only(cases).queue, only(cases).priority, only(cases).due_at) == ("b", 4, minutes(90))
    same = hear(cases, event(routes=[route("b", 4, 500)], operation=2, at=2, customer="c9"))
    assert only(same).due_at == minutes(90), "the promise counts from the first time"
    assert only(same).customer_id == "c9"
    gone = only(hear(same, event(deleted=True, at=3)))
    assert (gone.state, gone.resolved_at) == ("resolved", minutes(3))
    assert "deleted by its author" in gone.history[-1].note
    assert gone.customer_id == "c9"


def test_a_deletion_only_adds_a_note_to_a_case_that_somebody_has() -> None:
    case = work.take(opened(), "ann", minutes(1))
    case = only(hear({case.id: case}, event(deleted=True, at=3)))
    assert (case.state, case.assignee) == ("taken", "ann")
    assert "deleted by its author" in case.history[-1].note


def test_a_further_post_opens_a_resolved_case_and_ends_a_wait() -> None:
    done = work.done(opened(thread="t"), "ann", minutes(1))
    again = only(hear({done.id: done}, event("x:2", [route("b", 1, 99)], thread="t", at=5)))
    assert (again.state, again.assignee, again.queue, again.priority) == ("new", "", "a", 1)
    assert (again.due_at, again.resolved_at, again.history[-1].did) == (minutes(99), None, "reopened")
    waits = work.wait(opened(thread="t"), "ann", minutes(1))
    assert waits.state == "waiting"
    back = only(hear({waits.id: waits}, event("x:2", [route("b")], thread="t", at=5)))
    assert (back.state, back.assignee) == ("taken", "ann")


def test_who_is_second_is_told_who_has_it_and_since_when() -> None:
    case = work.take(opened(), "ann", minutes(7))
    assert work.take(case, "ann", minutes(8)) is case
    for act in (work.take, work.done, work.wait):
        with pytest.raises(Refused, match=r"ann has case .* since 2026-11-22 10:07:00 UTC"):
            act(case, "bob", minutes(9))
    with pytest.raises(Refused, match="ann has case"):
        work.move(case, "b", "bob", minutes(9), queues=QUEUES)
    freed = work.release(case, "bob", minutes(10))
    assert work.take(freed, "bob", minutes(11)).assignee == "bob"
    assert work.release(freed, "cem", minutes(12)) is freed


def test_done_is_done_and_can_be_taken_back() -> None:
    done = work.done(opened(), "ann", minutes(1))
    assert (done.state, done.resolved_at, done.assignee) == ("resolved", minutes(1), "ann")
    assert work.done(done, "bob", minutes(2)) is done
    for act in (work.release, work.wait):
        with pytest.raises(Refused, match=f"queue take {done.id}"):
            act(done, "ann", minutes(2))
    back = work.take(done, "bob", minutes(3))
    assert (back.state, back.resolved_at, back.assignee) == ("taken", None, "bob")


def test_moving_needs_a_queue_that_exists() -> None:
    case = work.take(opened(), "ann", minutes(1))
    with pytest.raises(Refused, match="no queue `lost`; known are `a`, `b`, `c`"):
        work.move(case, "lost", "ann", minutes(2), queues=QUEUES)
    moved = work.move(case, "c", "ann", minutes(2), "not ours", queues=QUEUES)
    assert (moved.queue, moved.priority, moved.state, moved.assignee) == ("c", 6, "new", "")
    assert moved.history[-1].before.queue == "a"
    assert work.move(moved, "c", "ann", minutes(3), queues=QUEUES) is moved
    assert work.move(moved, "c", "ann", minutes(3), queues=QUEUES, priority=1).priority == 1


def test_the_first_answer_counts_whatever_the_order() -> None:
    case = opened(at=10)
    assert answered(case, minutes(9), "x:ours", minutes(20)) is case, "that was before anybody asked"
    late = answered(case, minutes(15), "x:ours", minutes(20))
    assert late.first_response_at == minutes(15)
    assert answered(late, minutes(16), "x:more", minutes(21)) is late
    early = answered(late, minutes(12), "x:first", minutes(22))
    assert early.first_response_at == minutes(12)
    assert not early.touched
    assert case.late(minutes(31))
    assert not early.late(minutes(31))


def test_our_own_posts_and_plain_ones_open_nothing() -> None:
    assert hear({}, event(routes=[route("a")], direction="outbound")) == {}
    assert hear({}, event()) == {}
    assert hear({}, event(deleted=True)) == {}


def test_several_changes_are_written_as_one() -> None:
    first = opened(thread="t")
    more = first
    posts: Sequence[str] = ("x:2", "x:3")
    for number, id in enumerate(posts):
        heard = event(id, [route("a", 1)], thread="t", at=number + 1)
        more = only(hear({more.id: more}, heard))
    one = as_one(first, more)
    assert (one.revision, len(one.history)) == (2, 2)
    assert fold(one.id, one.history) == one
    assert (one.posts, one.priority) == (more.posts, more.priority)
    assert one.history[-1].before.priority == 2
    assert isinstance(one.history[-1].after.claims, dict)
    assert set(one.history[-1].after.claims) == set(posts)


def test_names_notes_and_records_are_judged() -> None:
    assert work.person("  Ann Bell ") == "Ann Bell"
    for name in ("", "  ", "x" * 101, "a\x1b[31m"):
        with pytest.raises(ConfigError, match="--as"):
            work.person(name)
    with pytest.raises(ConfigError, match="2000 characters"):
        work.remark("x" * 2001)
    with pytest.raises(RejectedError):
        decode_entry(b"{}")
    with pytest.raises(RejectedError, match="upgrade"):
        decode_entry(b'{"schema":2,"case":"c","step":{"revision":1,"at":"2026-01-01T00:00:00Z","did":"x"}}')
    assert Claim(version=1).queue == ""
