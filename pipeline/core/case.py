"""A case: what support works on, and nothing that anybody wrote; always the sum of its history.

Every change is a :class:`Step` that says what was before and what is after, so a case can be folded
from its steps alone (`fold`). Here is the form; what events do to cases is in
:mod:`pipeline.core.case_events`, what people do in :mod:`pipeline.core.case_work`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType, structs

from pipeline.core.errors import GroundswellError, RejectedError
from pipeline.core.event import Event, Route
from pipeline.core.post import Time
from pipeline.core.wire import Reader, Upgrade, newer

SCHEMA = 1
"""Version of the wire form of the journal; a higher one is refused, a missing one means 1."""

BEFORE: Upgrade | None = None
"""Turns the form of the schema before into this one's, where they differ."""

State = Literal["new", "taken", "waiting", "resolved"]
OPEN: tuple[State, ...] = ("new", "taken", "waiting")
"""All states of a case that is not done."""

RULES = ""
"""Stands in ``Step.by`` where no person acted, but a rule or an event."""


class Refused(GroundswellError):
    """What somebody wants to do with a case cannot be; the message says why and what to do.

    ``reason`` is a short stable code: held, resolved, queue.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class Claim(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What one post asks of one case, by its newest state that counted. No ``queue``: nothing any more."""

    version: int
    queue: str = ""
    priority: int = 0
    rule: str = ""
    due_at: Time | None = None
    customer: str = ""


