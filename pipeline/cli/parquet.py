"""Documents of the index as a Parquet file, with the columns' types taken from the mapping."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, BinaryIO

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.app.fields import Field
from pipeline.cli.output import value_at

GROUP = 5_000
"""Rows in one group: as many are held at a time."""

_TYPES = {
    "keyword": pa.string(),
    "text": pa.string(),
    "flattened": pa.string(),
    "long": pa.int64(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.timestamp("us", tz="UTC"),
}


def write_parquet(documents: Iterable[Mapping[str, object]], fields: Sequence[Field], out: BinaryIO) -> int:
    """Writes one column a field and returns the number of rows. A field with many values is a list,
    and an object of unknown keys (`versions`) is JSON in a string."""
    schema = pa.schema([(field.name, _type(field)) for field in fields])
    rows = 0
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        for group in _groups(documents):
            columns = [
                pa.array([_value(document, field) for document in group], type=_type(field))
                for field in fields
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
            rows += len(group)
    return rows


def _groups(documents: Iterable[Mapping[str, object]]) -> Iterator[list[Mapping[str, object]]]:
    group: list[Mapping[str, object]] = []
    for document in documents:
        group.append(document)
        if len(group) == GROUP:
            yield group
            group = []
    if group:
        yield group


def _type(field: Field) -> Any:
    return pa.list_(_TYPES[field.type]) if field.many else _TYPES[field.type]


def _value(document: Mapping[str, object], field: Field) -> object:
    value = value_at(document, field.name)
    if field.many and isinstance(value, list):
        return [_single(item, field.type) for item in value]
    return _single(value, field.type)


def _single(value: object, type: str) -> object:
    if type == "date" and isinstance(value, str):
        return datetime.fromisoformat(value).astimezone(UTC)
    if type == "flattened" and value is not None:
        return msgspec.json.encode(value).decode()
    return value
