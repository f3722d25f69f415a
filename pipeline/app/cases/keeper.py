"""Keeps the cases in step with the events: what the index role does with a batch once its posts are written.

Repeats change nothing. Plain posts, which no rule routed and nobody changed, cost nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from pipeline.core.case import Case, cases_of
from pipeline.core.case_events import Told, answered, assign, follow
from pipeline.core.event import Event
from pipeline.core.version import change_of
from sinks.cases import Answer, Cases, Held, Journal, NotReady, post_key, thread_key

Marks = Mapping[str, tuple[Answer, ...]]


class _Met(Struct, frozen=True):
    """``ids`` are the cases where each post belongs, ``known`` those of them that are there, ``found`` what
    a search found besides."""

    ids: Mapping[str, Sequence[str]]
    known: Mapping[str, Held]
    found: Sequence[Case]


class CaseKeeper:
    """Takes batches of events of one partition, in their order; several threads may call it for several."""

    def __init__(self, cases: Cases, journal: Journal, restore: Callable[[], object]) -> None:
        """``restore`` fills an index of cases that is not there from the journal."""
        self._cases = cases
        self._journal = journal
        self._restore = restore
        self._was_ready = False

    def follow(self, events: Sequence[Event]) -> None:
        """Returns once all that follows from the events is in the index and in the journal.

        Raises RetryableError where a server is away: the same call may be repeated.
        """
        newest: dict[str, Event] = {}
        for event in events:
            if _matters(event) and event.version >= newest.get(event.post.id, event).version:
                newest[event.post.id] = event
        if not newest:
            return
        try:
            self._follow(list(newest.values()))
        except NotReady:
            self._restore()
            self._follow(list(newest.values()))

    def _follow(self, events: Sequence[Event]) -> None:
        if not self._was_ready:
            self._cases.get([])
            self._was_ready = True
        ours = [event for event in events if _is_answer(event)]
        # One of ours that changed may have been taken for somebody else's before.
        theirs = [event for event in events if event.post.direction == "inbound" or _is_changed(event)]
        # The mark stands before the case is looked for, and whoever opens a case looks for marks
        # afterwards: in any order one of the two sees the other.
        marks: dict[str, Sequence[Answer]] = {**_marks(ours)}
        if marks:
            self._cases.mark(marks)
        met = self._meet(theirs, ours)
        cases = {case.id: case for case in met.found}
        if theirs:
            changed = self._note_events(theirs, met)
            marks |= self._marks_of(theirs)
            cases |= changed
        self._note_answers(list(cases.values()), marks, events[-1])

    def _meet(self, theirs: Sequence[Event], ours: Sequence[Event]) -> _Met:
        """Reads and finds the cases that the events are about; looks for all at once, for each search has to
        have the index refreshed."""
        ids = {event.post.id: [id for id, _ in cases_of(event)] for event in theirs}
        read = list(dict.fromkeys(id for of_post in ids.values() for id in of_post))
        known = self._cases.get(read) if theirs else {}
        sought = [event.post.id for event in theirs if not _is_at_home(event, ids[event.post.id], known)]
        answered = [event.post.in_reply_to for event in ours if event.post.in_reply_to]
        threads = [event.post.thread for event in ours if event.post.thread]
        return _Met(ids, known, self._cases.holding([*sought, *answered], threads))

    def _note_events(self, events: Sequence[Event], met: _Met) -> dict[str, Case]:
        told = _told(events, met)
        known = dict(met.known)
        read = {id for of_post in met.ids.values() for id in of_post}
        if more := [id for id in told if id not in read]:
            known |= self._cases.get(more)

        def work(id: str, case: Case | None) -> Case | None:
            for one in told[id]:
                case = follow(id, case, one)
            return case

        return self._cases.change(told, work, self._journal, known)

    def _marks_of(self, events: Sequence[Event]) -> Marks:
        """The answers so far to the posts that a rule routes."""
        routed = [event for event in events if cases_of(event)]
        keys = {post_key(event.post.id) for event in routed}
        keys |= {thread_key(event.post.source, event.post.thread) for event in routed if event.post.thread}
        return self._cases.marks(sorted(keys)) if keys else {}

    def _note_answers(self, cases: Sequence[Case], marks: Mapping[str, Sequence[Answer]], by: Event) -> None:
        """Sets the time of the first response of those cases that the marks are about."""

        def work(_id: str, case: Case | None) -> Case | None:
            if case is None:
                return None
            for key in _keys(case):
                for answer in marks.get(key, ()):
                    case = answered(case, answer.at, answer.post, by.processed_at)
            return case

        meant = [case.id for case in cases if not marks.keys().isdisjoint(_keys(case))]
        self._cases.change(meant, work, self._journal)


def _told(events: Sequence[Event], met: _Met) -> dict[str, list[Told]]:
    """What each case hears."""
    told: defaultdict[str, list[Told]] = defaultdict(list)
    for event in events:
        post_id = event.post.id
        at_home = [met.known[id].case for id in met.ids[post_id] if id in met.known]
        holding = {case.id: case for case in (*met.found, *at_home) if post_id in case.claims}
        for id, one in assign(event, list(holding.values())):
            told[id].append(one)
    return told


def _matters(event: Event) -> bool:
    return bool(event.routes) or _is_changed(event) or _is_answer(event)


def _is_changed(event: Event) -> bool:
    return bool(change_of(event.version))


def _is_answer(event: Event) -> bool:
    post = event.post
    return post.direction == "outbound" and bool(post.in_reply_to or post.thread)


def _is_at_home(event: Event, ids: Sequence[str], known: Mapping[str, Held]) -> bool:
    """Whether the post is, unchanged, in the very cases where it belongs: nothing is to be looked for."""
    return not _is_changed(event) and all(
        id in known and event.post.id in known[id].case.claims for id in ids
    )


def _marks(ours: Sequence[Event]) -> dict[str, list[Answer]]:
    marks: defaultdict[str, list[Answer]] = defaultdict(list)
    for event in ours:
        post = event.post
        answer = Answer(post.id, post.created_at or post.collected_at or event.processed_at)
        if post.in_reply_to:
            marks[post_key(post.in_reply_to)].append(answer)
        if post.thread:
            marks[thread_key(post.source, post.thread)].append(answer)
    return marks


def _keys(case: Case) -> list[str]:
    """The keys under which answers to the case are marked."""
    keys = [post_key(post) for post in case.posts]
    return [*keys, thread_key(case.source, case.thread)] if case.thread else keys
