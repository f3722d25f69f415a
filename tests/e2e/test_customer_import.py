"""`groundswell customer import` and `remove` against a true Kafka: what the topic holds in the end."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from pipeline.app.log_reader import read_topic
from pipeline.app.topics import topics_of
from pipeline.core.customer import Customer, decode_customer
from testkit.installation import Installation
from testkit.waiting import halt

DEMO = (files("configs") / "demo" / "customers.csv").read_text(encoding="utf-8")


def topic(installation: Installation) -> str:
    return topics_of(installation.settings.kafka).customers.name


def sent(installation: Installation) -> int:
    """Records of the topic."""
    return sum(len(portion) for portion in read_topic(installation.kafka, topic(installation)))


def held(installation: Installation) -> dict[str, Customer]:
    """The customers that the topic holds."""
    found: dict[str, Customer] = {}
    for portion in read_topic(installation.kafka, topic(installation)):
        for record in portion:
            found.pop(record.key.decode(), None)
            if record.value is not None:
                found[record.key.decode()] = decode_customer(record.value)
    assert all(key == customer.id for key, customer in found.items())
    return found


class Books:
    """Imports texts into one installation."""

    def __init__(self, installation: Installation, folder: Path) -> None:
        self.installation = installation
        self._file = folder / "customers.csv"

    def take(self, text: str, *options: str, status: int = 0) -> tuple[str, list[dict[str, Any]]]:
        """Imports it; what standard error says, and the list of what is wrong."""
        self._file.write_text(text, encoding="utf-8")
        done = self.installation.command("customer", "import", str(self._file), "--format", "json", *options)
        assert done.returncode == status, done.stderr.decode()
        return done.stderr.decode(), json.loads(done.stdout) if status != 2 else []


@pytest.fixture
def books(installation: Installation, tmp_path: Path) -> Books:
    return Books(installation, tmp_path)


def table(rows: int, **cells: str) -> str:
    """A file of so many customers."""
    return "\n".join(
        [",".join(["id", *cells]), *(",".join([f"c-{n}", *cells.values()]) for n in range(rows))]
    )


def test_the_demo_goes_in_once(books: Books) -> None:
    said, wrong = books.take(DEMO)
    assert said.startswith(
        "62 rows: 62 new, 0 changed, 0 unchanged, 0 removed, 0 refused; 0 fields left out; UTF-8;"
    )
    assert wrong == []
    customers = held(books.installation)
    assert len(customers) == sent(books.installation) == 62
    assert customers["LW-207318"].accounts[0].handle == "jonas@funk.example"
    said, _ = books.take(DEMO)
    assert said.startswith("62 rows: 0 new, 0 changed, 62 unchanged,")
    assert sent(books.installation) == 62, "the same file again sends nothing"


def test_changes_deletions_and_refusals(books: Books) -> None:
    books.take("id,name\n1,Ann\n2,Bob\n3,Cat\n")
    said, wrong = books.take(
        "id,name,deleted,shoes\n1,Ann B,,42\n2,,yes,\n9,,yes,\n4,Dan,,\n4,Dan,,\n4,Dana,,\n,x,,\n", status=3
    )
    assert said.startswith(
        "7 rows: 1 new, 1 changed, 1 unchanged, 1 removed, 2 refused, 1 repeated; 0 fields left out"
    )
    assert "left out: `shoes`" in said
    assert [(one["line"], one["id"], one["result"]) for one in wrong] == [
        (7, "4", "refused"),
        (8, "", "refused"),
    ]
    assert "line 5" in wrong[0]["problem"]
    assert {key: one.name for key, one in held(books.installation).items()} == {
        "1": "Ann B",
        "3": "Cat",
        "4": "Dan",
    }


def test_a_dry_run_changes_nothing(books: Books) -> None:
    said, _ = books.take(table(3), "--dry-run")
    assert "3 new" in said
    assert "nothing was sent" in said
    assert sent(books.installation) == 0


def test_replace_removes_whom_the_file_does_not_name_unless_it_looks_like_an_accident(books: Books) -> None:
    books.take(table(10))
    said, _ = books.take(table(4), "--replace", status=2)
    assert "would remove 6 of 10 customers" in said
    said, _ = books.take(table(9) + "\nc-9,too,many\n", "--replace", status=2)
    assert "1 rows were refused" in said
    assert len(held(books.installation)) == sent(books.installation) == 10
    said, _ = books.take(table(6), "--replace")
    assert "4 removed" in said
    assert len(held(books.installation)) == 6
    # A refused row names its customer: they stay as they are.
    said, _ = books.take(table(1) + "\nc-5,too,many\n", "--replace", "--yes", status=3)
    assert set(held(books.installation)) == {"c-0", "c-5"}
    said, _ = books.take(table(1), "--yes", status=2)
    assert "--yes is for --replace" in said


def test_one_address_of_ten_thousand_customers_goes_in(books: Books) -> None:
    said, wrong = books.take(table(10_000, email="info@shop.example"))
    assert "10,000 new" in said
    assert not wrong
    assert {one.emails for one in held(books.installation).values()} == {("info@shop.example",)}


def test_standard_input_and_a_table_of_what_is_wrong(installation: Installation) -> None:
    done = installation.command(
        "customer", "import", "-", stdin="id;e-mail;name\n1;none;Ünal\n".encode("cp1252")
    )
    assert done.returncode == 0
    assert b"Windows-1252, for line 2 is no UTF-8" in done.stderr
    header, row = done.stdout.decode().splitlines()
    assert header.split() == ["line", "id", "result", "problem"]
    assert "email left out" in row
    assert "`none` is no e-mail address" in row
    assert held(installation)["1"].name == "Ünal"


def test_a_damaged_archive_changes_nothing(installation: Installation, tmp_path: Path) -> None:
    path = tmp_path / "customers.csv.gz"
    path.write_bytes(gzip.compress(table(50_000, name="Ann").encode())[:-100])
    done = installation.command("customer", "import", str(path))
    assert done.returncode == 1
    assert done.stderr.decode().count("\n") == 1
    assert sent(installation) == 0


def test_an_import_killed_in_the_middle_and_again(installation: Installation, tmp_path: Path) -> None:
    rows = 120_000
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["id", "name", "email"])
    chance = random.Random(4)
    for n in range(rows):
        writer.writerow([f"c-{n}", f"{chance.random()}", f"a{n}@x.org"])
    path = tmp_path / "customers.csv"
    path.write_text(out.getvalue())
    first = installation.start("customer", "import", str(path))
    # All is sent in half a second, and to look at the topic may take longer.
    halt(first.pid, lambda: first.poll() is not None or sent(installation) > 0, why="it sends")
    assert first.poll() is None, "the death must fall into the middle"
    first.kill()
    first.communicate()
    before = len(held(installation))
    assert 0 < before < rows
    again = installation.command("customer", "import", str(path))
    assert again.returncode == 0, again.stderr.decode()
    customers = held(installation)
    assert len(customers) == rows
    assert customers["c-77"].emails == ("a77@x.org",)
    assert f"{rows:,} rows: {rows - before:,} new, 0 changed, {before:,} unchanged" in again.stderr.decode()


def test_numbers_without_a_code_are_of_the_region_of_the_settings(install: Any) -> None:
    installation = install(GROUNDSWELL_ENRICHERS_CONTACTS_REGION="DE")
    done = installation.command("customer", "import", "-", stdin=b"id,phone\n1,030 / 1234 5678\n")
    assert done.returncode == 0, done.stderr.decode()
    assert held(installation)["1"].phones == ("+493012345678",)
    wrong = install(GROUNDSWELL_ENRICHERS_CONTACTS_REGION="UK")
    done = wrong.command("customer", "import", "-", stdin=b"id,phone\n2,030\n")
    assert done.returncode == 2
    assert b"enrichers.contacts.region" in done.stderr


def test_remove_takes_out_whom_it_knows(books: Books) -> None:
    books.take(table(3))
    done = books.installation.command("customer", "remove", "c-1", "c-9", "c-1")
    assert done.returncode == 3
    assert done.stderr.decode().splitlines() == ["there is no customer `c-9`", "1 removed"]
    assert set(held(books.installation)) == {"c-0", "c-2"}
    assert sent(books.installation) == 4
    assert books.installation.command("customer", "remove", "c-0", "c-2").returncode == 0
    assert held(books.installation) == {}


def test_kafka_away_is_one_sentence(install: Any, tmp_path: Path) -> None:
    installation = install(GROUNDSWELL_KAFKA_BOOTSTRAP="127.0.0.1:1")
    path = tmp_path / "customers.csv"
    path.write_text("id\n1\n")
    for words in (("import", str(path)), ("import", str(path), "--dry-run"), ("remove", "1")):
        done = installation.command("customer", *words)
        assert done.returncode == 1
        assert done.stderr.decode().startswith("groundswell: Kafka does not answer")
        assert done.stderr.decode().count("\n") == 1
