"""Every contestant: how it is started, and how what it did is measured.

Start-up counts for nobody: the clock starts with a contestant's first output. Where the way has two
steps (ours into Elasticsearch), it starts with the first output of the first step, and all posts count.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from bench import Bench
from child import Child, cpu_seconds
from elasticsearch import Elasticsearch
from msgspec import Struct
from msgspec.json import encode
from outputs import Ends, Watch, WrongOutput, check_index, first_append, indexed, searchable, topic_span

from pipeline.app.registry import build_chain
from pipeline.app.topics import topics_of
from pipeline.core.case import Case, document_of
from pipeline.core.case_events import assign, follow
from pipeline.core.configuration import read_settings
from pipeline.core.event import Event
from pipeline.core.portions import portions
from pipeline.core.post import decode_post
from pipeline.core.settings import ElasticsearchSettings
from sinks._bulk import Write
from sinks.elastic import client_for, prepare, request
from sinks.store import Store

PAUSE = 0.05
"""Seconds between two looks at an index, whoever fills it."""


class Figure(Struct, frozen=True):
    """One run. ``cpu`` is microseconds a post of all the contestant's processes, without the servers'."""

    posts: int
    seconds: float
    cpu: float

    @property
    def rate(self) -> float:
        """Posts a second."""
        return self.posts / self.seconds


class Contestant(Struct, frozen=True):
    """``run`` is given the number of the round, for names of its own."""

    name: str
    ends_in: str
    ours: bool
    run: Callable[[Bench, int], Figure]

    @property
    def full(self) -> str:
        """Its name among all."""
        return f"{self.ends_in}: {self.name}"

    @property
    def is_peer_program(self) -> bool:
        """Whether it needs the peers' environment."""
        ready = isinstance(self.run, partial) and self.run.func is _ready_made
        return not self.ours and not ready


def _in_memory(start: Callable[[Bench], Child], bench: Bench, _: int) -> Figure:
    child = start(bench)
    stdin, stdout = child.process.stdin, child.process.stdout
    assert stdin is not None
    assert stdout is not None
    try:
        if stdout.readline() != b"ready\n":
            child.alive()
        spent, began = cpu_seconds(child.process.pid), time.monotonic()
        stdin.write(b"go\n")
        stdin.flush()
        told = stdout.readline().split()
        seconds, spent = time.monotonic() - began, cpu_seconds(child.process.pid) - spent
        if told != [b"done", str(len(bench.ids)).encode()]:
            raise WrongOutput(f"of {len(bench.ids)} posts: {told}; see {child.log}")
        return Figure(len(bench.ids), seconds, spent / len(bench.ids) * 1e6)
    finally:
        child.stop()


def _command(bench: Bench, _: int) -> Figure:
    """`groundswell enrich FILE`: from its first line of output to its last."""
    child = bench.own("-m", "pipeline.cli.main", "enrich", str(bench.file))
    stdout = child.process.stdout
    assert stdout is not None
    lines = at_first = 0
    began = spent = last = 0.0
    try:
        while portion := stdout.read1(1 << 20):  # type: ignore[attr-defined]
            lines += portion.count(b"\n")
            last = time.monotonic()
            if not began:
                began, at_first, spent = last, lines, cpu_seconds(child.process.pid)
            elif lines == len(bench.ids):
                spent = cpu_seconds(child.process.pid) - spent
        if lines != len(bench.ids):
            raise WrongOutput(
                f"groundswell enrich gave {lines} lines for {len(bench.ids)} posts; see {child.log}"
            )
        return Figure(lines - at_first, last - began, spent / (lines - at_first) * 1e6)
    finally:
        child.stop()


