"""The fields of the index, as its mapping tells them: what can be asked for, sorted and counted by.

The mapping that ships is the only list; docs/fields.md explains it.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any

from msgspec import Struct

from pipeline.core.errors import ConfigError
from sinks.elastic import shipped


class Field(Struct, frozen=True):
    """``type`` is Elasticsearch's; ``many`` says that a post may have several values of it.

    ``exact`` is the name under which its values can be sorted and counted, empty where they cannot.
    """

    name: str
    type: str
    many: bool
    exact: str


JOINED = {"customer.name": Field("customer.name", "keyword", False, "")}
"""Fields that are in no document of a post: they are read from another index when posts are shown."""


@cache
def catalogue() -> Mapping[str, Field]:
    """All fields by name, in the order of the documents; objects are named by their leaves only."""
    found: dict[str, Field] = {}
    _collect(shipped()["mappings"]["properties"], "", found)
    return found


def _collect(properties: Mapping[str, Any], prefix: str, found: dict[str, Field]) -> None:
    for key, spec in properties.items():
        name = prefix + key
        if "properties" in spec:
            _collect(spec["properties"], f"{name}.", found)
            continue
        exact = name
        if spec["type"] == "text":
            exact = f"{name}.keyword" if "keyword" in spec.get("fields", {}) else ""
        found[name] = Field(name, spec["type"], "meta" in spec and "many" in spec["meta"], exact)


def leaves(name: str) -> list[Field]:
    """The field of that name, also a joined one, or the fields of the object of that name.

    Raises ConfigError for an unknown one, with the nearest that is known.
    """
    known = catalogue()
    if found := known.get(name) or JOINED.get(name):
        return [found]
    inside = [field for field in known.values() if field.name.startswith(f"{name}.")]
    if not inside:
        raise ConfigError(_unknown(name))
    return inside


def exact(name: str, purpose: str) -> Field:
    """The field to sort or count by; ``purpose`` says which, for the message.

    Raises ConfigError for an unknown field, for an object and for running text.
    """
    known = catalogue()
    whole = name.removesuffix(".keyword")
    # Each step of `versions` is a field of its own, of which the mapping does not know the names.
    if name.startswith("versions."):
        return Field(name, "keyword", False, name)
    if whole not in known and (inside := [field for field in known if field.startswith(f"{whole}.")]):
        raise ConfigError(f"`{name}` has parts: {purpose} one of them, such as `{inside[0]}`")
    if whole not in known:
        raise ConfigError(_unknown(name))
    if not known[whole].exact:
        raise ConfigError(f"cannot {purpose} `{name}`: it is running text, not a value")
    return known[whole]


def is_field(name: str) -> bool:
    """Whether a query may ask for it: a field, a form of one, or an object."""
    known = catalogue()
    return (
        name in known
        or name.startswith("versions.")
        or name.rpartition(".")[0] in known
        or any(field.startswith(f"{name}.") for field in known)
    )


def _unknown(name: str) -> str:
    if name in JOINED:
        above = name.rpartition(".")[0]
        return f"`{name}` is no field of posts, only shown beside them (--fields): go by `{above}.id`"
    near = get_close_matches(name, catalogue(), n=1, cutoff=0.5) or [
        field for field in catalogue() if name.lower() in field.split(".")
    ]
    hint = f"did you mean `{near[0]}`?" if near else "docs/fields.md lists them all"
    return f"the index has no field `{name}`: {hint}"


def unknown(name: str) -> str:
    """The sentence for a field that the index does not have."""
    return _unknown(name)
