"""What the directory of customers costs, and how that grows: ``python benchmarks/directory.py [CUSTOMERS]``.

Fills two directories, of a thousand customers and of CUSTOMERS (a million), from changes as the customers
topic gives them, five keys a customer. Then, in one run: seconds and bytes to build, seconds until a new
reader has its first answer, look-ups a second by keys that are there and by keys that are not, what the
steps `contacts` and `customer` take of a post with each directory, and what the whole chain takes where it
remembers no author. Best of five.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from msgspec import structs

sys.path.insert(0, str(Path(__file__).resolve().parent / "speed"))

from ours import write_settings

from enrichers import contacts, customer
from pipeline.app.registry import build_chain
from pipeline.core.configuration import read_settings
from pipeline.core.customer import Account, Customer
from pipeline.core.errors import RejectedError
from pipeline.core.linking import handle_key, link
from pipeline.core.post import Author, Post, decode_post
from pipeline.identity.directory import Change, DirectoryReader, DirectoryWriter

FEW = 1000
BATCH = 10_000
LOOKS = 30_000
POSTS = 20_000
AUTHORS = 9_000
CHAINED = 6_000


def customer_of(number: int) -> Customer:
    """One of many, with five keys."""
    return Customer(
        id=f"LW-{number:07d}",
        name=f"Customer {number}",
        emails=(f"customer{number}@mail.example",),
        phones=(f"+1202{number:07d}",),
        accounts=(Account("x", f"user_{number}", f"x:{number}"),),
        segment="gold" if number % 7 else "silver",
        value=float(number % 1000),
    )


def batches(count: int) -> Iterator[list[Change]]:
    """The customers topic, in portions."""
    for begin in range(0, count, BATCH):
        yield [
            Change(number % 4, number, f"LW-{number:07d}", customer_of(number))
            for number in range(begin, min(begin + BATCH, count))
        ]


def build(folder: Path, count: int) -> dict[str, float]:
    """Fills a directory; what it took."""
    writer = DirectoryWriter(folder)
    spent = 0.0
    for changes in batches(count):
        began = time.perf_counter()
        writer.apply(changes)
        spent += time.perf_counter() - began
    # Else it is taken for half built, and the step `customer` waits.
    writer.note_fresh(datetime.now(UTC))
    writer.close()
    began = time.perf_counter()
    reader = DirectoryReader(folder)
    with reader.moment() as moment:
        assert moment.known("LW-0000001")
    opened = time.perf_counter() - began
    reader.close()
    size = (folder / "data.mdb").stat().st_blocks * 512
    return {"build_s": round(spent, 2), "megabytes": round(size / 1e6, 1), "open_ms": round(opened * 1e3, 2)}


def best(run: Callable[[], object], times: int = 5) -> float:
    """Seconds of processor time."""
    found = []
    for _ in range(times):
        began = time.process_time()
        run()
        found.append(time.process_time() - began)
    return min(found)


def looks(folder: Path, count: int) -> dict[str, float]:
    """Thousands of look-ups a second of an author's key, and microseconds of a whole decision."""
    draw = random.Random(7)
    there = [handle_key("x", f"user_{draw.randrange(count)}") for _ in range(LOOKS)]
    absent = [handle_key("x", f"nobody_{number}") for number in range(LOOKS)]
    authors = [Author(id=f"x:{n}", handle=f"user_{n}") for n in (draw.randrange(count) for _ in range(LOOKS))]
    strangers = [Author(id=f"x:s{number}", handle=f"Stranger_{number}") for number in range(LOOKS)]
    reader = DirectoryReader(folder)
    with reader.moment() as moment:
        found = {
            "k_hits_per_s": LOOKS / best(lambda: list(map(moment.holders, there))) / 1e3,
            "k_misses_per_s": LOOKS / best(lambda: list(map(moment.holders, absent))) / 1e3,
            "us_to_link_a_customer": best(lambda: [link("x", one, (), moment) for one in authors])
            / LOOKS
            * 1e6,
            "us_to_link_a_stranger": best(lambda: [link("x", one, (), moment) for one in strangers])
            / LOOKS
            * 1e6,
        }
    reader.close()
    return {name: round(value, 2) for name, value in found.items()}


def posts(customers: int) -> list[Post]:
    """The demo's posts over and over, from many authors. Every second one is a customer, and these stand all
    over the directory."""
    found: list[Post] = []
    for line in files("configs").joinpath("demo/posts.jsonl").read_bytes().splitlines():
        try:
            found.append(decode_post(line))
        except RejectedError:
            continue
    found = [post for post in found if not post.deleted]
    return [
        structs.replace(
            found[i % len(found)], id=f"x:{i}", source="x", author=_author(i % AUTHORS, customers)
        )
        for i in range(POSTS)
    ]


def _author(number: int, customers: int) -> Author:
    if number % 2:
        return Author(id=f"x:s{number}", handle=f"Stranger_{number}")
    known = number * customers // AUTHORS
    return Author(id=f"x:{known}", handle=f"User_{known}")


def steps(folder: Path, batch: list[Post]) -> dict[str, float]:
    """Microseconds a post of both steps, in batches of a thousand."""
    portions = [batch[i : i + 1000] for i in range(0, len(batch), 1000)]
    first = contacts.build(contacts.SETTINGS(region="US", number="LW-[0-9]{7}"))
    second = customer.build(customer.SETTINGS(directory=folder))
    columns: list[dict[str, Any]] = [
        {"post": portion, "contacts": first.enrich({"post": portion})} for portion in portions
    ]
    found = {
        "us_contacts": best(lambda: [first.enrich(one) for one in columns]) / len(batch) * 1e6,
        "us_customer": best(lambda: [second.enrich(one) for one in columns]) / len(batch) * 1e6,
    }
    found["us_steps"] = sum(found.values())
    return {name: round(value, 2) for name, value in found.items()}


def chain_of_new(folder: Path, batch: list[Post]) -> dict[str, float]:
    """Microseconds a post of the whole chain where no author was met before, so that each is looked up."""
    with tempfile.TemporaryDirectory() as place:
        settings = read_settings(
            write_settings(Path(place)), {"GROUNDSWELL_ENRICHERS_CUSTOMER_DIRECTORY": str(folder)}
        )
        chain, now = build_chain(settings), datetime.now(UTC)
    remembered, customer.REMEMBERED = customer.REMEMBERED, 0
    portions = [batch[i : i + 1000] for i in range(0, len(batch), 1000)]
    seconds = best(
        lambda: [chain.process(one, [now] * len(one), prefix="bench", now=now) for one in portions]
    )
    customer.REMEMBERED = remembered
    return {"us_chain_of_new": round(seconds / len(batch) * 1e6, 2)}


def main() -> None:
    """Prints one JSON object: both directories, and the ratios of the large one to the small one."""
    many = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    told: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as home:
        for count in (FEW, many):
            folder = Path(home) / str(count)
            batch = posts(count)
            told[str(count)] = (
                build(folder, count)
                | looks(folder, count)
                | steps(folder, batch)
                | chain_of_new(folder, batch[:CHAINED])
            )
    few, large = told[str(FEW)], told[str(many)]
    told["ratio"] = {
        name: round(few[name] / large[name] if "per_s" in name else large[name] / few[name], 2)
        for name in few
        if name.startswith(("k_", "us_", "open"))
    }
    print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
