"""Cases under audit: held against their journal, against the routed posts, and against each other.

Pure: what is gathered from the log and the index comes as arguments.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from pipeline.app.audit import Finding
from pipeline.core.case import Case
from pipeline.core.version import edit_of


def weigh(
    cases: Mapping[str, Case], journal: Mapping[str, Case], routed: Iterable[str], versions: Mapping[str, int]
) -> list[Finding]:
    """All that breaks the sum. ``journal`` are the cases as their steps tell them, ``routed`` the posts
    that some rule sends to a queue and that the index has, ``versions`` those of the posts in the index, but
    for posts that cases are still to hear of."""
    findings = [*_against_journal(cases, journal)]
    holding: defaultdict[str, list[Case]] = defaultdict(list)
    for case in cases.values():
        for post in case.posts:
            holding[post].append(case)
    findings += [Finding(post, "is routed and has no case") for post in routed if post not in holding]
    for post, held in holding.items():
        findings += _doubled(post, held)
        findings += _outdated(post, held, versions.get(post, 0))
    return findings


def _outdated(post: str, held: Iterable[Case], version: int) -> Iterable[Finding]:
    """A case asks for what a post no longer says: somebody late has opened it, and nobody told it since."""
    for case in held:
        claim = case.claims[post]
        if claim.queue and edit_of(claim.version) < edit_of(version):
            yield Finding(
                post,
                f"has case {case.id} by a state of it that was edited or deleted since: `groundswell"
                " rebuild --keep` tells the case",
            )


def _against_journal(cases: Mapping[str, Case], journal: Mapping[str, Case]) -> Iterable[Finding]:
    for id, case in cases.items():
        told = journal.get(id)
        if told is None:
            yield Finding(id, "is a case in the index of which the journal knows nothing")
        elif told.revision < case.revision:
            yield Finding(
                id, f"is a case at revision {case.revision}, but its journal ends with {told.revision}"
            )
        elif told != case:
            yield Finding(id, "is a case that differs from its journal")
    for id in journal.keys() - cases.keys():
        yield Finding(id, "is a case in the journal but not in the index")


def _doubled(post: str, held: list[Case]) -> Iterable[Finding]:
    """A post may be in several cases, but not twice in the same role."""
    roles: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for case in held:
        roles["conversation", case.split].append(case.id)
        if queue := case.claims[post].queue:
            roles["queue", queue].append(case.id)
    for (role, name), ids in roles.items():
        if len(ids) > 1:
            where = f"queue {name}" if role == "queue" else "one conversation"
            yield Finding(post, f"is in {len(ids)} cases of {where}: {', '.join(sorted(ids))}")
