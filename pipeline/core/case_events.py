"""What events do to cases: open them, join them, change what nobody has worked on yet, note answers.

Pure, and indifferent to repeats. While no person has touched a case, its queue, priority and state
follow from the claims of its posts alone; from then on events only add to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct, structs

from pipeline.core.case import Case, Claim, case_id, cases_of, change
from pipeline.core.event import Event, Route
from pipeline.core.version import edit_of


class Told(Struct, frozen=True, kw_only=True):
    """What one event tells one case. Without ``route`` the post has no business in it any more."""

    event: Event
    route: Route | None
    split: str = ""

    @property
    def written_at(self) -> datetime:
        """When the post was written, as far as that is known."""
        post = self.event.post
        return post.created_at or post.collected_at or self.event.processed_at

    @property
    def claim(self) -> Claim:
        """What the post asks of the case."""
        customer = self.event.customer.id if self.event.customer else ""
        claim = Claim(version=self.event.version, customer=customer)
        if self.route is None:
            return claim
        route = self.route
        return structs.replace(
            claim, queue=route.queue, priority=route.priority, rule=route.rule, due_at=route.due_at
        )


def assign(event: Event, holding: Sequence[Case]) -> list[tuple[str, Told]]:
    """Which cases hear of an event, each once: those that hold its post, then those of its routes.

    A case that holds the post keeps the route to the queue that the post had there; a route without
    such a case takes one that is free before it gets a new one. What is left has lost its route.
    """
    post_id = event.post.id
    free = sorted(holding, key=lambda case: (case.split != "", case.id))
    told: list[tuple[str, Told]] = []
    unmet: list[tuple[str, Route]] = []
    routed = cases_of(event)
    for id, route in routed:
        same = next((case for case in free if case.claims[post_id].queue == route.queue), None)
        if same is None:
            unmet.append((id, route))
            continue
        free.remove(same)
        told.append((same.id, Told(event=event, route=route)))
    for id, route in unmet:
        if free:
            told.append((free.pop(0).id, Told(event=event, route=route)))
            continue
        taken = any(id == other for other, _ in told)
        split = "" if not taken and id == routed[0][0] else route.queue
        if split and route is routed[0][1]:
            # The conversation's own case has it already: it gets one as a further route has.
            id = case_id(event.post.author.id, event.post.thread or post_id, split)
        told.append((id, Told(event=event, route=route, split=split)))
    return told + [(case.id, Told(event=event, route=None)) for case in free]


def follow(id: str, case: Case | None, told: Told) -> Case | None:
    """The case after what it is told; the very same where that is no news, None where there is none."""
    if case is None:
        return _opened(id, told) if told.route else None
    known = case.claims.get(told.event.post.id)
    if known is None:
        return _joined(case, told) if told.route else case
    if told.event.version <= known.version:
        return case
    return _updated(case, known, told)


def answered(case: Case, answer_at: datetime, by_post: str, now: datetime) -> Case:
    """The case with the time of an answer of ours, where that is the first since its first post."""
    if case.asked_at is not None and answer_at < case.asked_at:
        return case
    if case.first_response_at is not None and case.first_response_at <= answer_at:
        return case
    return change(case, "answered", now, note=f"by {by_post}", first_response_at=answer_at)


def _opened(id: str, told: Told) -> Case:
    event, route = told.event, told.route
    assert route is not None
    claim = told.claim
    return change(
        Case(id=id),
        "opened",
        event.processed_at,
        source=event.post.source,
        author_id=event.post.author.id,
        thread=event.post.thread,
        split=told.split,
        queue=route.queue,
        priority=route.priority,
        rule=route.rule,
        opened_at=event.processed_at,
        asked_at=told.written_at,
        due_at=route.due_at,
        customer_id=claim.customer,
        claims={event.post.id: claim},
    )


def _joined(case: Case, told: Told) -> Case:
    """A further post of the author in the thread."""
    at, claim = told.event.processed_at, told.claim
    claims = {told.event.post.id: claim}
    to: dict[str, Any] = {"claims": claims, "customer_id": _customer(case.claims | claims)}
    if case.asked_at is None or told.written_at < case.asked_at:
        to["asked_at"] = told.written_at
    if not case.touched:
        to |= _by_claims(case, case.claims | claims, at)
    elif case.state == "resolved":
        to |= {"state": "new", "assignee": "", "resolved_at": None, "due_at": claim.due_at}
        to["priority"] = min(case.priority, claim.priority)
    elif case.state == "waiting":
        # What its assignee waited for has come.
        to["state"] = "taken"
    elif case.state == "new":
        to["priority"] = min(case.priority, claim.priority)
    reopened = case.state == "resolved"
    note = "the author wrote again" if case.state in ("resolved", "waiting") else ""
    return change(case, "reopened" if reopened else "joined", at, note=note, **to)


def _updated(case: Case, known: Claim, told: Told) -> Case:
    """A newer state of a post that the case knows."""
    post, at, claim = told.event.post, told.event.processed_at, told.claim
    if post.deleted:
        # Whose post it was does not change by its deletion.
        claim = structs.replace(claim, customer=known.customer)
    if claim.queue == known.queue:
        # The promise counts from the first time that the post came.
        claim = structs.replace(claim, due_at=known.due_at)
    edited = edit_of(told.event.version) != edit_of(known.version)
    if not edited and structs.replace(claim, version=known.version) == known:
        return case
    claims = case.claims | {post.id: claim}
    to: dict[str, Any] = {"claims": {post.id: claim}, "customer_id": _customer(claims)}
    if not case.touched:
        to |= _by_claims(case, claims, at)
    did = "deleted" if post.deleted else "edited" if edited else "updated"
    note = f"{post.id} was deleted by its author" if post.deleted else ""
    if to.get("state") == "resolved" and case.state != "resolved":
        did = "resolved"
        note = note or "no rule routes its posts any more"
    elif to.get("state") == "new" and case.state == "resolved":
        did = "reopened"
    return change(case, did, at, note=note, **to)


def _by_claims(case: Case, claims: Mapping[str, Claim], at: datetime) -> dict[str, Any]:
    """What follows from the claims for a case that nobody has touched, whatever the order in which the posts
    came: the queue of the most pressing, and the promise that ends first; none is routed, and it is done."""
    routed = [(claim.priority, id) for id, claim in claims.items() if claim.queue]
    if not routed:
        return {"state": "resolved", "resolved_at": case.resolved_at or at}
    priority, pressing = min(routed)
    promises = [promise for _, id in routed if (promise := claims[id].due_at)]
    return {
        "state": "new",
        "resolved_at": None,
        "queue": claims[pressing].queue,
        "rule": claims[pressing].rule,
        "due_at": min(promises, default=None),
        "priority": priority,
    }


def _customer(claims: Mapping[str, Claim]) -> str:
    """The customer of the newest post that has one."""
    return next((claim.customer for claim in reversed(list(claims.values())) if claim.customer), "")
