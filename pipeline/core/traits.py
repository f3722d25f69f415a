"""What conditions ask of posts that has few answers: which of some values a field has, and whether a
step found anything at all. Posts of the same *traits* and signs are alike to most rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import truth
from typing import Any

from pipeline.core.checks import Layout, Row
from pipeline.core.event_fields import Field, read_value

_NONE: frozenset[Any] = frozenset()


class Traits:
    """The traits that the conditions of one layout ask for; all are added before the first post."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._wanted: dict[str, tuple[Field, set[Any]]] = {}
        self._present: dict[str, None] = {}

    def add(self, field: Field, values: Iterable[Any]) -> None:
        """Conditions ask whether the field has any of these."""
        self._wanted.setdefault(field.path, (field, set()))[1].update(values)

    def presence(self, column: str) -> Callable[[Row], Any]:
        """A function from a row to its value of the column; conditions ask whether there is any."""
        self._present[column] = None
        return self._layout.column(column)

    def of_all(self, columns: Mapping[str, Sequence[Any]]) -> list[Iterable[Any]]:
        """Each trait of each post of a batch, trait by trait."""
        found: list[Iterable[Any]] = [map(truth, columns[name]) for name in self._present]
        for field, values in self._wanted.values():
            seen = map(read_value(field), columns[field.column])
            if field.many:
                among = frozenset(values).intersection
                found.append([among(several) if several else _NONE for several in seen])
            else:
                found.append(map({value: value for value in values}.get, seen))
        return found