def _peer_to_topic(program: str, arguments: tuple[str, ...], bench: Bench, number: int) -> Figure:
    topic = f"{bench.prefix}-{program.removesuffix('.py').replace('_', '-')}-{number}"
    bench.make_topic(topic)
    ends = Ends(bench.kafka, topic)
    child = bench.peer(
        program,
        *arguments,
        kafka=bench.kafka.address,
        input=bench.input,
        output=topic,
        group=f"{topic}-group",
    )
    try:
        watch = Watch(ends.count, lambda: cpu_seconds(child.process.pid), child.alive)
        watch.until(len(bench.ids), 0.1)
    finally:
        child.stop()
        ends.close()
    span = topic_span(bench.kafka, topic, bench.ids)
    return Figure(span.posts, span.seconds, watch.cpu / watch.cpu_posts * 1e6)


def _peer_to_index(program: str, arguments: tuple[str, ...], bench: Bench, number: int) -> Figure:
    index = f"{bench.prefix}-{program.removesuffix('.py').replace('_', '-')}-{number}"
    bench.make_index(index)
    child = bench.peer(
        program,
        *arguments,
        kafka=bench.kafka.address,
        elasticsearch=bench.elasticsearch,
        input=bench.input,
        output=index,
        group=f"{index}-group",
    )
    try:
        watch = Watch(
            lambda: indexed(bench.client, index), lambda: cpu_seconds(child.process.pid), child.alive
        )
        watch.until(len(bench.ids), PAUSE)
        ended = _found(bench, index, child.alive)
    finally:
        child.stop()
    check_index(bench.client, index, bench.ids)
    bench.drop_index(index)
    return Figure(len(bench.ids) - watch.at_first, ended - watch.began, watch.cpu / watch.cpu_posts * 1e6)


def _found(bench: Bench, index: str, alive: Callable[[], None]) -> float:
    """When a search found all posts. Searches begin when all is written, for everybody: they cost the index
    more than its statistics."""
    seen = Watch(lambda: searchable(bench.client, index), lambda: 0.0, alive)
    seen.until(len(bench.ids), PAUSE)
    return seen.ended


def _enrich(bench: Bench, number: int) -> Figure:
    installation = bench.install(f"enrich-{number}")
    events = topics_of(installation.settings.kafka).events.name
    ends = Ends(bench.kafka, events)
    daemon = installation.daemon("enrich")
    try:
        watch = Watch(ends.count, lambda: cpu_seconds(daemon.pid), daemon.check)
        watch.until(len(bench.ids), 0.1)
    finally:
        ends.close()
        installation.close()
    span = topic_span(bench.kafka, events, bench.ids)
    return Figure(span.posts, span.seconds, watch.cpu / max(watch.cpu_posts, 1) * 1e6)


def _enrich_and_index(bench: Bench, number: int) -> Figure:
    installation = bench.install(f"index-{number}")
    events = topics_of(installation.settings.kafka).events.name
    pattern = f"{installation.prefix}-posts-*"
    ends = Ends(bench.kafka, events)
    daemon = installation.daemon("enrich", "index")
    try:
        Watch(ends.count, lambda: 0.0, daemon.check).until(1, 0.02)
        spent = cpu_seconds(daemon.pid)
        watch = Watch(lambda: indexed(bench.client, pattern), lambda: 0.0, daemon.check)
        watch.until(len(bench.ids), PAUSE)
        spent = cpu_seconds(daemon.pid) - spent
        ended = _found(bench, pattern, daemon.check)
    finally:
        ends.close()
        installation.close()
    check_index(bench.client, pattern, bench.ids)
    bench.drop_index(pattern)
    began = first_append(bench.kafka, events)
    return Figure(len(bench.ids), ended - began, spent / len(bench.ids) * 1e6)


