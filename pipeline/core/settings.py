"""The settings of one installation: every section, every key, its default, its bounds, its meaning.

This is the schema and nothing else. It does not know where values come from; reading a file and the
environment into it is :mod:`pipeline.core.configuration`. An operator's own words for each key are
the descriptions here: `docs/settings.md` and the comments of `configs/groundswell.toml` follow them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

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
            "Address of the brokers; empty means the embedded server of this installation if it is up,"
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

    def __post_init__(self) -> None:
        if self.rejected_days < self.posts_days:
            # The audit would miss the reason of a refusal whose input is still in the log.
            raise ValueError("rejected_days is below posts_days: keep what was refused at least as long")


class ElasticsearchSettings(Struct, frozen=True, kw_only=True):
    """Where Elasticsearch is, how to sign in, and how the indices are cut."""

    url: Annotated[
        str,
        form(
            "Address of the server, without credentials; empty means the embedded server of this"
            " installation if it is up, else http://127.0.0.1:9200.",
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
        Meta(ge=1, le=1000, description="Unconfirmed batches in hand, at most, before fetching is paused."),
    ] = 4
    commit_seconds: Annotated[
        float, Meta(gt=0, le=60, description="Seconds between commits of confirmed offsets.")
    ] = 0.5
    bulk_bytes: Annotated[
        int,
        Meta(ge=1000, le=100_000_000, description="Bytes of one bulk request to Elasticsearch, at most."),
    ] = 5_000_000


Step = Annotated[
    str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}\Z", extra={"shape": "naming a module in enrichers/"})
]


class EnrichSettings(Struct, frozen=True, kw_only=True):
    """What is found out about each post."""

    steps: Annotated[
        tuple[Step, ...], Meta(description="The enrichers that run, in this order; each names its module.")
    ] = ("direction", "language", "sentiment", "entities", "complaint", "contacts", "customer", "route")

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


class DaemonSettings(Struct, frozen=True, kw_only=True):
    """When `groundswell run` gives up a role that dies again and again."""

    park_after: Annotated[
        int,
        Meta(
            ge=0,
            le=1000,
            description="Deaths of a role in a row after which it is parked, that is, left alone for long."
            " 0: never.",
        ),
    ] = 10
    healthy_seconds: Annotated[
        float,
        Meta(ge=1, le=86400, description="Seconds that a role must live for its deaths to be counted anew."),
    ] = 60.0
    parked_minutes: Annotated[
        float,
        Meta(
            gt=0,
            le=10080,
            description="Minutes after which a parked role is tried once again. SIGHUP has it tried at once.",
        ),
    ] = 60.0


class CollectSettings(Struct, frozen=True, kw_only=True):
    """When the role collect gives up a connector, and when it tells of one that does not answer."""

    park_after: Annotated[
        int,
        Meta(
            ge=0,
            le=1000,
            description="Failures of a connector in a row that waiting does not mend (credentials, names,"
            " unforeseen faults) after which it is parked. 0: never.",
        ),
    ] = 6
    parked_hours: Annotated[
        float,
        Meta(
            gt=0,
            le=720,
            description="Hours after which a parked connector is tried once again. SIGHUP, and a change of"
            " the settings file or of a file that its table names, have it tried at once.",
        ),
    ] = 24.0
    silent_seconds: Annotated[
        float,
        Meta(
            gt=0,
            le=86400,
            description="Seconds after which a connector that has not come back from reading is told of.",
        ),
    ] = 120.0


class HttpSettings(Struct, frozen=True, kw_only=True):
    """Where the health and metrics pages are served."""

    host: Annotated[
        str, Meta(min_length=1, description="Address to listen on; the pages have no password.")
    ] = "127.0.0.1"
    port: Annotated[
        int,
        Meta(
            ge=0,
            le=65535,
            description="First port; each role adds its number (collect 0, enrich 1, index 2, directory 3)."
            " 0 takes any free port.",
        ),
    ] = 9640


class LogSettings(Struct, frozen=True, kw_only=True):
    """What is written to the log, and how."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="The least that is worth a line.")
    ] = "info"
    format: Annotated[
        Literal["text", "json"], Meta(description="Lines for people, or one JSON object a line.")
    ] = "text"


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
    daemon: DaemonSettings = DaemonSettings()
    collect: CollectSettings = CollectSettings()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()
