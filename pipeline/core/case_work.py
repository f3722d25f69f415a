"""What people do with cases, as pure functions: the case after it, the very same where nothing changes.

Each raises :class:`pipeline.core.case.Refused` where it cannot be done, with who stands in the way.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pipeline.core.case import Case, Refused, change
from pipeline.core.errors import ConfigError
from pipeline.core.schema import suggestion

VERBS = ("list", "show", "take", "done", "release", "move", "wait", "note")
"""Words of the command ``groundswell queue``: no queue may have such a name."""

LONGEST_NAME = 100
LONGEST_NOTE = 2000


def person(name: str) -> str:
    """The name of whoever works, without blanks around it. Raises ConfigError where it is none."""
    name = name.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise ConfigError(
            f"--as takes a name of 1 to {LONGEST_NAME} printable characters: say who works on the case"
        )
    return name


def remark(text: str) -> str:
    """A note, without blanks around it. Raises ConfigError where it is too long."""
    text = text.strip()
    if len(text) > LONGEST_NOTE:
        raise ConfigError(
            f"a note has at most {LONGEST_NOTE} characters, this one {len(text)}: make it shorter"
        )
    return text


def take(case: Case, by: str, at: datetime, note: str = "") -> Case:
    """Makes the case that person's own. One that is resolved is opened again by it."""
    if case.assignee and case.assignee != by and case.state != "resolved":
        raise _held(case)
    return change(case, "took", at, by=by, note=note, state="taken", assignee=by, resolved_at=None)


def done(case: Case, by: str, at: datetime, note: str = "") -> Case:
    """Resolves the case; ``assignee`` is then who did it."""
    if case.state == "resolved":
        return change(case, "noted", at, by=by, note=note)
    _refuse_others(case, by)
    return change(case, "resolved", at, by=by, note=note, state="resolved", assignee=by, resolved_at=at)


def release(case: Case, by: str, at: datetime, note: str = "") -> Case:
    """Gives the case back to its queue. Anybody may, for people fall ill; the history tells who."""
    _refuse_resolved(case)
    return change(case, "released", at, by=by, note=note, state="new", assignee="")


def wait(case: Case, by: str, at: datetime, note: str = "") -> Case:
    """The case waits for its author; it is that person's own until then."""
    _refuse_resolved(case)
    _refuse_others(case, by)
    return change(case, "waits", at, by=by, note=note, state="waiting", assignee=by)


def move(  # noqa: PLR0913 - who, when, where to and why
    case: Case,
    queue: str,
    by: str,
    at: datetime,
    note: str = "",
    *,
    queues: Mapping[str, int],
    priority: int | None = None,
) -> Case:
    """Puts the case into another queue, where it waits for anybody. ``queues`` are all that exist, with
    their priorities, of which that of the queue counts unless one is given."""
    if queue not in queues:
        hint = suggestion(queue, queues) or ": see `groundswell queue`"
        raise Refused(f"there is no queue `{queue}`{hint}", "queue")
    _refuse_resolved(case)
    _refuse_others(case, by)
    wanted = queues[queue] if priority is None else priority
    if (case.queue, case.priority) == (queue, wanted) or (case.queue == queue and priority is None):
        return change(case, "noted", at, by=by, note=note)
    return change(case, "moved", at, by=by, note=note, queue=queue, priority=wanted, state="new", assignee="")


def add_note(case: Case, by: str, at: datetime, note: str) -> Case:
    """Adds a note, and changes nothing else."""
    return change(case, "noted", at, by=by, note=note)


def _refuse_others(case: Case, by: str) -> None:
    if case.assignee and case.assignee != by:
        raise _held(case)


def _refuse_resolved(case: Case) -> None:
    if case.state == "resolved":
        since = f" since {_clock(case.resolved_at)}" if case.resolved_at else ""
        raise Refused(
            f"case {case.id} is resolved{since}: `groundswell queue take {case.id}` opens it again",
            "resolved",
        )


def _held(case: Case) -> Refused:
    since = next(
        (step.at for step in reversed(case.history) if step.after.assignee == case.assignee), case.updated_at
    )
    return Refused(
        f"{case.assignee} has case {case.id} since {_clock(since)}: ask them, or free it with"
        f" `groundswell queue release {case.id}`",
        "held",
    )


def _clock(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else "an unknown time"
