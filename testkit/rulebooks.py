"""Brands and rules as files of an installation, written anew under running processes; and its log, read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.app.log_reader import read_topic
from pipeline.app.producer import Producer, Record
from pipeline.app.topics import ensure_topics, topics_of
from pipeline.core.event import Event, decode_event
from testkit.installation import Installation

STEPS = "direction,language,sentiment,entities,complaint,contacts,route"


class Rulebooks:
    """The files of brands and of rules in a folder."""

    def __init__(self, folder: Path) -> None:
        self.brands = folder / "brands.toml"
        self.rules = folder / "routing.toml"

    @property
    def variables(self) -> dict[str, str]:
        """What tells an installation of them."""
        return {
            "GROUNDSWELL_ENRICH_STEPS": STEPS,
            "GROUNDSWELL_ENRICHERS_ENTITIES_FILE": str(self.brands),
            "GROUNDSWELL_ENRICHERS_ROUTE_FILE": str(self.rules),
        }

    def know(self, *brands: str) -> None:
        """The brands of these names, and no others."""
        _write(self.brands, "".join(map(_entity, brands)))

    def route(self, words: Mapping[str, str]) -> None:
        """Posts with a word go to its queue; the first of several decides."""
        queues = "".join(f"[queues.{queue}]\n" for queue in dict.fromkeys(words.values()))
        rules = "".join(
            f'[[rules]]\nid = "{word}"\nwhen = \'text contains any of ("{word}")\'\nqueue = "{queue}"\n'
            for word, queue in words.items()
        )
        _write(self.rules, queues + rules)


def _entity(name: str) -> str:
    return (
        f'[[entities]]\nid = "brand:{name.lower()}"\nname = "{name}"\nkind = "brand"\naliases = ["{name}"]\n'
    )


def _write(path: Path, text: str) -> None:
    draft = path.with_suffix(".new")
    draft.write_text(text)
    draft.replace(path)


def say(installation: Installation, posts: Iterable[Mapping[str, Any]]) -> None:
    """Posts come in."""
    topics = ensure_topics(installation.kafka, installation.settings.kafka)
    producer = Producer(installation.kafka)
    try:
        records = [
            Record(
                topics.posts.name,
                post["id"].encode(),
                json.dumps({"author": {"id": "x:9"}, "text": "hello", **post}).encode(),
            )
            for post in posts
        ]
        producer.deliver(records)
    finally:
        producer.close()


def events(installation: Installation) -> dict[str, Event]:
    """The last event of each post in the log."""
    found: dict[str, Event] = {}
    for event in all_events(installation):
        found[event.post.id] = event
    return found


def all_events(installation: Installation) -> list[Event]:
    """All events of the log, those of a post in their order."""
    topic = topics_of(installation.settings.kafka).events.name
    return [
        decode_event(record.value)
        for portion in read_topic(installation.kafka, topic)
        for record in portion
        if record.value
    ]


def noticed(installation: Installation, queue: str) -> list[str]:
    """The ids of the posts that the queue was told of, in order, with repeats."""
    topic = topics_of(installation.settings.kafka).queue_of(queue).name
    return sorted(
        record.key.decode() for portion in read_topic(installation.kafka, topic) for record in portion
    )
