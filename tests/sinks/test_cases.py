"""Cases on a true Elasticsearch: of two who change one at once both count, and nothing is asked in vain."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from pipeline.app.cases.keeper import CaseKeeper
from pipeline.core import case_work as work
from pipeline.core.case import Case, Entry, Refused, fold
from pipeline.core.errors import RetryableError
from pipeline.core.event import Event
from pipeline.core.settings import ElasticsearchSettings
from sinks.cases import Cases, Journal, NotReady
from sinks.store import Store
from testkit.cases import event, minutes, route


class Memory:
    """A journal that can be read, and told to lose what comes."""

    def __init__(self) -> None:
        self.steps: dict[str, Entry] = {}
        self.records = 0
        self.broken = False
        self._lock = threading.Lock()

    def __call__(self, entries: Sequence[Entry]) -> None:
        if self.broken and entries:
            raise RetryableError("the journal is away")
        with self._lock:
            self.records += len(entries)
            for entry in entries:
                known = self.steps.setdefault(entry.key, entry)
                assert known == entry, "a revision never changes"

    def case(self, id: str) -> Case:
        """The case as its steps tell it."""
        steps = [entry.step for entry in self.steps.values() if entry.case == id]
        return fold(id, sorted(steps, key=lambda step: step.revision))


@pytest.fixture
def cases(client: Elasticsearch, elastic_settings: ElasticsearchSettings) -> Any:
    found = Cases(client, elastic_settings)
    found.prepare()
    found.finish()
    yield found
    found.drop()
    Store(client, elastic_settings, "answers").drop()


@pytest.fixture
def journal() -> Memory:
    return Memory()


def keeper_of(cases: Cases, journal: Journal) -> CaseKeeper:
    return CaseKeeper(cases, journal, lambda: pytest.fail("the index was ready"))


def stored(cases: Cases) -> dict[str, Case]:
    """All cases of the index."""
    cases.store.refresh()
    return {held.case.id: held.case for held in cases.all()}


def test_events_make_each_case_once(cases: Cases, journal: Memory) -> None:
    events = [event(f"x:{n}", [route("a")], thread=f"t{n % 3}", at=n) for n in range(9)]
    keeper = keeper_of(cases, journal)
    keeper.follow(events[:5])
    keeper.follow(events)
    first = stored(cases)
    keeper.follow(events)
    keeper_of(cases, journal).follow(list(reversed(events)))
    assert stored(cases) == first
    assert sorted(len(case.posts) for case in first.values()) == [3, 3, 3]
    for id, case in first.items():
        assert journal.case(id) == case


def test_a_batch_of_plain_posts_asks_nothing(
    client: Elasticsearch, cases: Cases, journal: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    perform = client.transport.perform_request

    def count(method: str, target: str, **how: Any) -> Any:
        asked.append(f"{method} {target}")
        return perform(method, target, **how)

    monkeypatch.setattr(client.transport, "perform_request", count)
    keeper = keeper_of(cases, journal)
    keeper.follow([event(f"x:{n}") for n in range(500)])
    assert asked == []
    keeper.follow([event("x:1", [route("a")])])
    assert asked
    asked.clear()
    keeper.follow([event("x:1", [route("a")])])
    assert len(asked) == 3, f"a repeat looks, searches and reads the marks of answers: {asked}"
    assert journal.records <= 3


def test_the_index_is_refreshed_only_for_what_others_wrote(
    client: Elasticsearch, cases: Cases, journal: Memory, elastic_settings: ElasticsearchSettings
) -> None:
    client.indices.put_settings(index=cases.store.index, settings={"index.refresh_interval": "-1"})

    def refreshes() -> int:
        stats = client.indices.stats(index=cases.store.index, metric="refresh")
        return int(stats["_all"]["primaries"]["refresh"]["external_total"])

    keeper = keeper_of(cases, journal)
    keeper.follow([event("x:0", [route("a")])])
    before = refreshes()
    # Two posts in one thread of which the second lost its thread: it has to be found in the first's case.
    keeper.follow([event("x:1", [route("a")], thread="t")])
    keeper.follow([event("x:2", [route("a")], thread="t")])
    keeper.follow([event("x:2", [route("a")])])
    assert refreshes() == before
    keeper_of(Cases(client, elastic_settings), journal).follow([event("x:3", [route("a")], thread="u")])
    assert refreshes() == before + 1, "who is new there"
    keeper.follow([event("x:3", [route("a")])])
    assert refreshes() == before + 2, "somebody else wrote"
    assert sorted(case.posts for case in stored(cases).values()) == [("x:0",), ("x:1", "x:2"), ("x:3",)]


def test_what_the_journal_lacks_follows_with_the_next_who_comes(cases: Cases, journal: Memory) -> None:
    routed = event("x:1", [route("a")])
    journal.broken = True
    with pytest.raises(RetryableError):
        keeper_of(cases, journal).follow([routed])
    (case,) = stored(cases).values()
    assert journal.steps == {}
    journal.broken = False
    keeper_of(cases, journal).follow([routed])
    assert journal.case(case.id) == case, "a repeat of the event"

    # Three die one after the other between index and journal.
    for number, act in enumerate((work.take, work.done, work.take)):
        journal.broken = False
        tries = iter([False, True])

        def fail_behind(entries: Sequence[Entry], tries: Any = tries) -> None:
            if next(tries):
                raise RetryableError("killed")
            journal(entries)

        with pytest.raises(RetryableError):
            cases.change([case.id], lambda _, c, act=act, n=number: act(c, "ann", minutes(n)), fail_behind)
    cases.change([case.id], lambda _, c: work.add_note(c, "bob", minutes(9), "seen"), journal)  # type: ignore[arg-type]
    (now,) = stored(cases).values()
    assert (now.revision, journal.case(case.id)) == (5, now)


def test_of_many_takers_one_wins(cases: Cases, journal: Memory) -> None:
    for turn in range(5):
        keeper_of(cases, journal).follow([event(f"x:{turn}", [route("a")])])
        id = next(id for id, case in stored(cases).items() if case.posts == (f"x:{turn}",))
        barrier = threading.Barrier(8)

        def take(name: str, id: str = id, barrier: threading.Barrier = barrier) -> str:
            barrier.wait()
            try:
                cases.change([id], lambda _, c: work.take(c, name, minutes(1)), journal)  # type: ignore[arg-type]
            except Refused as refusal:
                return str(refusal)
            return ""

        with ThreadPoolExecutor(8) as pool:
            said = list(pool.map(take, [f"p{n}" for n in range(8)]))
        (winner,) = (f"p{n}" for n, words in enumerate(said) if not words)
        assert stored(cases)[id].assignee == winner
        assert all(f"{winner} has case {id}" in words for words in said if words)
        assert journal.case(id) == stored(cases)[id]


def test_writers_of_several_partitions_make_one_case(cases: Cases, journal: Memory) -> None:
    """The posts of one thread come through several workers at once, and people work meanwhile."""
    events = [event(f"x:{n}", [route("a", n % 7 + 1)], thread="t", at=n) for n in range(24)]

    def feed(lane: int) -> None:
        mine = events[lane::4]
        keeper = keeper_of(cases, journal)
        for start in range(0, len(mine), 2):
            keeper.follow(mine[start : start + 2])
            keeper.follow(mine[: start + 2])

    def person(name: str) -> None:
        for n in range(6):
            for id in cases.holding([one.post.id for one in events]):
                cases.change(
                    [id], lambda _, c, n=n: work.add_note(c, name, minutes(n), f"{name} {n}"), journal
                )

    with ThreadPoolExecutor(6) as pool:
        done = [pool.submit(feed, lane) for lane in range(4)] + [
            pool.submit(person, n) for n in ("ann", "bob")
        ]
        for one in done:
            one.result()
    (case,) = stored(cases).values()
    assert set(case.posts) == {one.post.id for one in events}
    notes = [step.note for step in case.history if step.by]
    assert len(notes) == len(set(notes))
    assert journal.case(case.id) == case


def answer_to(case_post: str, at: float, id: str = "x:ours", **more: Any) -> Event:
    ours: dict[str, Any] = {"author": "x:larkwell", "direction": "outbound"}
    return event(id, at=at, in_reply_to=case_post, **ours | more)


@pytest.mark.parametrize("seed", range(12))
def test_an_answer_counts_in_whatever_order_it_is_met(cases: Cases, journal: Memory, seed: int) -> None:
    """Question and answer go through two partitions at the same instant."""
    chance = random.Random(seed)
    pairs = []
    for n in range(6):
        question = event(f"x:q{seed}.{n}", [route("a")], at=n, thread=f"th{seed}.{n}" if n % 2 else "")
        replied = (
            answer_to("", n + 3, f"x:a{seed}.{n}", thread=question.post.thread)
            if question.post.thread
            else answer_to(question.post.id, n + 3, f"x:a{seed}.{n}")
        )
        pairs.append((question, replied))
    barrier = threading.Barrier(2)
    rests = [chance.random() * 0.01 for _ in range(2)]

    def feed(events: list[Event], rest: float) -> None:
        keeper = keeper_of(cases, journal)
        barrier.wait()
        for one in events:
            threading.Event().wait(rest)
            keeper.follow([one])

    with ThreadPoolExecutor(2) as pool:
        sides = [[q for q, _ in pairs], [a for _, a in pairs]]
        for one in [pool.submit(feed, side, rest) for side, rest in zip(sides, rests, strict=True)]:
            one.result()
    found = {case.posts[0]: case for case in stored(cases).values()}
    assert {post: case.first_response_at for post, case in found.items()} == {
        question.post.id: minutes(n + 3) for n, (question, _) in enumerate(pairs)
    }
    assert all(journal.case(case.id) == case for case in found.values())


def test_an_earlier_answer_replaces_a_later_one_and_others_do_not(cases: Cases, journal: Memory) -> None:
    keeper = keeper_of(cases, journal)
    keeper.follow([answer_to("x:1", 9, "x:late"), answer_to("x:1", -5, "x:before")])
    keeper.follow([event("x:1", [route("a")])])
    (case,) = stored(cases).values()
    assert case.first_response_at == minutes(9)
    keeper.follow([answer_to("x:1", 4, "x:early"), answer_to("x:other", 1, "x:elsewhere")])
    keeper.follow([answer_to("x:1", 20, "x:more")])
    (case,) = stored(cases).values()
    assert (case.first_response_at, case.history[-1].note) == (minutes(4), "by x:early")


def test_an_edit_without_route_and_a_deletion_reach_their_cases(cases: Cases, journal: Memory) -> None:
    keeper = keeper_of(cases, journal)
    keeper.follow([event(f"x:{n}", [route("a"), route("b")]) for n in range(3)])
    keeper.follow([event("x:0", deleted=True, at=5), event("x:1", [route("b")], edited_at=minutes(4), at=6)])
    states = {(case.posts[0], case.queue): case.state for case in stored(cases).values()}
    assert states == {
        ("x:0", "a"): "resolved",
        ("x:0", "b"): "resolved",
        ("x:1", "a"): "resolved",
        ("x:1", "b"): "new",
        ("x:2", "a"): "new",
        ("x:2", "b"): "new",
    }


def test_a_post_whose_thread_is_said_only_at_times_has_one_case(cases: Cases, journal: Memory) -> None:
    """Two connectors see the same post; one knows the thread."""
    for first, second in (("t", ""), ("", "u")):
        id = f"x:{first or second}"
        keeper = keeper_of(cases, journal)
        keeper.follow([event(id, [route("a")], thread=first)])
        keeper.follow([event(id, [route("a")], thread=second)])
    assert sorted(case.posts for case in stored(cases).values()) == [("x:t",), ("x:u",)]


def test_cases_come_from_the_journal_before_work_begins(
    client: Elasticsearch, elastic_settings: ElasticsearchSettings, cases: Cases, journal: Memory
) -> None:
    keeper_of(cases, journal).follow([event("x:1", [route("a")])])
    (case,) = stored(cases).values()
    cases.change([case.id], lambda _, c: work.take(c, "ann", minutes(1)), journal)  # type: ignore[arg-type]
    cases.freeze()
    with pytest.raises(RetryableError, match="takes no writes"):
        cases.change([case.id], lambda _, c: work.done(c, "ann", minutes(2)), journal)  # type: ignore[arg-type]
    cases.drop()
    with pytest.raises(NotReady, match="brought back from the log"):
        cases.get([case.id])

    def restore() -> None:
        cases.prepare()
        cases.fill([journal.case(case.id)])
        cases.finish()

    CaseKeeper(cases, journal, restore).follow([event("x:1", [route("a")]), event("x:2", [route("a")])])
    found = stored(cases)
    assert found[case.id].assignee == "ann"
    assert len(found) == 2


def test_mappings_are_closed(cases: Cases, client: Elasticsearch) -> None:
    """What a case holds beside its mapped fields is stored and not searchable."""
    mapping = client.indices.get_mapping(index=cases.store.index)[cases.store.index]["mappings"]
    assert mapping["dynamic"] == "false"
    assert not {"claims", "history"} & set(mapping["properties"])
