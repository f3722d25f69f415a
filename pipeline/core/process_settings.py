"""The settings of running processes: when roles and connectors are given up, where they show their health,
how they log. A part of the schema in :mod:`pipeline.core.settings`, whose rules hold here, too.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

LINES_A_MINUTE = 30


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
        Literal["text", "json"],
        Meta(
            description="Lines for people, or one JSON object a line with the names of the Elastic Common"
            " Schema. `--log-format` of a command goes before."
        ),
    ] = "text"
    lines_a_minute: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="Lines of one kind a minute, at most; of the rest one line tells the number."
            " 0: no limit.",
        ),
    ] = LINES_A_MINUTE
