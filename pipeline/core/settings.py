"""The settings of one installation: every section, every key, its default, its bounds, its meaning.

This is the schema and nothing else. It does not know where values come from; reading a file and the
environment into it is :mod:`pipeline.core.configuration`. An operator's own words for each key are
the descriptions here: `docs/settings.md` and the comments of `configs/groundswell.toml` follow them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from pipeline.core.process_settings import CollectSettings, DaemonSettings, HttpSettings, LogSettings
from pipeline.core.retention import Expiry, RetentionSettings, expiry

RESERVED = {
    "GROUNDSWELL_HOME": "the folder with all state of this installation",
    "GROUNDSWELL_CONFIG": "the settings file, where `--config` names none",
    "GROUNDSWELL_AS": "the name of whoever works on cases, where `--as` gives none",
    "GROUNDSWELL_CACHE": "the folder of downloaded servers, shared by all installations of a user",
    "GROUNDSWELL_MAVEN_MIRROR": "the base address of a Maven repository in place of the public one",
    "GROUNDSWELL_KAFKA_HEAP_MB": "megabytes of heap of the embedded Kafka",
    "GROUNDSWELL_ELASTICSEARCH_HEAP_MB": "megabytes of heap of the embedded Elasticsearch",
    "GROUNDSWELL_SHARED": "the folder of shared test data; read by the tests and benchmarks alone",
}
"""Variables with our prefix that are no settings, and what each is for."""

MASK = "***"


class Secret:
    """A text that shows itself to nobody: `repr`, `str` and `format` give ``***``.

    msgspec and json refuse to encode it. An empty secret is false and means that none is set.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str = "") -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself, for the one call that has to send it."""
        return self._text

    def __repr__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return MASK

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))


class Table(dict[str, Any]):
    """A part's own table, as it stood in the file; only the part's module knows what it may hold.

    Its `repr` shows keys and no values, for until the module has read it any of them may be a secret
    written in clear. ``origin`` is the file in words, ``folder`` the start of relative paths,
    ``siblings`` the names of the variables' prefixes that belong to other parts.
    """

    def __init__(
        self,
        content: Mapping[str, Any],
        origin: str = "settings",
        folder: Path | None = None,
        siblings: tuple[str, ...] = (),
    ) -> None:
        super().__init__(content)
        self.origin = origin
        self.folder = folder
        self.siblings = siblings

    def __repr__(self) -> str:
        return "{" + ", ".join(f"{key!r}: {MASK}" for key in self) + "}"


def form(description: str, pattern: str, shape: str) -> Meta:
    """A `Meta` for a text of a certain pattern; ``shape`` is the pattern in words, for messages."""
    return Meta(description=description, pattern=pattern, extra={"shape": shape})


_NAME = r"^[a-z0-9][a-z0-9._-]{0,99}\Z"
_NAME_SHAPE = "of at most 100 lower-case letters, digits, `.`, `_` and `-`, a letter or digit first"
_HOST = r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}"


class KafkaSettings(Struct, frozen=True, kw_only=True):
    """Where Kafka is, and how the topics are laid out and kept."""

    bootstrap: Annotated[
        str,
        form(
            "Address of the brokers; empty means the embedded server of this installation if it ever had one,"
            " else 127.0.0.1:9092.",
            rf"^(?:{_HOST}(?:,{_HOST})*)?\Z",
            "of the form host:port, several separated by commas without spaces",
        ),
    ] = ""
    prefix: Annotated[
        str, form("First part of the names of all topics and consumer groups.", _NAME, _NAME_SHAPE)
    ] = "groundswell"
    partitions: Annotated[
        int, Meta(ge=1, le=1000, description="Partitions of each topic: how many workers can share it.")
    ] = 4
    replication: Annotated[
        int, Meta(ge=1, le=100, description="Copies of each partition; at most one a broker.")
    ] = 1
    posts_days: Annotated[
        int, Meta(ge=1, le=36500, description="Days that posts stay in the posts topic.")
    ] = 7
    rejected_days: Annotated[
        int, Meta(ge=1, le=36500, description="Days that refused input stays in the rejected topic.")
    ] = 30
    compaction_lag_hours: Annotated[
        int,
        Meta(
            ge=1,
            le=876000,
            description="Hours that a deleted post's text may outlive its deletion in compacted topics.",
        ),
    ] = 24
    segment_hours: Annotated[
        int,
        Meta(
            ge=1,
            le=876000,
            description="Hours after which a topic starts a new file; only closed files are compacted.",
        ),
    ] = 6
    security_protocol: Annotated[
        Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"],
        Meta(
            description="How the brokers are spoken to, in Kafka's own words: SSL is TLS, SASL is a sign-in"
            " by name and password."
        ),
    ] = "PLAINTEXT"
    ca_file: Annotated[
        Path | None,
        Meta(
            description="Certificate (PEM) of the authority that the brokers' own must come from; empty means"
            " the system's own authorities."
        ),
    ] = None
    certificate_file: Annotated[
        Path | None,
        Meta(description="Our own certificate (PEM), where the brokers ask for one; goes with `key_file`."),
    ] = None
    key_file: Annotated[
        Path | None, Meta(description="Private key (PEM, without a password) of `certificate_file`.")
    ] = None
    sasl_mechanism: Annotated[
        Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"],
        Meta(description="How name and password are shown to the brokers, with SASL."),
    ] = "SCRAM-SHA-512"
    username: Annotated[str, Meta(description="Name to sign in with, with SASL.")] = ""
    password: Annotated[Secret, Meta(description="The password of `username`.")] = Secret()

    def __post_init__(self) -> None:
        if self.rejected_days < self.posts_days:
            # The audit would miss the reason of a refusal whose input is still in the log.
            raise ValueError("rejected_days is below posts_days: keep what was refused at least as long")
        if bool(self.certificate_file) != bool(self.key_file):
            there, lacking = ("certificate_file", "key_file")[:: 1 if self.certificate_file else -1]
            raise ValueError(f"{there} is set and {lacking} is not: set both or neither")
        if not self.tls and (self.ca_file or self.certificate_file):
            # Whoever names an authority believes that nobody listens in.
            named = "ca_file" if self.ca_file else "certificate_file"
            meant = "SASL_SSL" if self.sasl else "SSL"
            raise ValueError(
                f"{named} is set, but security_protocol {self.security_protocol} is without TLS: set {meant}"
            )
        if self.sasl and not (self.username and self.password):
            lacking = "password_file" if self.username else "username"
            raise ValueError(f"security_protocol {self.security_protocol} signs in by name: set {lacking}")
        if not self.sasl and (self.username or self.password):
            named = "username" if self.username else "password"
            meant = "SASL_SSL" if self.tls else "SASL_SSL, or SASL_PLAINTEXT without TLS"
            raise ValueError(
                f"{named} is set, but security_protocol {self.security_protocol} signs nobody in: set {meant}"
            )

    @property
    def tls(self) -> bool:
        """Whether the connections are encrypted."""
        return self.security_protocol in ("SSL", "SASL_SSL")

    @property
    def sasl(self) -> bool:
        """Whether name and password are asked for."""
        return self.security_protocol.startswith("SASL_")


class ElasticsearchSettings(Struct, frozen=True, kw_only=True):
    """Where Elasticsearch is, how to sign in, and how the indices are cut."""

    url: Annotated[
        str,
        form(
            "Address of the server, without credentials; empty means the embedded server of this"
            " installation if it ever had one, else http://127.0.0.1:9200.",
            r"^(?:https?://[^\s@/?#]+(?:/[^\s@?#]*)?)?\Z",
            "of the form http://host:port or https://host:port",
        ),
    ] = ""
    prefix: Annotated[
        str, form("First part of the names of all indices, aliases and templates.", _NAME, _NAME_SHAPE)
    ] = "groundswell"
    username: Annotated[str, Meta(description="Name to sign in with; goes with a password.")] = ""
    password: Annotated[Secret, Meta(description="The password of `username`.")] = Secret()
    api_key: Annotated[
        Secret, Meta(description="API key to sign in with, in place of `username` and its password.")
    ] = Secret()
    ca_file: Annotated[
        Path | None,
        Meta(description="Certificate (PEM) of the authority to trust; empty means the system's own."),
    ] = None
    shards: Annotated[int, Meta(ge=1, le=1024, description="Primary shards of each index.")] = 1
    replicas: Annotated[
        int, Meta(ge=0, le=100, description="Copies of each shard; 0 suits a single node.")
    ] = 0
    timeout_seconds: Annotated[
        float, Meta(gt=0, le=3600, description="Seconds to wait for an answer before trying again.")
    ] = 30.0
    snapshot_repository: Annotated[
        str,
        form(
            "Repository of snapshots, registered in Elasticsearch, that `groundswell backup` writes to"
            " ([retention.md](retention.md#backups)); empty: none.",
            r"^(?:[A-Za-z0-9][A-Za-z0-9._-]{0,99})?\Z",
            "naming a repository",
        ),
    ] = ""

    def __post_init__(self) -> None:
        if self.api_key and (self.username or self.password):
            raise ValueError("set either an api_key or username and password, not both")
        if bool(self.username) != bool(self.password):
            there, lacking = ("username", "password") if self.username else ("password", "username")
            raise ValueError(f"{there} is set and {lacking} is not: set both or neither")


class EngineSettings(Struct, frozen=True, kw_only=True):
    """How much work is in hand at once, and how often progress is recorded."""

    batch_posts: Annotated[
        int, Meta(ge=1, le=100_000, description="Records handed to an agent at once, at most.")
    ] = 1000
    in_flight_batches: Annotated[
        int,
        Meta(
            ge=1,
            le=1000,
            description="Unconfirmed batches in hand, at most, before fetching is paused. The role index"
            " counts records instead: at most those of so many full batches.",
        ),
    ] = 4
    commit_seconds: Annotated[
        float, Meta(gt=0, le=60, description="Seconds between commits of confirmed offsets.")
    ] = 0.5
    stall_seconds: Annotated[
        float,
        Meta(
            ge=1,
            le=86400,
            description="Seconds without progress, though nothing is away or slow, after which a partition is"
            " told as stalled. Slow is an answer of Elasticsearch that takes a twentieth of this.",
        ),
    ] = 60.0
    stall_exit_seconds: Annotated[
        float,
        Meta(
            ge=2,
            le=864000,
            description="Seconds without progress after which the process ends itself, to be started anew.",
        ),
    ] = 300.0
    rejected_share: Annotated[
        float,
        Meta(
            gt=0,
            le=1,
            description="Share of the last 2,000 records of a role that may be rejected before the process"
            " ends rather than reject everything; 1 bears all.",
        ),
    ] = 0.5
    bulk_bytes: Annotated[
        int,
        Meta(ge=1000, le=100_000_000, description="Bytes of one bulk request to Elasticsearch, at most."),
    ] = 5_000_000

    def __post_init__(self) -> None:
        if self.stall_exit_seconds <= self.stall_seconds:
            raise ValueError("stall_exit_seconds is not above stall_seconds: a stall is told before the end")


Step = Annotated[
    str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}\Z", extra={"shape": "naming a module in enrichers/"})
]


class EnrichSettings(Struct, frozen=True, kw_only=True):
    """What is found out about each post."""

    steps: Annotated[
        tuple[Step, ...], Meta(description="The enrichers that run, in this order; each names its module.")
    ] = ("direction", "language", "sentiment", "entities", "complaint", "contacts", "customer", "route")
    reload_seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=3600,
            description="Seconds between two looks at the settings file and the files that the steps name;"
            " what has changed there is taken up without a restart. 0: only on SIGHUP.",
        ),
    ] = 2.0

    def __post_init__(self) -> None:
        if len(set(self.steps)) < len(self.steps):
            raise ValueError("steps names an enricher twice: keep one of them")


class DirectorySettings(Struct, frozen=True, kw_only=True):
    """How the directory of customers is kept, and posts are linked anew when it changes."""

    settle_seconds: Annotated[
        float,
        Meta(
            ge=1,
            le=3600,
            description="Seconds after which posts that were on their way while a customer changed are looked"
            " at once more. enrich takes no posts while its directory is older than half of them.",
        ),
    ] = 60.0


Tables = dict[str, dict[str, Any]]


class Settings(Struct, frozen=True, kw_only=True):
    """All settings of one installation. Every one has a default: an empty file is valid."""

    kafka: KafkaSettings = KafkaSettings()
    elasticsearch: ElasticsearchSettings = ElasticsearchSettings()
    engine: EngineSettings = EngineSettings()
    enrich: EnrichSettings = EnrichSettings()
    enrichers: Annotated[
        Tables, Meta(description="A table `[enrichers.STEP]` for each step that has settings of its own.")
    ] = {}
    connectors: Annotated[
        Tables,
        Meta(
            description="A table `[connectors.NAME]` for each source: `kind` names its module in"
            " connectors/, and the other keys are that module's."
        ),
    ] = {}
    directory: DirectorySettings = DirectorySettings()
    retention: RetentionSettings = RetentionSettings()
    daemon: DaemonSettings = DaemonSettings()
    collect: CollectSettings = CollectSettings()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()

    def expiry(self, now: datetime) -> Expiry:
        """What is past its time at a moment."""
        return expiry(self.retention, max(self.kafka.posts_days, self.kafka.rejected_days), now)
