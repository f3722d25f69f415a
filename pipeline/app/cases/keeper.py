"""Keeps the cases in step with the events: what the index role does with a batch once its posts are written.

Repeats change nothing. Plain posts, which no rule routed and nobody changed, cost nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from pipeline.core.case import Case, cases_of, opens_cases
from pipeline.core.case_events import Told, answered, assign, follow
from pipeline.core.event import Event
from pipeline.core.version import change_of
from sinks.cases import Answer, Cases, Held, Journal, NotReady, post_key, thread_key

Marks = Mapping[str, tuple[Answer, ...]]


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
        cases = {id: held.case for id, held in met.items()}
        if theirs:
            changed = self._note_events(theirs, met)
            marks |= self._marks_of(theirs)
            cases |= changed
        self._note_answers(list(cases.values()), marks, events[-1])

    def _meet(self, theirs: Sequence[Event], ours: Sequence[Event]) -> dict[str, Held]:
        """Finds the cases that the events are about, all at once. What a search does not find is there only
        where somebody opens it this instant, or where it is a thread's and has not met the post yet."""
        posts = [event.post.id for event in theirs]
        answered = [event.post.in_reply_to for event in ours if event.post.in_reply_to]
        threads = [event.post.thread for event in ours if event.post.thread]
        met = self._cases.met([*posts, *answered], threads)
        joined = dict.fromkeys(id for event in theirs if event.post.thread for id, _ in cases_of(event))
        if unmet := [id for id in joined if id not in met]:
            met |= self._cases.get(unmet)
        return met

    def _note_events(self, events: Sequence[Event], met: Mapping[str, Held]) -> dict[str, Case]:
        told = _told(events, met)

        def work(id: str, case: Case | None) -> Case | None:
            for one in told[id]:
                case = follow(id, case, one)
            return case

        return self._cases.change(told, work, self._journal, met)

    def _marks_of(self, events: Sequence[Event]) -> Marks:
        """The answers so far to the posts that a rule routes."""
        routed = [event for event in events if opens_cases(event)]
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


def _told(events: Sequence[Event], met: Mapping[str, Held]) -> dict[str, list[Told]]:
    """What each case hears."""
    holding: defaultdict[str, list[Case]] = defaultdict(list)
    for held in met.values():
        for post_id in held.case.claims:
            holding[post_id].append(held.case)
    told: defaultdict[str, list[Told]] = defaultdict(list)
    for event in events:
        for id, one in assign(event, holding.get(event.post.id, ())):
            told[id].append(one)
    return told


def _matters(event: Event) -> bool:
    return bool(event.routes) or _is_changed(event) or _is_answer(event)


def _is_changed(event: Event) -> bool:
    return bool(change_of(event.version))


def _is_answer(event: Event) -> bool:
    post = event.post
    return post.direction == "outbound" and bool(post.in_reply_to or post.thread)


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
