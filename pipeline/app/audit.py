"""The topics held against the index: every post has exactly one outcome; what breaks the sum is named.

Counted from the log and the index alone; no process is asked what it thinks it did. Safe beside a
running daemon: what is still on its way counts as in flight.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set

from msgspec import Struct

from pipeline.core.newest import lifted
from pipeline.core.version import change_of, is_deletion


class Document(Struct, frozen=True):
    """What the index says of one id."""

    version: int
    index: str
    deleted: bool
    has_text: bool


class Finding(Struct, frozen=True):
    """Something that must not be: the id it concerns, and what is wrong in one sentence."""

    id: str
    fault: str


class Ledger(Struct):
    """Every distinct (id, version) of the posts topic by its outcome, and the repeats beside.

    The sum: records = applied + superseded + deleted + rejected + expired + in_flight + duplicates + lost.
    ``expired`` are past their time by the settings of retention, whatever was done with them when they came.
    ``refused_before`` counts lines that never became a record, because replay or a connector refused them.
    """

    records: int = 0
    applied: int = 0
    superseded: int = 0
    deleted: int = 0
    rejected: int = 0
    expired: int = 0
    in_flight: int = 0
    duplicates: int = 0
    lost: int = 0
    refused_before: int = 0


class Taken:
    """The posts topic, as far as it is to be accounted for: fed record by record, those of an id in order."""

    def __init__(self) -> None:
        self.records = 0
        self.in_flight = 0
        self.expired = 0
        self.waiting: set[str] = set()
        self.refused: dict[str, str] = {}
        self.refusals = 0
        self.arrivals: dict[str, list[int]] = {}

    def enter(self, post_id: str, version: int, *, in_flight: bool, expired: bool = False) -> None:
        """One record that is a valid post, by the version that the record itself gives it; ``in_flight``
        when the enrich role has not confirmed it, ``expired`` when it is past its time."""
        self.records += 1
        if in_flight:
            self.in_flight += 1
            self.waiting.add(post_id)
            return
        if expired:
            self.expired += 1
            return
        self.arrivals.setdefault(post_id, []).append(version)

    def enter_invalid(self, rejection_id: str, origin: str, *, in_flight: bool) -> None:
        """One record that no post can be read from; a rejection of that id must exist."""
        self.records += 1
        if in_flight:
            self.in_flight += 1
            return
        self.refusals += 1
        self.refused[rejection_id] = origin


class States(Struct):
    """The states of one post, each once: those that were rejected, and those that enrich published or
    passed over, under the versions that it gave them. ``newest`` is the newest of these, -1 where none is."""

    rejected: set[int]
    versions: set[int]
    newest: int


def states_of(
    post_id: str, arrivals: Sequence[int], unpublished: Set[tuple[str, int]], emitted: int
) -> States:
    """What enrich made of a post's records, in their order: see :func:`pipeline.core.newest.lifted`.

    ``unpublished`` are the states that enrich refused; ``emitted`` is the post's newest in the
    log, -1 where it has none. Its operation may come of a re-link that the posts topic no longer holds.
    """
    found = States(rejected=set(), versions=set(), newest=-1)
    published = 0
    if emitted >= 0 and all(change_of(version) != change_of(emitted) for version in arrivals):
        published = emitted
    for arrived in arrivals:
        if (post_id, arrived) in unpublished:
            found.rejected.add(arrived)
            continue
        version = lifted(arrived, published)
        published = max(published, version)
        found.versions.add(version)
        found.newest = max(found.newest, version)
    return found


class Emitted:
    """The events topic: the newest version an id, and the ids with events that are not yet confirmed.
    ``outlived`` are posts whose last event is of an older state than one before it, with its version."""

    def __init__(self) -> None:
        self.newest: dict[str, int] = {}
        self.outlived: dict[str, int] = {}
        self.waiting: set[str] = set()
        self.routed: set[str] = set()
        self.expired: set[str] = set()

    def enter(self, post_id: str, version: int, *, in_flight: bool, routed: bool = False) -> None:
        """One event; ``routed`` when it belongs into a case."""
        self.expired.discard(post_id)
        newest = self.newest.get(post_id, -1)
        if change_of(version) < change_of(newest):
            self.outlived[post_id] = version
        else:
            self.outlived.pop(post_id, None)
        if version >= newest:
            self.newest[post_id] = version
            (self.routed.add if routed else self.routed.discard)(post_id)
        if in_flight:
            self.waiting.add(post_id)

    def expire(self, post_id: str) -> None:
        """An event that is past its time: the index may hold it still, or no longer."""
        self.purge(post_id)
        self.expired.add(post_id)

    def purge(self, post_id: str) -> None:
        """A tombstone: the log is done with this post."""
        self.expired.discard(post_id)
        self.outlived.pop(post_id, None)
        self.newest.pop(post_id, None)
        self.routed.discard(post_id)


class Refusals(Struct):
    """What stands in the rejected topic: ids of rejections, and which states of which posts they are of.

    ``unpublished`` holds those of the states that enrich refused, ``before`` the ids of those that were
    refused on the way into the posts topic.
    """

    ids: set[str]
    states: set[tuple[str, int]]
    unpublished: set[tuple[str, int]]
    before: set[str]


def balance(
    taken: Taken, emitted: Emitted, refusals: Refusals, documents: Mapping[str, Document]
) -> tuple[Ledger, list[Finding]]:
    """The ledger, and all that breaks it. ``documents`` is the index, id to document."""
    ledger = Ledger(
        records=taken.records,
        in_flight=taken.in_flight,
        rejected=taken.refusals,
        expired=taken.expired,
        refused_before=len(refusals.before),
    )
    findings = [
        Finding(origin, "is no valid post and stands in no rejection")
        for rejection_id, origin in taken.refused.items()
        if rejection_id not in refusals.ids
    ]
    for post_id, arrivals in taken.arrivals.items():
        newest = emitted.newest.get(post_id, -1)
        states = states_of(post_id, arrivals, refusals.unpublished, newest)
        ledger.rejected += len(states.rejected)
        ledger.duplicates += len(arrivals) - len(states.rejected) - len(states.versions)
        waits = post_id in emitted.waiting or post_id in taken.waiting
        for version in states.versions:
            if (post_id, version) in refusals.states:
                ledger.rejected += 1
            elif waits:
                ledger.in_flight += 1
            elif version < max(states.newest, newest):
                ledger.superseded += 1
            else:
                _settle(ledger, post_id, version, (newest, documents.get(post_id)), findings)
    findings += _between_log_and_index(emitted, refusals, documents)
    return ledger, findings


def _settle(
    ledger: Ledger, post_id: str, version: int, stores: tuple[int, Document | None], findings: list[Finding]
) -> None:
    """Books the newest state of one post, held against its newest in the log and its document."""
    newest, document = stores
    if newest != version:
        ledger.lost += 1
        findings.append(Finding(post_id, f"version {version} was taken in but never became an event"))
    elif document is None or document.version < version:
        ledger.lost += 1  # named by the comparison of log and index
    elif is_deletion(version):
        ledger.deleted += 1
    else:
        ledger.applied += 1


def _between_log_and_index(
    emitted: Emitted, refusals: Refusals, documents: Mapping[str, Document]
) -> list[Finding]:
    findings = [
        Finding(
            post_id,
            f"ends in the log with version {version}, behind {emitted.newest[post_id]}, which compaction"
            " will forget: send its newest state once more with `groundswell replay`",
        )
        for post_id, version in emitted.outlived.items()
        if post_id not in emitted.waiting
    ]
    for post_id, version in emitted.newest.items():
        if post_id in emitted.waiting or (post_id, version) in refusals.states:
            continue
        document = documents.get(post_id)
        if document is None:
            findings.append(Finding(post_id, "is in the log but not in the index"))
        elif _stale(document.version, version):
            findings.append(
                Finding(post_id, f"has version {document.version} in the index but {version} in the log")
            )
        elif is_deletion(version) and (not document.deleted or document.has_text):
            findings.append(Finding(post_id, "is deleted in the log, but the index still holds what it said"))
    strangers = documents.keys() - emitted.newest.keys() - emitted.waiting - emitted.expired
    findings += [Finding(post_id, "is in the index but not in the log") for post_id in sorted(strangers)]
    return findings


def _stale(indexed: int, logged: int) -> bool:
    """Whether index and log disagree. A newer observation of the same text in the index is no fault: an
    archive replayed without the times of collection puts an older one behind it in the log."""
    return indexed < logged or change_of(indexed) != change_of(logged)


def persisting(first: Iterable[Finding], second: Iterable[Finding]) -> list[Finding]:
    """What two audits in a row found about the same ids: the rest was a daemon at work in between."""
    ids = {finding.id for finding in first}
    return [finding for finding in second if finding.id in ids]
