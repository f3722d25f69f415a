"""A company's customers for benchmarks: some of them write the posts, as many never do."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

SEGMENTS = ("basic", "basic", "gold", "platinum")


def customers_among(
    posts: list[dict[str, Any]], count: int, strangers: Collection[str] = ()
) -> list[dict[str, Any]]:
    """So many rows for `customer import`: half of them the first authors of the posts by their accounts, but
    for ``strangers``; the others never post."""
    authors = list(dict.fromkeys(post["author"]["id"] for post in posts))
    ids = [author for author in authors if author not in strangers][: count // 2]
    ids += [f"x:nobody-{number}" for number in range(count - len(ids))]
    return [
        {
            "customer_id": f"AA-{number:06d}",
            "name": f"Customer {number}",
            "email": f"customer{number}@example.com",
            "phone": f"+1202555{number % 10000:04d}",
            "segment": SEGMENTS[number % len(SEGMENTS)],
            "value": number % 100 * 100,
            "accounts": [{"source": author.partition(":")[0], "id": author}],
        }
        for number, author in enumerate(ids)
    ]


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """The rows as JSON Lines."""
    path.write_bytes(b"".join(json.dumps(row).encode() + b"\n" for row in rows))
