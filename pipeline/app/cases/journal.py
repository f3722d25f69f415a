"""The journal of cases in Kafka: every step of every case for good, and the cases from it.

The index can be dropped and the work of people is still there. See docs/cases.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.app.brokers import Brokers
from pipeline.app.log_reader import read_topic
from pipeline.app.producer import Producer, Record
from pipeline.app.topics import Topics
from pipeline.core.case import Case, Entry, Step, decode_entry, encode_entry, fold
from pipeline.core.errors import FatalError, RejectedError
from pipeline.core.portions import portions
from sinks.cases import Cases, Journal

_PORTION = 500


def journal_to(producer: Producer, topics: Topics) -> Journal:
    """The journal of an installation: returns when Kafka has confirmed the steps."""

    def append(entries: Sequence[Entry]) -> None:
        name = topics.cases.name
        producer.deliver([Record(name, entry.key.encode(), encode_entry(entry)) for entry in entries])

    return append


def journaled(brokers: Brokers, topics: Topics) -> dict[str, dict[int, Step]]:
    """All steps in the journal, by case and revision.

    Raises RetryableError when Kafka is away, FatalError when the topic holds what no Groundswell wrote.
    """
    found: dict[str, dict[int, Step]] = {}
    for portion in read_topic(brokers, topics.cases.name):
        for record in portion:
            if record.value is None:  # retention is done with this step
                case, _, revision = record.key.decode().rpartition("/")
                found.get(case, {}).pop(int(revision), None)
                continue
            try:
                entry = decode_entry(record.value)
            except RejectedError as error:
                place = f"{topics.cases.name}-{record.partition}-{record.offset}"
                raise FatalError(f"{place}: {error}") from error
            found.setdefault(entry.case, {})[entry.step.revision] = entry.step
    return found


def folded(steps: dict[str, dict[int, Step]]) -> Iterator[Case]:
    """The cases of a journal, each as far as its steps follow each other without a gap."""
    for id, by_revision in steps.items():
        whole: list[Step] = []
        while (step := by_revision.get(len(whole) + 1)) is not None:
            whole.append(step)
        if whole:
            yield fold(id, whole)


def restore(brokers: Brokers, topics: Topics, cases: Cases) -> int:
    """Fills the index from the journal and lets work begin; returns how many cases there are.

    Safe beside others who do the same or work already: the highest revision of a case stands.
    """
    cases.prepare()
    steps = journaled(brokers, topics)
    for portion in portions(folded(steps), _PORTION):
        cases.fill(portion)
    cases.finish()
    return sum(1 in by_revision for by_revision in steps.values())


def drop(brokers: Brokers, topics: Topics, cases: Cases, journal: Journal) -> int:
    """Deletes the index of cases once the journal has all of it; returns how many steps it lacked."""
    # From here on nobody writes, so what is read is all there is.
    cases.freeze()
    missing = complete(brokers, topics, cases, journal)
    cases.drop()
    return missing


def complete(brokers: Brokers, topics: Topics, cases: Cases, journal: Journal) -> int:
    """Appends the steps that the index has and the journal lacks; returns how many."""
    known = journaled(brokers, topics)
    cases.store.refresh()
    missing = 0
    for portion in portions(cases.all(), _PORTION):
        lacking = [
            Entry(case=held.case.id, step=step)
            for held in portion
            for step in held.case.history
            if known.get(held.case.id, {}).get(step.revision) != step
        ]
        journal(lacking)
        missing += len(lacking)
    return missing