def _ready_made(with_cases: bool, bench: Bench, number: int) -> Figure:
    """What Elasticsearch takes of our own documents as ready bodies, from two threads: the posts, and behind
    each thousand of them the cases that they open."""
    name = f"{bench.prefix}-ready-{number}{'-cases' * with_cases}"
    settings = ElasticsearchSettings(prefix=name)
    client = client_for(settings, bench.elasticsearch)
    prepare(client, settings)
    cases = Store(client, settings, "cases")
    if not bench.events:
        bench.events = _events(bench)
    thousands = list(portions(bench.events, 1000))
    bodies = [[_body(events, name)] for events in thousands]
    if with_cases:
        cases.prepare()
        for bodies_of, body in zip(bodies, _bodies_of_cases(thousands, cases.index), strict=True):
            bodies_of.append(body)
    pattern, began = f"{name}-posts-*", time.time()
    with ThreadPoolExecutor(2) as threads:
        sent = [threads.submit(_send, client, body) for body in bodies]

        def alive() -> None:
            for one in sent:
                if one.done():
                    one.result()

        Watch(lambda: indexed(bench.client, pattern), lambda: 0.0, alive).until(len(bench.ids), PAUSE)
        spent = sum(one.result() for one in sent)
    ended = _found(bench, pattern, lambda: None)
    check_index(client, pattern, bench.ids)
    bench.drop_index(pattern)
    cases.drop()
    client.close()
    return Figure(len(bench.ids), ended - began, spent / len(bench.ids) * 1e6)


def _send(client: Elasticsearch, bodies: list[bytes]) -> float:
    """The CPU seconds that it took to send."""
    began = time.thread_time()
    for body in filter(None, bodies):
        request(client, "POST", "/_bulk", body, lines=True)
    return time.thread_time() - began


def _events(bench: Bench) -> list[Event]:
    chain, now = build_chain(read_settings(bench.config, {}), bench.home), datetime.now(UTC)
    posts = [decode_post(line) for line in bench.lines]
    outcomes = chain.process(posts, [now] * len(posts), prefix="ready", now=now)
    return [outcome for outcome in outcomes if isinstance(outcome, Event)]


def _body(events: list[Event], prefix: str) -> bytes:
    return b"".join(Write(event, event.index.replace("ready", prefix, 1)).lines() for event in events)


def _bodies_of_cases(thousands: list[list[Event]], index: str) -> list[bytes]:
    """The cases that each thousand opens or changes, as after all of its posts."""
    known: dict[str, Case] = {}
    bodies: list[bytes] = []
    for events in thousands:
        met: dict[str, Case] = {}
        for event in events:
            for id, told in assign(event, ()):
                if (case := follow(id, met.get(id, known.get(id)), told)) is not None:
                    met[id] = case
        known |= met
        bodies.append(b"".join(_case_lines(case, index) for case in met.values()))
    return bodies


def _case_lines(case: Case, index: str) -> bytes:
    head = {"_index": index, "_id": case.id, "version": case.revision, "version_type": "external_gte"}
    return b"%b\n%b\n" % (encode({"index": head}), encode(document_of(case, 0, case.updated_at)))


def _vader(bench: Bench) -> Child:
    return bench.peer("vader_alone.py", str(bench.file), talks=True)


def _chain(*arguments: str) -> Callable[[Bench], Child]:
    return lambda bench: bench.own(str(CHAIN), str(bench.file), *arguments)


CHAIN = Path(__file__).with_name("chain_alone.py")
WORKER = ("worker", "-l", "warn")

CONTESTANTS = (
    Contestant("vaderSentiment alone", "memory", False, partial(_in_memory, _vader)),
    Contestant("whole chain", "memory", True, partial(_in_memory, _chain())),
    Contestant("whole chain, language given", "memory", True, partial(_in_memory, _chain("--language"))),
    Contestant("groundswell enrich FILE", "memory", True, _command),
    Contestant("plain Faust", "topic", False, partial(_peer_to_topic, "faust_topic.py", WORKER)),
    Contestant("Quix Streams", "topic", False, partial(_peer_to_topic, "quix_topic.py", ())),
    Contestant("enrich worker, whole chain", "topic", True, _enrich),
    Contestant("plain Faust", "index", False, partial(_peer_to_index, "faust_elastic.py", WORKER)),
    Contestant("loop by hand", "index", False, partial(_peer_to_index, "loop_elastic.py", ())),
    Contestant("ready-made bodies", "index", False, partial(_ready_made, False)),
    Contestant("ready-made bodies, cases with them", "index", False, partial(_ready_made, True)),
    Contestant("enrich and index, whole chain", "index", True, _enrich_and_index),
)
"""The peers, those not ours, do nothing but VADER; see benchmarks/peers."""