class Changes(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Values of those fields of a case that a step touched. ``claims`` are only those of its posts."""

    source: str | UnsetType = UNSET
    author_id: str | UnsetType = UNSET
    thread: str | UnsetType = UNSET
    split: str | UnsetType = UNSET
    queue: str | UnsetType = UNSET
    priority: int | UnsetType = UNSET
    state: State | UnsetType = UNSET
    assignee: str | UnsetType = UNSET
    rule: str | UnsetType = UNSET
    opened_at: Time | UnsetType | None = UNSET
    asked_at: Time | UnsetType | None = UNSET
    due_at: Time | UnsetType | None = UNSET
    first_response_at: Time | UnsetType | None = UNSET
    resolved_at: Time | UnsetType | None = UNSET
    customer_id: str | UnsetType = UNSET
    incident: str | UnsetType = UNSET
    claims: dict[str, Claim] | UnsetType = UNSET


NOTHING = Changes()


class Step(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One change: the revision that it made, when, by whom (empty: a rule or an event), what, and why."""

    revision: int
    at: Time
    by: str = RULES
    did: str
    note: str = ""
    before: Changes = NOTHING
    after: Changes = NOTHING


class Case(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The sum of ``history``. Times are aware and in UTC.

    ``split`` is the queue where a case stands beside the first one of its conversation, else empty.
    ``asked_at`` is when its earliest post was written. ``claims`` are by post id, in the order in which
    the posts came; ``posts`` are their ids.
    """

    id: str
    queue: str = ""
    priority: int = 0
    state: State = "new"
    assignee: str = ""
    rule: str = ""
    opened_at: Time | None = None
    asked_at: Time | None = None
    due_at: Time | None = None
    first_response_at: Time | None = None
    resolved_at: Time | None = None
    updated_at: Time | None = None
    posts: tuple[str, ...] = ()
    source: str = ""
    author_id: str = ""
    thread: str = ""
    split: str = ""
    customer_id: str = ""
    incident: str = ""
    revision: int = 0
    claims: dict[str, Claim] = {}
    history: tuple[Step, ...] = ()

    @property
    def touched(self) -> bool:
        """Whether a person ever worked on it: rules then leave its queue and state alone."""
        return any(step.by != RULES for step in self.history)

    def late(self, now: datetime) -> bool:
        """Whether its first response is overdue."""
        due = self.due_at is not None and self.first_response_at is None and self.state != "resolved"
        return due and self.due_at is not None and self.due_at < now


class Entry(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A step as it stands in the journal."""

    case: str
    step: Step
    # 1 for ever, for a missing number means 1; a later schema is written out.
    schema: int = 1

    def __post_init__(self) -> None:
        if self.schema > SCHEMA:
            raise newer(self.schema, SCHEMA)

    @property
    def key(self) -> str:
        """Its key in the journal: a repeat replaces itself."""
        return f"{self.case}/{self.step.revision}"


_encode = msgspec.json.Encoder().encode
_FIELDS = frozenset(field.name for field in structs.fields(Changes)) - {"claims"}


def case_id(author_id: str, conversation: str, queue: str = "") -> str:
    """The id of the case of an author's conversation (a thread, or the id of a post without one).

    ``queue`` is given for the cases that further routes of an event have of their own. 16 characters.
    """
    said = _encode([author_id, conversation, queue])
    return blake2b(said, digest_size=8).hexdigest()


def opens_cases(event: Event) -> bool:
    """Whether `cases_of` has any, without reckoning their ids."""
    return bool(event.routes) and not event.post.deleted and event.post.direction != "outbound"


def cases_of(event: Event) -> list[tuple[str, Route]]:
    """The case of each route of an event, by id: the first route has that of the conversation, each
    further one its own. None for deletions and for posts of our own accounts."""
    if not opens_cases(event):
        return []
    post = event.post
    conversation = post.thread or post.id
    return [
        (case_id(post.author.id, conversation, route.queue if number else ""), route)
        for number, route in enumerate(event.routes)
    ]


def change(case: Case, did: str, at: datetime, *, by: str = RULES, note: str = "", **to: Any) -> Case:
    """The case after one step. ``to`` are new values by field, ``claims`` those of some posts.

    Fields that keep their value are left out of the step; without any change, and without a note, it is
    the very same case.
    """
    claims = {post: claim for post, claim in to.pop("claims", {}).items() if case.claims.get(post) != claim}
    after = {name: value for name, value in to.items() if getattr(case, name) != value}
    before = {name: getattr(case, name) for name in after}
    if claims:
        after["claims"] = claims
        if known := {post: case.claims[post] for post in claims if post in case.claims}:
            before["claims"] = known
    if not after and not note:
        return case
    step = Step(
        revision=case.revision + 1,
        at=at,
        by=by,
        did=did,
        note=note,
        before=Changes(**before) if case.revision else NOTHING,
        after=Changes(**after),
    )
    return apply(case, step)


def apply(case: Case, step: Step) -> Case:
    """The case with one more step."""
    values = {name: value for name in _FIELDS if (value := getattr(step.after, name)) is not UNSET}
    if isinstance(step.after.claims, dict):
        values["claims"] = case.claims | step.after.claims
        values["posts"] = tuple(values["claims"])
    return structs.replace(
        case, **values, revision=step.revision, updated_at=step.at, history=(*case.history, step)
    )


def fold(id: str, steps: Iterable[Step]) -> Case:
    """The case of that id after all its steps, which are in the order of their revisions."""
    case = Case(id=id)
    for step in steps:
        case = apply(case, step)
    return case


def as_one(before: Case | None, after: Case) -> Case:
    """``after`` with everything that happened since ``before`` told as a single step.

    A stored case is changed one revision at a time: that is what keeps two writers apart.
    """
    known = before.history if before else ()
    steps = after.history[len(known) :]
    if len(steps) < 2:
        return after
    did = next((step.did for step in steps if step.did in ("opened", "reopened")), steps[-1].did)
    notes = dict.fromkeys(step.note for step in steps if step.note)
    step = Step(
        revision=len(known) + 1,
        at=steps[-1].at,
        by=steps[-1].by,
        did=did,
        note="; ".join(notes),
        before=_merged(reversed([step.before for step in steps])) if before else NOTHING,
        after=_merged(step.after for step in steps),
    )
    return apply(before or Case(id=after.id), step)


def _merged(parts: Iterable[Changes]) -> Changes:
    """All parts in one, the later ones before the earlier ones."""
    values: dict[str, Any] = {}
    claims: dict[str, Claim] = {}
    for part in parts:
        values |= {name: value for name in _FIELDS if (value := getattr(part, name)) is not UNSET}
        claims |= part.claims if isinstance(part.claims, dict) else {}
    return Changes(**values, claims=claims or UNSET)


_decode: Reader[Entry] = Reader(Entry, SCHEMA, BEFORE)


def decode_entry(raw: bytes) -> Entry:
    """Reads one record of the journal; raises RejectedError with the path of the fault."""
    try:
        return _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RejectedError(f"no valid step of a case: {error}", "invalid") from None


def encode_entry(entry: Entry) -> bytes:
    """The JSON form of a record of the journal."""
    return _encode(entry)


def document_of(case: Case, journaled: int, written_at: datetime | None = None) -> dict[str, object]:
    """The case as readers of the index see it; ``journaled`` is the revision up to which the journal is
    known to hold its steps, ``written_at`` the time of this write where it is one of work.

    Claims are pairs of post and claim there, for Elasticsearch remembers every name of a field that it meets:
    with ids for names, each case cost it more than the post itself.
    """
    document: dict[str, object] = structs.asdict(case)
    document["claims"] = list(case.claims.items())
    document["history"] = [
        structs.replace(step, before=_paired(step.before), after=_paired(step.after)) for step in case.history
    ]
    document["author"] = {"id": document.pop("author_id")}
    customer = document.pop("customer_id")
    if customer:
        document["customer"] = {"id": customer}
    kept = {name: value for name, value in document.items() if value not in ("", None)}
    kept |= {"priority": case.priority, "journaled": journaled}
    return kept if written_at is None else kept | {"written_at": written_at}


def case_from(document: Mapping[str, Any]) -> tuple[Case, int]:
    """Case and ``journaled`` of a document; RejectedError where it is none."""
    flat = dict(document)
    flat["author_id"] = flat.pop("author", {}).get("id", "")
    flat["customer_id"] = flat.pop("customer", {}).get("id", "")
    journaled: int = flat.pop("journaled", 0)
    flat = _keyed(flat)
    flat["history"] = [
        {name: _keyed(value) if name in ("before", "after") else value for name, value in step.items()}
        for step in flat.get("history", ())
    ]
    try:
        return msgspec.convert(flat, Case), journaled
    except msgspec.ValidationError as error:
        raise RejectedError(f"case {document.get('id')}: {error}", "invalid") from None


def _paired(changes: Changes) -> Changes:
    """Of another form than its type says: only for being written."""
    if changes.claims is UNSET:
        return changes
    return structs.replace(changes, claims=list(changes.claims.items()))


def _keyed(table: dict[str, Any]) -> dict[str, Any]:
    """The claims by post. A document of an earlier version has them so already."""
    claims = table.get("claims")
    return {**table, "claims": dict(claims)} if isinstance(claims, list) else table
