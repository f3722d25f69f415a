"""What all contestants share: the servers, the input, and room for outputs of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
from elasticsearch import Elasticsearch
from kafka.admin import KafkaAdminClient

from pipeline.app.brokers import Brokers
from pipeline.app.daemon import surroundings
from pipeline.app.topics import admin_client, topics_of
from pipeline.core.event import Event
from pipeline.core.settings import KafkaSettings
from sinks.elastic import shipped

HERE = Path(__file__).resolve().parent
PARTITIONS = KafkaSettings().partitions


class Bench:
    """``file`` holds the input as JSON Lines, ``input`` is the peers' topic of the same posts."""

    def __init__(self, home: Path, kafka: str, elasticsearch: str, peers: Path, config: Path) -> None:
        self.home = home
        self.kafka = Brokers(kafka)
        self.elasticsearch = elasticsearch
        self.peers = peers
        self.config = config
        self.client = Elasticsearch(elasticsearch, request_timeout=60)
        self.input = "peers.posts"
        self.file = home / "posts.jsonl"
        self.ids: list[str] = []
        self.lines: list[bytes] = []
        self.events: list[Event] = []

    def make_topic(self, name: str) -> None:
        """A topic as ours for events are, for whoever writes to it."""
        admin: KafkaAdminClient = admin_client(self.kafka)
        config = {**topics_of(KafkaSettings()).events.config}
        wanted = {"num_partitions": PARTITIONS, "replication_factor": 1, "configs": config}
        admin.create_topics({name: wanted}, wait_for_metadata=True)
        admin.close()

    def make_index(self, name: str) -> None:
        """An index as ours for posts are."""
        template = shipped()
        template["settings"]["index"] |= {"number_of_shards": 1, "number_of_replicas": 0}
        self.client.indices.create(index=name, **template)

    def drop_index(self, pattern: str) -> None:
        """Makes room; a benchmark's indices are nobody's."""
        for name in self.client.indices.get_alias(index=pattern).body:
            self.client.indices.delete(index=name)

    def peer(self, program: str, *arguments: str, talks: bool = False, **environ: str) -> Child:
        """A peer's program in the peers' environment; see :class:`Child`."""
        path = HERE.parent / "peers" / program
        own = {f"PEER_{name.upper()}": value for name, value in environ.items()}
        clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return Child(
            [str(self.peers), str(path), *arguments], {**clean, **own}, self.home / f"{program}.log", talks
        )

    def own(self, *command: str) -> Child:
        """A program of ours with the benchmark's settings, which talks."""
        environ = surroundings(
            os.environ, GROUNDSWELL_CONFIG=str(self.config), GROUNDSWELL_HOME=str(self.home)
        )
        return Child([sys.executable, *command], environ, self.home / "own.log", True)


class Child:
    """A process whose words go to a log; one that talks has pipes for standard input and output."""

    def __init__(self, command: list[str], environ: dict[str, str], log: Path, talks: bool) -> None:
        self.log = log
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                command,
                env=environ,
                stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
                stdout=subprocess.PIPE if talks else file,
                stderr=file,
            )

    def alive(self) -> None:
        """Raises when it has ended by itself."""
        if self.process.poll() is not None:
            last = self.log.read_text(errors="replace").splitlines()[-5:]
            raise SystemExit(f"{self.process.args} ended by itself: {' / '.join(last)}")

    def stop(self) -> None:
        """Ends it, gently if it lets us."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


def cpu_seconds(pid: int | None) -> float:
    """What a process and its children have used so far."""
    if pid is None:
        return 0.0
    try:
        parent = psutil.Process(pid)
        times = [process.cpu_times() for process in (parent, *parent.children(recursive=True))]
    except psutil.NoSuchProcess:
        return 0.0
    return float(sum(time.user + time.system for time in times))
