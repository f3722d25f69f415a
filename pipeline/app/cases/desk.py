"""Cases as people meet them at the command line: found by what they type, changed in their name.

A change is in the index and in the journal when it is told as done.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from enrichers.route import read_router
from pipeline.app.cases.journal import journal_to
from pipeline.app.checking import rules_file
from pipeline.app.configuration import brokers_of, elasticsearch_url
from pipeline.app.producer import Producer
from pipeline.app.topics import admin_client, topics_of
from pipeline.core.case import Case
from pipeline.core.errors import ConfigError
from pipeline.core.settings import Settings
from sinks.cases import Cases
from sinks.elastic import client_for

SHORTEST = 4
_WHOLE = 16
_LISTED = 5


class Desk:
    """The cases of one installation. Close it when done.

    Every method raises RetryableError where a server is away, ConfigError where a person has to act.
    """

    def __init__(self, settings: Settings, home: Path) -> None:
        self.settings = settings
        self._home = home
        self.client = client_for(settings.elasticsearch, elasticsearch_url(settings, home))
        self.cases = Cases(self.client, settings.elasticsearch)

    def find(self, word: str) -> Case:
        """The case of that id, of an id that begins so, or of a post. ConfigError where it is not one."""
        found = self._like(word)
        if len(found) > 1 and ":" in word:
            # Of the cases of one post, the one that still waits.
            found = [case for case in found if case.state != "resolved"] or found
        if len(found) == 1:
            return found[0]
        if not found:
            raise ConfigError(f"there is no case `{word}`: see `groundswell queue`")
        told = ", ".join(f"{case.id} ({case.queue}, {case.state})" for case in found[:_LISTED])
        raise ConfigError(
            f"`{word}` may be {told}{' …' if len(found) > _LISTED else ''}: write more of the id"
        )

    def _like(self, word: str) -> list[Case]:
        if ":" in word:
            return [held.case for held in self.cases.holding([word]).values()]
        if not re.fullmatch(rf"[0-9a-f]{{{SHORTEST},{_WHOLE}}}", word):
            raise ConfigError(
                f"`{word}` is no case: write its id, its first characters ({SHORTEST} at least),"
                " or the id of a post"
            )
        if len(word) == _WHOLE:
            return [held.case for held in self.cases.get([word]).values()]
        self.cases.store.refresh()
        query = {"prefix": {"id": word}}
        return [held.case for held in self.cases.all(query, limit=_LISTED + 1)]

    def change(self, word: str, act: Callable[[Case], Case]) -> tuple[Case, bool]:
        """The case after the act, and whether that changed it. Raises Refused where it cannot be."""
        id = self.find(word).id
        changed = False

        def work(_id: str, case: Case | None) -> Case | None:
            nonlocal changed
            if case is None:
                raise ConfigError(f"case {id} is gone: see `groundswell queue`")
            after = act(case)
            changed = after is not case
            return after

        with self._journal() as producer:
            journal = journal_to(producer, topics_of(self.settings.kafka))
            case = self.cases.change([id], work, journal)[id]
        if changed:
            # Who lists the queue next sees it, and not only a second later.
            self.cases.store.refresh()
        return case, changed

    @contextmanager
    def _journal(self) -> Iterator[Producer]:
        brokers = brokers_of(self.settings, self._home)
        admin_client(brokers).close()  # says in one sentence when Kafka is away
        producer = Producer(brokers, client_id="groundswell-queue")
        try:
            yield producer
        finally:
            producer.close()

    def queues(self) -> dict[str, int]:
        """The priorities of the queues of the rules, by name; none without a file of rules."""
        path = rules_file(self.settings)
        if path is None:
            return {}
        return {name: queue.priority for name, queue in read_router(path).queues.items()}

    def close(self) -> None:
        """Lets go of the connections."""
        self.client.close()
