"""docs/security.md says what the code demands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args, get_type_hints

from pipeline.app.kafka_rights import GROUPS, ROLES
from pipeline.core.settings import KafkaSettings
from sinks import rights

PAGE = (Path(__file__).parents[2] / "docs" / "security.md").read_text(encoding="utf-8")


def cells(first: str) -> list[set[str]]:
    """The names in the cells of a row of a table, by its first cell."""
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{first}` |")]
    return [set(re.findall(r"`([^`]+)`", cell)) for cell in row.strip("|").split("|")[1:]]


def test_the_table_of_roles_is_that_of_the_code() -> None:
    for role, topics in ROLES.items():
        reads, writes, joined, seen = cells(role)
        named = {"queue": "queue.*"}
        assert reads == {name for name, operations in topics.items() if "READ" in operations}
        assert writes == {named.get(name, name) for name, held in topics.items() if "WRITE" in held}
        assert joined == {name for name, operations in GROUPS[role].items() if "READ" in operations}
        assert seen == {name for name, operations in GROUPS[role].items() if operations == ("DESCRIBE",)}


def test_every_privilege_has_a_row() -> None:
    told = set(re.findall(r"^\| `(\w+)` \| (?:cluster|`groundswell-\*`) \|", PAGE, re.MULTILINE))
    assert told == {*rights.CLUSTER, *rights.INDICES}


def test_every_protocol_has_a_row() -> None:
    hint = get_type_hints(KafkaSettings)["security_protocol"]
    assert all(cells(protocol) for protocol in get_args(hint))
