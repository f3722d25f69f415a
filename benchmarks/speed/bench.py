"""What all contestants share: the servers, the input, the customers, and room for outputs of their own."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from child import Child
from elasticsearch import Elasticsearch
from kafka.admin import KafkaAdminClient
from ours import write_settings
from posts import SOURCE, accounts, customers, lines_of, load, posts

from pipeline.app.brokers import Brokers
from pipeline.app.daemon import surroundings
from pipeline.app.topics import admin_client, ensure_topics, topics_of
from pipeline.core.event import Event
from pipeline.core.settings import KafkaSettings
from pipeline.identity.directory import FOLDER, DirectoryReader
from sinks.elastic import shipped
from testkit.books import write_rows
from testkit.installation import Installation
from testkit.waiting import until

HERE = Path(__file__).resolve().parent
PARTITIONS = KafkaSettings().partitions


class Bench:
    """``file`` holds the input as JSON Lines, ``input`` is the peers' topic of the same posts, ``about`` says
    whose posts these are. What it began ends with the block."""

    def __init__(self, home: Path, kafka: str, elasticsearch: str, peers: Path) -> None:
        self.home = home
        self.kafka = Brokers(kafka)
        self.elasticsearch = elasticsearch
        self.peers = peers
        self.config = write_settings(home / "settings")
        self.client = Elasticsearch(elasticsearch, request_timeout=60)
        # More than one benchmark may use the same servers.
        self.prefix = f"bench-{uuid.uuid4().hex[:6]}"
        self.input = f"{self.prefix}-peers.posts"
        self.file = home / "posts.jsonl"
        self.about: dict[str, Any] = {}
        self.ids: list[str] = []
        self.lines: list[bytes] = []
        self.events: list[Event] = []
        self._books: Installation | None = None

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        if self._books is not None:
            self._books.close()
        for alias in ("*-posts-*", "*"):
            self.drop_index(f"{self.prefix}-{alias}")
        self.client.close()

    def fill(self, count: int) -> None:
        """Makes the input, for the peers' topic as well."""
        found = posts(count)
        self.ids, self.lines = [post["id"] for post in found], lines_of(found)
        self.file.write_bytes(b"\n".join(self.lines) + b"\n")
        self.make_topic(self.input)
        load(self.kafka, self.input, self.ids, self.lines)
        rows = customers()
        known = accounts(rows)
        theirs = sum(post["author"]["id"] in known for post in found)
        self.about = {"source": SOURCE, "posts": count, "by_customers": round(theirs / count, 4)}
        self._keep_books(rows)

    def _keep_books(self, rows: list[dict[str, Any]]) -> None:
        """Imports the customers as everybody does, and has the role `directory` keep the directory of this
        machine for as long as the benchmark lasts; every installation of the benchmark maps this one."""
        write_rows(self.home / "customers.jsonl", rows)
        self._books = self._installation(self.home, "books")
        self._books.daemon("directory")
        done = self._books.command("customer", "import", str(self.home / "customers.jsonl"))
        if done.returncode:
            raise SystemExit(done.stderr.decode())
        reader = DirectoryReader(self.home / FOLDER)
        until(lambda: reader.fresh_at() is not None and reader.customers() == len(rows), 120, "the customers")
        reader.close()

    def install(
        self, name: str, ids: Sequence[str] | None = None, lines: Sequence[bytes] | None = None
    ) -> Installation:
        """An installation of its own with the benchmark's customers; its posts topic holds these posts, else
        those of the benchmark."""
        home = self.home / name
        home.mkdir()
        (home / FOLDER).symlink_to(self.home / FOLDER)
        installation = self._installation(home, name)
        topics = ensure_topics(self.kafka, installation.settings.kafka)
        load(
            self.kafka,
            topics.posts.name,
            self.ids if ids is None else ids,
            self.lines if lines is None else lines,
        )
        return installation

    def beside(self, first: Installation, name: str) -> Installation:
        """Another home of an installation, as on another machine that has the same directory."""
        home = self.home / name
        home.mkdir()
        (home / FOLDER).symlink_to(self.home / FOLDER)
        return Installation(
            home,
            first.prefix,
            self.kafka.address,
            self.elasticsearch,
            GROUNDSWELL_CONFIG=str(self.config),
        )

    def _installation(self, home: Path, name: str) -> Installation:
        return Installation(
            home,
            f"{self.prefix}-{name}",
            self.kafka.address,
            self.elasticsearch,
            GROUNDSWELL_CONFIG=str(self.config),
        )

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
        """A program of ours with the benchmark's settings and customers, which talks."""
        environ = surroundings(
            os.environ, GROUNDSWELL_CONFIG=str(self.config), GROUNDSWELL_HOME=str(self.home)
        )
        return Child([sys.executable, *command], environ, self.home / "own.log", True)
