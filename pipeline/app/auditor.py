"""Gathers what an audit weighs: both topics, the rejections, the committed offsets and the index."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from elasticsearch import Elasticsearch
from msgspec import Struct

from pipeline.app.audit import Document, Emitted, Finding, Ledger, Refusals, Taken, balance, persisting
from pipeline.app.brokers import Brokers
from pipeline.app.cases.audit import weigh
from pipeline.app.cases.journal import folded, journaled
from pipeline.app.index_reader import documents
from pipeline.app.log_reader import read_topic
from pipeline.app.offsets import Span, spans
from pipeline.app.rejections import told
from pipeline.app.site import group, now
from pipeline.app.topics import Topics, admin_client, topics_of
from pipeline.core.case import Case, cases_of, fold
from pipeline.core.errors import RejectedError
from pipeline.core.event import decode_event
from pipeline.core.headers import operation_of
from pipeline.core.post import decode_post
from pipeline.core.rejection import Rejection, Strike, identity_under, payload_of, rejection_id
from pipeline.core.retention import Expiry
from pipeline.core.settings import Settings
from pipeline.core.version import version_of
from sinks.cases import Cases


class Auditor(Struct, frozen=True):
    """One installation under audit."""

    settings: Settings
    brokers: Brokers
    client: Elasticsearch

    def audit(self) -> tuple[Ledger, list[Finding]]:
        """The ledger and its findings; a finding counts when two audits in a row agree on it."""
        ledger, findings = self._once()
        if not findings:
            return ledger, []
        ledger, again = self._once()
        return ledger, persisting(findings, again)

    def _once(self) -> tuple[Ledger, list[Finding]]:
        topics = topics_of(self.settings.kafka)
        # In the order of the way of a post: whatever moves on meanwhile is then found further down.
        enriched, indexed = self._progress(topics)
        expiry = self.settings.expiry(now())
        taken = self._taken(topics, enriched, expiry)
        emitted = self._emitted(topics, indexed, expiry)
        refusals = self._refusals(topics)
        found, doubled = self._documents()
        # A month that is about to be dropped: what is in it is no stranger.
        emitted.expired.update(id for id, document in found.items() if expiry.index(document.index))
        ledger, findings = balance(taken, emitted, refusals, found)
        return ledger, findings + doubled + self._cases(topics, emitted, found)

    def _cases(self, topics: Topics, emitted: Emitted, found: Mapping[str, Document]) -> list[Finding]:
        cases = Cases(self.client, self.settings.elasticsearch)
        cases.store.refresh()
        # First the index: what is written meanwhile is then in the journal already, and more.
        held = {held.case.id: held.case for held in cases.all()}
        journal = {
            case.id: case if (known := held.get(case.id)) is None else _as_of(case, known.revision)
            for case in folded(journaled(self.brokers, topics))
        }
        routed = [post for post in emitted.routed - emitted.waiting if post in found]
        settled = {id: one.version for id, one in found.items() if id not in emitted.waiting}
        return weigh(held, journal, sorted(routed), settled)

    def _progress(self, topics: Topics) -> tuple[Mapping[int, Span], Mapping[int, Span]]:
        admin = admin_client(self.brokers)
        try:
            return (
                spans(admin, topics.posts.name, group(self.settings, "enrich")),
                spans(admin, topics.events.name, group(self.settings, "index")),
            )
        finally:
            admin.close()

    def _taken(self, topics: Topics, progress: Mapping[int, Span], expiry: Expiry) -> Taken:
        taken = Taken()
        for portion in read_topic(self.brokers, topics.posts.name):
            for record in portion:
                in_flight = record.offset >= progress[record.partition].committed
                raw, operation = record.value or b"", operation_of(record.headers)
                try:
                    post = decode_post(raw)
                    past = expiry.post(post, datetime.fromtimestamp(record.timestamp / 1000, UTC))
                    taken.enter(post.id, version_of(post, operation), in_flight=in_flight, expired=past)
                except RejectedError:
                    origin = f"{topics.posts.name}-{record.partition}-{record.offset}"
                    refused = rejection_id("enrich", identity_under(raw, operation))
                    taken.enter_invalid(refused, origin, in_flight=in_flight)
        return taken

    def _emitted(self, topics: Topics, progress: Mapping[int, Span], expiry: Expiry) -> Emitted:
        emitted = Emitted()
        for portion in read_topic(self.brokers, topics.events.name):
            for record in portion:
                if record.value is None:
                    emitted.purge(record.key.decode())
                    continue
                try:
                    event = decode_event(record.value)
                except RejectedError:
                    continue  # the index role sets it aside; it is no state of a post
                if expiry.event(event):
                    emitted.expire(event.post.id)
                    continue
                in_flight = record.offset >= progress[record.partition].committed
                routed = bool(cases_of(event))
                emitted.enter(event.post.id, event.version, in_flight=in_flight, routed=routed)
        return emitted

    def _refusals(self, topics: Topics) -> Refusals:
        newest: dict[str, tuple[int, str, tuple[str, int] | None]] = {}
        struck: dict[str, int] = {}
        for offset, entry in told(self.brokers, topics):
            if isinstance(entry, Strike):
                struck[entry.id] = max(entry.offset, struck.get(entry.id, -1))
            else:
                newest[entry.id] = offset, entry.stage, _state_of(entry)
        refusals = Refusals(ids=set(), states=set(), unpublished=set(), before=set())
        for id, (offset, stage, state) in newest.items():
            # What was no valid post stays in the log, also when a mended one was sent in its place.
            refusals.ids.add(id)
            if offset <= struck.get(id, -1):
                continue
            if stage in ("replay", "collect"):
                refusals.before.add(id)
            elif state is not None:
                refusals.states.add(state)
                if stage == "enrich":
                    refusals.unpublished.add(state)
        return refusals

    def _documents(self) -> tuple[dict[str, Document], list[Finding]]:
        found: dict[str, Document] = {}
        doubled = []
        for post_id, document in documents(self.client, self.settings.elasticsearch.prefix):
            known = found.get(post_id)
            if known is not None:
                doubled.append(Finding(post_id, f"is in two indices, {known.index} and {document.index}"))
            if known is None or document.version > known.version:
                found[post_id] = document
        return found, doubled


def _as_of(case: Case, revision: int) -> Case:
    """The case as it was at a revision; as it is where it never came so far."""
    return case if case.revision <= revision else fold(case.id, case.history[:revision])


def _state_of(rejection: Rejection) -> tuple[str, int] | None:
    """Id and version of the post that was refused; None where the payload was not even a post."""
    if rejection.cut or rejection.stage == "directory":
        return None
    raw = payload_of(rejection)
    try:
        if rejection.stage == "index":
            event = decode_event(raw)
            return event.post.id, event.version
        post = decode_post(raw)
    except RejectedError:
        return None
    return post.id, version_of(post, rejection.operation)
