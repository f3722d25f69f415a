"""Whether Kafka and Elasticsearch answer, asked every few seconds: an idle role would not notice otherwise.

In a thread of its own, so that a server that keeps us waiting keeps no work waiting. What it finds is told in
health beside what the work itself finds; it logs a server's leaving and its return, once each.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress

from elasticsearch import Elasticsearch
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from pipeline.app.configuration import elasticsearch_url
from pipeline.app.site import Site
from pipeline.app.topics import admin_client, unreachable
from pipeline.core.errors import GroundswellError, unforeseen
from pipeline.core.metrics import ELASTICSEARCH
from sinks import elastic

log = logging.getLogger("groundswell.health")

EVERY_SECONDS = 5.0
ANSWER_SECONDS = 8.0
ELASTICSEARCH_ROLES = ("index", "directory")
"""The roles that cannot work without Elasticsearch; the others need Kafka alone."""
_COLOURS = ("green", "yellow", "red")


class FarSides:
    """Asks the servers that a role needs until the site ends."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._admin: KafkaAdminClient | None = None
        self._client: Elasticsearch | None = None
        self._asks: Mapping[str, Callable[[], None]] = {"kafka": self._kafka}
        if site.health.role in ELASTICSEARCH_ROLES:
            self._asks = {**self._asks, "elasticsearch": self._elasticsearch}
        self._away: set[str] = set()

    def start(self) -> None:
        """Begins; it ends with the site, and never keeps the process from ending."""
        for name in self._asks:
            target = threading.Thread(
                target=self._watch, args=(name,), name=f"groundswell-{name}-answers", daemon=True
            )
            target.start()

    def _watch(self, name: str) -> None:
        part = f"{name} answers"
        while not self._site.ending.wait(EVERY_SECONDS):
            try:
                self._asks[name]()
            except Exception as error:
                # Whatever it is: this thread only looks, and must go on looking.
                ours = isinstance(error, GroundswellError)
                self._site.health.waits(part, str(error) if ours else f"{name}: {unforeseen(error)}")
                if name not in self._away:
                    self._away.add(name)
                    # Of Kafka's leaving the role's producer has told already.
                    level = logging.DEBUG if name == "kafka" else logging.WARNING
                    log.log(level, "%s: %s", self._site.health.role, error)
            else:
                self._site.health.works(part)
                if name in self._away:
                    self._away.discard(name)
                    log.info("%s: %s answers again", self._site.health.role, name)
        for client in (self._admin if name == "kafka" else self._client,):
            if client is not None:
                client.close()

    def _kafka(self) -> None:
        """Its metadata; raises RetryableError."""
        try:
            if self._admin is None:
                self._admin = admin_client(self._site.brokers)
            self._admin.describe_cluster()
        except (KafkaError, OSError) as error:
            admin, self._admin = self._admin, None
            if admin is not None:
                with suppress(Exception):
                    admin.close()
            raise unreachable(self._site.brokers) from error

    def _elasticsearch(self) -> None:
        """Its health, whatever the colour; raises RetryableError, ConfigError."""
        if self._client is None:
            settings = self._site.settings.elasticsearch
            url = elasticsearch_url(self._site.settings, self._site.home)
            self._client = elastic.client_for(settings, url)
        client = self._client.options(request_timeout=ANSWER_SECONDS, max_retries=0)
        with elastic.answering(client):
            colour = client.cluster.health()["status"]
        health = self._site.health
        health.meters.set(ELASTICSEARCH, _COLOURS.index(colour), health.role)
