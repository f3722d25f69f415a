"""The end of a round held against the truth, from the stores themselves: raw records and raw documents.

Nothing of the product is asked but `groundswell audit`, whose silence is one of the things to be true.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from confluent_kafka import Consumer, TopicPartition
from msgspec import Struct

from testkit.chaos.ground import PATIENCE_SECONDS
from testkit.chaos.stream import MARK, Truth
from testkit.installation import Installation, Stored

SHOWN = 5


class Fault(Struct, frozen=True):
    """Something that is not as it must be: which law, which post, and what is there instead."""

    law: str
    id: str
    found: str


def faults_of(installation: Installation, truth: Truth) -> list[Fault]:
    """All that is wrong at the end of a round."""
    return [
        *_index(installation.documents(), truth.texts),
        *_log(_records(installation, "events"), truth.texts),
        *_cases(installation, truth),
        *_rejected(_records(installation, "rejected"), truth.invalid),
        *_audit(installation),
    ]


def summary(faults: Iterable[Fault]) -> str:
    """Some of each law, for people."""
    by_law: dict[str, list[Fault]] = {}
    for fault in faults:
        by_law.setdefault(fault.law, []).append(fault)
    lines = []
    for law, found in by_law.items():
        lines.append(f"{law}: {len(found)}")
        lines += [f"    {fault.id}: {fault.found}" for fault in found[:SHOWN]]
    return "\n".join(lines)


def _index(stored: Mapping[str, list[Stored]], texts: Mapping[str, str | None]) -> Iterator[Fault]:
    for post_id, text in texts.items():
        entries = stored.get(post_id, [])
        if len(entries) != 1:
            law = "each valid id is in the index" if not entries else "each id is in the index once"
            yield Fault(law, post_id, str([(entry.index, entry.version) for entry in entries]))
            continue
        yield from _state("in the index", post_id, text, entries[0].source)
    for stranger in stored.keys() - texts.keys():
        yield Fault("nothing else is in the index", stranger, str(stored[stranger][0].source)[:200])


def _state(where: str, post_id: str, text: str | None, source: Mapping[str, Any]) -> Iterator[Fault]:
    """``source`` is the post, or the document made of it."""
    if text is None:
        if not source.get("deleted"):
            yield Fault(f"the deleted are stubs {where}", post_id, str(source.get("text")))
        elif MARK in json.dumps(source):
            yield Fault(f"stubs {where} say nothing", post_id, json.dumps(source)[:200])
    elif source.get("deleted") or source.get("text") != text:
        yield Fault(f"the newest state stands {where}", post_id, f"{source.get('text')!r}, not {text!r}")


def _log(records: Iterable[tuple[str, bytes | None]], texts: Mapping[str, str | None]) -> Iterator[Fault]:
    last = dict(records)
    for post_id, text in texts.items():
        value = last.get(post_id)
        if value is None:
            yield Fault("each valid id is in the log", post_id, "nothing")
        else:
            yield from _state("at the end of the log", post_id, text, json.loads(value)["post"])


def _cases(installation: Installation, truth: Truth) -> Iterator[Fault]:
    """A complaint that was deleted may have come to the index as its stub, and then has no case."""
    held = Counter(post for case in _documents_of(installation, "cases") for post in case.get("posts", ()))
    for post_id in truth.complaints | held.keys():
        wanted = {1} if post_id in truth.complaints else {0}
        if post_id in truth.complaints and truth.texts[post_id] is None:
            wanted = {0, 1}
        if held[post_id] not in wanted:
            yield Fault(
                "each complaint has one case, and nothing else has", post_id, f"{held[post_id]} cases"
            )


def _rejected(records: Iterable[tuple[str, bytes | None]], invalid: Iterable[bytes]) -> Iterator[Fault]:
    found: set[bytes] = set()
    for _, value in records:
        if value is None:
            continue
        told = json.loads(value)
        if "payload" in told:
            raw = told["payload"]
            found.add(b64decode(raw) if told.get("encoding") == "base64" else raw.encode())
    wanted = set(invalid)
    for line in wanted - found:
        yield Fault("what is no post is rejected", "-", repr(line[:150]))
    for line in found - wanted:
        yield Fault("nothing else is rejected", "-", repr(line[:150]))


def _audit(installation: Installation) -> Iterator[Fault]:
    # The roles are told to wait for a short time only; the audit does not have to share that.
    installation.environ["GROUNDSWELL_ELASTICSEARCH_TIMEOUT_SECONDS"] = str(PATIENCE_SECONDS)
    done = installation.command("audit")
    if done.returncode or done.stderr:
        for line in done.stderr.decode().splitlines() or ["exit status without words"]:
            yield Fault("the audit is silent", f"status {done.returncode}", line)


def _documents_of(installation: Installation, kind: str) -> Iterator[dict[str, Any]]:
    index = f"{installation.prefix}-{kind}"
    if not installation.client.indices.exists(index=index):
        return
    installation.client.indices.refresh(index=index)
    after: Any = None
    while True:
        page = installation.client.search(
            index=index,
            size=2000,
            sort=[{"id": "asc"}],
            search_after=after,
            query={"exists": {"field": "posts"}},
        )["hits"]["hits"]
        yield from (hit["_source"] for hit in page)
        if not page:
            return
        after = page[-1]["sort"]


def _records(installation: Installation, topic: str) -> Iterator[tuple[str, bytes | None]]:
    """Key and value of all records of a topic, those of a key in their order."""
    name = f"{installation.prefix}.{topic}"
    consumer = Consumer(
        {
            "bootstrap.servers": installation.settings.kafka.bootstrap,
            "group.id": f"{installation.prefix}-verdict",
            "enable.auto.commit": False,
        }
    )
    try:
        for number in consumer.list_topics(name, timeout=30).topics[name].partitions:
            first, end = consumer.get_watermark_offsets(TopicPartition(name, number), timeout=30)
            if first == end:
                continue
            consumer.assign([TopicPartition(name, number, first)])
            at = first
            while at < end:
                for message in consumer.consume(2000, timeout=0.3):
                    assert message.error() is None, message.error()
                    yield (message.key() or b"").decode(), message.value()
                at = consumer.position([TopicPartition(name, number)])[0].offset
    finally:
        consumer.close()
