"""All metrics of the pipeline, in one table; the only place where a metric is named.

docs/metrics.md is this table for people; a test holds the two together.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class Metric(Struct, frozen=True):
    """``name`` follows Prometheus; ``labels`` are the names of its labels, in order."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    unit: str
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

RECORDS_IN = Metric(
    "groundswell_records_in_total",
    "counter",
    "records",
    "Records taken from Kafka or read by connectors",
    ("role",),
)
RECORDS_OUT = Metric(
    "groundswell_records_out_total",
    "counter",
    "records",
    "Records confirmed by Kafka or Elasticsearch, by outcome: applied or rejected",
    ("role", "outcome"),
)
BATCH_SECONDS = Metric(
    "groundswell_batch_seconds",
    "histogram",
    "seconds",
    "Time from taking a batch in hand to its confirmation",
    ("role",),
    _SECONDS,
)
IN_HAND = Metric(
    "groundswell_batches_in_hand", "gauge", "batches", "Batches taken and not yet confirmed", ("role",)
)
RETRIES = Metric(
    "groundswell_retries_total",
    "counter",
    "attempts",
    "Attempts repeated because the other side could not take any, by which side: kafka or elasticsearch",
    ("role", "part"),
)
LAG = Metric(
    "groundswell_lag_records",
    "gauge",
    "records",
    "Records of a partition not yet confirmed",
    ("role", "topic", "partition"),
)
AGE = Metric(
    "groundswell_oldest_record_seconds",
    "gauge",
    "seconds",
    "Age of the oldest record of a partition that is not yet confirmed, 0 where there is none",
    ("role", "topic", "partition"),
)
LOST = Metric(
    "groundswell_records_lost_total",
    "counter",
    "records",
    "Records that Kafka's retention removed before they were read",
    ("role", "topic"),
)
REFUSALS = Metric(
    "groundswell_refusals_total",
    "counter",
    "records",
    "Records refused, by the stage and the reason of their rejection; a repeat counts again",
    ("role", "stage", "reason"),
)
REBALANCES = Metric(
    "groundswell_rebalances_total",
    "counter",
    "rebalances",
    "Times that the consumer group shared out its partitions anew",
    ("role",),
)
PRODUCER_QUEUE = Metric(
    "groundswell_producer_queue_records",
    "gauge",
    "records",
    "Records handed to the producer that Kafka has not confirmed; it takes 100,000 and then blocks",
    ("role",),
)
READY = Metric(
    "groundswell_ready", "gauge", "flag", "1 when the process does its work, 0 when it waits", ("role",)
)
WAITING = Metric(
    "groundswell_waiting",
    "gauge",
    "flag",
    "1 while the process waits for this part, as /readyz names it: kafka, elasticsearch, directory, stall …",
    ("role", "part"),
)
ELASTICSEARCH = Metric(
    "groundswell_elasticsearch_status",
    "gauge",
    "0 to 2",
    "Health of the Elasticsearch cluster as it said last: 0 green, 1 yellow, 2 red",
    ("role",),
)
BUILD = Metric(
    "groundswell_build_info", "gauge", "1", "Always 1; the version is the label", ("role", "version")
)
STARTED = Metric(
    "groundswell_started_seconds", "gauge", "seconds since 1970", "When the process began", ("role",)
)
MEMORY = Metric(
    "groundswell_memory_bytes",
    "gauge",
    "bytes",
    "Resident memory of the process, without the files that it maps",
    ("role",),
)
CPU = Metric(
    "groundswell_cpu_seconds_total", "counter", "seconds", "Processor time of all threads", ("role",)
)
ROLE_DEATHS = Metric(
    "groundswell_role_deaths",
    "gauge",
    "deaths",
    "Deaths in a row of each role below the same supervisor, as every living role there tells them",
    ("role",),
)
ROLE_PARKED = Metric(
    "groundswell_role_parked",
    "gauge",
    "flag",
    "1 for a role that its supervisor has given up for long, as every living role there tells it",
    ("role",),
)
CASES_OPEN = Metric(
    "groundswell_cases_open", "gauge", "cases", "Cases of a queue that are not resolved", ("queue",)
)
CASES_UNASSIGNED = Metric(
    "groundswell_cases_unassigned", "gauge", "cases", "Cases of a queue that nobody has taken", ("queue",)
)
CASES_LATE = Metric(
    "groundswell_cases_late",
    "gauge",
    "cases",
    "Cases of a queue without a first response although it was due",
    ("queue",),
)
CUSTOMER_CHANGES = Metric(
    "groundswell_customer_changes_total",
    "counter",
    "records",
    "Changes of customers that the directory of this machine has taken in",
    ("role",),
)
DIRECTORY_AGE = Metric(
    "groundswell_directory_age_seconds",
    "gauge",
    "seconds",
    "Time since the directory of this machine held all customers that Kafka held",
    ("role",),
)
TIDIED = Metric(
    "groundswell_tidied_seconds",
    "gauge",
    "seconds",
    "When the installation was last tidied, since 1970; the start of the process where that never was",
    ("role",),
)
RELINKED = Metric(
    "groundswell_posts_relinked_total",
    "counter",
    "posts",
    "Posts sent once more because a customer changed, by pass: first or second",
    ("role", "pass"),
)
FILES_EDITION = Metric(
    "groundswell_files_edition",
    "gauge",
    "editions",
    "How many times the files of the steps (rules, brands …) were taken up, 1 at the start",
    ("role",),
)
FILES_VALID = Metric(
    "groundswell_files_valid",
    "gauge",
    "flag",
    "1 when those files are in use as they are, 0 when a change was refused and the older ones go on",
    ("role",),
)
CONNECTOR_POSTS = Metric(
    "groundswell_connector_posts_total",
    "counter",
    "posts",
    "Posts of a connector that Kafka has confirmed",
    ("connector",),
)
CONNECTOR_STATE = Metric(
    "groundswell_connector_state",
    "gauge",
    "flag",
    "1 for the state that a connector is in, 0 for the others",
    ("connector", "state"),
)
CONNECTOR_LAST_POST = Metric(
    "groundswell_connector_last_post_seconds",
    "gauge",
    "seconds since 1970",
    "When Kafka confirmed the last post of a connector",
    ("connector",),
)
CONNECTOR_LAG = Metric(
    "groundswell_connector_lag_seconds",
    "gauge",
    "seconds",
    "Age of the newest post of a connector's last read with posts, when it was read",
    ("connector",),
)
LIMIT_LEFT = Metric(
    "groundswell_connector_limit_left",
    "gauge",
    "as the platform counts",
    "What a platform still lets a connector ask, as it told last",
    ("connector", "limit"),
)
LIMIT_TOTAL = Metric(
    "groundswell_connector_limit_total",
    "gauge",
    "as the platform counts",
    "What a platform lets a connector ask in one period",
    ("connector", "limit"),
)
LIMIT_RESETS = Metric(
    "groundswell_connector_limit_resets_seconds",
    "gauge",
    "seconds",
    "Time until a platform's limit begins anew",
    ("connector", "limit"),
)

ALL: tuple[Metric, ...] = (
    RECORDS_IN,
    RECORDS_OUT,
    BATCH_SECONDS,
    IN_HAND,
    RETRIES,
    LAG,
    AGE,
    LOST,
    REFUSALS,
    REBALANCES,
    PRODUCER_QUEUE,
    READY,
    WAITING,
    ELASTICSEARCH,
    BUILD,
    STARTED,
    MEMORY,
    CPU,
    ROLE_DEATHS,
    ROLE_PARKED,
    CASES_OPEN,
    CASES_UNASSIGNED,
    CASES_LATE,
    CUSTOMER_CHANGES,
    DIRECTORY_AGE,
    TIDIED,
    RELINKED,
    FILES_EDITION,
    FILES_VALID,
    CONNECTOR_POSTS,
    CONNECTOR_STATE,
    CONNECTOR_LAST_POST,
    CONNECTOR_LAG,
    LIMIT_LEFT,
    LIMIT_TOTAL,
    LIMIT_RESETS,
)
