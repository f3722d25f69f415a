"""Customers come, change and go: in the end every post is linked as the customers of today say.

With the roles as processes. A post is sent once; nobody sends it again for a customer's sake.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.app.daemon import Daemon
from pipeline.app.offsets import spans
from pipeline.app.producer import Producer, Record
from pipeline.app.site import group
from pipeline.app.topics import admin_client, ensure_topics
from pipeline.core.customer import Account, Customer, encode_customer
from pipeline.core.event import CustomerLink, Event, encode_event
from pipeline.core.post import decode_post
from pipeline.identity.directory import FOLDER, DirectoryReader
from sinks.store import Store
from testkit.installation import Installation, rows_of
from testkit.waiting import until

SETTINGS = {
    "GROUNDSWELL_ENRICH_STEPS": "language,contacts,customer",
    "GROUNDSWELL_DIRECTORY_SETTLE_SECONDS": "2",
}
ROLES = ("enrich", "index", "directory")

ANN = Customer(
    id="c1", name="Ann", accounts=(Account("x", "ann"),), emails=("ann@example.org",), segment="gold"
)


class Company:
    """An installation with customers: what is in its books, and which post is linked to whom."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.topics = ensure_topics(installation.kafka, installation.settings.kafka)
        self._producer = Producer(installation.kafka)

    def books(self, *customers: Customer, gone: Sequence[str] = ()) -> None:
        """Sends customers, and that some are gone."""
        topic = self.topics.customers.name
        records = [Record(topic, customer.id.encode(), encode_customer(customer)) for customer in customers]
        self._producer.deliver([*records, *(Record(topic, id.encode(), None) for id in gone)])

    def say(self, *posts: dict[str, Any]) -> None:
        """Posts come in."""
        made = [{"text": "hello", "author": {"id": "x:9"}, **post} for post in posts]
        topic = self.topics.posts.name
        self._producer.deliver(
            [Record(topic, post["id"].encode(), json.dumps(post).encode()) for post in made]
        )

    def publish(self, event: Event) -> None:
        """An event, as an enrich elsewhere would send it."""
        topic = self.topics.events.name
        self._producer.deliver([Record(topic, event.post.id.encode(), encode_event(event))])

    def settle(self, daemon: Daemon) -> None:
        """Waits until the customers have had their second look, and then all posts are worked off."""
        settings = self.installation.settings
        admin = admin_client(self.installation.kafka)
        try:
            until(
                lambda: (
                    daemon.check() is None
                    and not any(
                        span.lag
                        for span in spans(
                            admin, self.topics.customers.name, group(settings, "directory")
                        ).values()
                    )
                ),
                limit=90,
                why=self.installation.log()[-3000:],
            )
        finally:
            admin.close()
        self.installation.settle(daemon)

    def links(self) -> dict[str, str]:
        """Post to customer, of the linked ones."""
        rows = rows_of(self.installation.documents())
        return {id: row.source["customer"]["id"] for id, row in rows.items() if "customer" in row.source}

    def sound(self) -> None:
        """The audit is silent, and its sum is right."""
        ledger, findings = self.installation.audit()
        assert findings == []
        assert ledger.lost == ledger.in_flight == ledger.rejected == 0
        parts = (ledger.applied, ledger.superseded, ledger.deleted, ledger.duplicates)
        assert ledger.records == sum(parts)

    def close(self) -> None:
        self._producer.close()


@pytest.fixture
def company(install: Callable[..., Installation]) -> Any:
    company = Company(install(**SETTINGS))
    yield company
    company.close()


@pytest.fixture
def daemon(company: Company) -> Any:
    daemon = company.installation.daemon(*ROLES)
    yield daemon
    assert daemon.stop() == 0, company.installation.log()[-3000:]


def page(installation: Installation, customer_id: str) -> Any:
    """The customer in the index of customers, None where there is none."""
    store = Store(installation.client, installation.settings.elasticsearch, "customers")
    return store.get([customer_id]).get(customer_id)


def posts_of(author: str, count: int, start: int = 0, **more: Any) -> list[dict[str, Any]]:
    return [
        {"id": f"x:{author}.{i}", "author": {"id": f"x:of-{author}", "handle": author}, **more}
        for i in range(start, start + count)
    ]


def test_imported_customers_are_linked_and_later_ones_without_sending_their_posts_again(
    company: Company, daemon: Daemon, tmp_path: Path
) -> None:
    file = tmp_path / "customers.csv"
    file.write_text("customer_id,email,x,segment,value\nc1,ann@example.org,@Ann,gold,12.5\n")
    done = company.installation.command("customer", "import", str(file))
    assert done.returncode == 0, done.stderr.decode()
    company.say(*posts_of("ann", 3), *posts_of("@Ben", 3), {"id": "x:m", "text": "write to cy@example.org"})
    company.settle(daemon)
    assert company.links() == {f"x:ann.{i}": "c1" for i in range(3)}
    file.write_text("customer_id,email,x,segment\nc2,,https://x.com/ben,silver\nc3,Cy@Example.org,,silver\n")
    done = company.installation.command("customer", "import", str(file))
    assert done.returncode == 0, done.stderr.decode()
    company.settle(daemon)
    expected = (
        {f"x:ann.{i}": "c1" for i in range(3)} | {f"x:@Ben.{i}": "c2" for i in range(3)} | {"x:m": "c3"}
    )
    assert company.links() == expected
    document = rows_of(company.installation.documents())["x:m"].source
    assert document["customer"] == {
        "id": "c3",
        "confidence": 0.8,
        "evidence": ["email in text"],
        "segment": "silver",
    }
    company.sound()
    shown = company.installation.command("status").stdout.decode()
    assert "3 customers" in shown
    assert "directory" in shown


def test_who_says_no_goes_or_shares_a_handle_loses_the_link_and_gets_it_back(
    company: Company, daemon: Daemon
) -> None:
    ann_posts = {f"x:ann.{i}": "c1" for i in range(4)}
    company.books(ANN)
    company.say(*posts_of("ann", 4))
    company.settle(daemon)
    assert company.links() == ann_posts

    # A second holder of the handle: nobody can say whose the posts are.
    company.books(Customer(id="c2", accounts=(Account("x", "ann"),)))
    company.settle(daemon)
    assert company.links() == {}
    # The second holder goes; nothing but their old keys leads to the posts.
    company.books(gone=["c2"])
    company.settle(daemon)
    assert company.links() == ann_posts

    company.books(Customer(id="c1", accounts=(Account("x", "ann"),), consent=False))
    company.settle(daemon)
    assert company.links() == {}
    company.books(Customer(id="c1", accounts=(Account("x", "ann"),), segment="new", consent=True))
    company.settle(daemon)
    assert company.links() == ann_posts
    rows = rows_of(company.installation.documents())
    assert {row.source["customer"]["segment"] for row in rows.values()} == {"new"}

    company.books(gone=["c1"])
    company.settle(daemon)
    assert company.links() == {}
    company.sound()


def test_an_address_moves_from_one_customer_to_another(company: Company, daemon: Daemon) -> None:
    post = {"id": "x:1", "text": "reach me at ann@example.org"}
    company.books(ANN, Customer(id="c2"))
    company.say(post)
    company.settle(daemon)
    assert company.links() == {"x:1": "c1"}
    company.books(Customer(id="c1"), Customer(id="c2", emails=("ann@example.org",)))
    company.settle(daemon)
    assert company.links() == {"x:1": "c2"}
    # Refreshed metrics of the same text come without an operation, and count.
    seen = {"created_at": "2026-11-20T00:00:00Z", "collected_at": "2026-11-21T00:00:00Z"}
    company.say({**post, **seen, "metrics": {"likes": 7}})
    company.settle(daemon)
    row = rows_of(company.installation.documents())["x:1"].source
    assert (row["metrics"], row["customer"]["id"]) == ({"likes": 7}, "c2")
    company.sound()


def test_a_customer_who_goes_while_their_posts_stream_in_is_linked_to_none(
    company: Company, daemon: Daemon
) -> None:
    company.books(ANN)
    company.settle(daemon)
    for start in range(0, 3000, 100):
        company.say(*posts_of("ann", 100, start))
        if start == 1500:
            company.books(gone=["c1"])
    company.settle(daemon)
    assert len(company.installation.documents()) == 3000
    assert company.links() == {}
    company.sound()


def test_a_post_linked_elsewhere_by_an_older_directory_is_mended_by_the_second_look(
    company: Company,
) -> None:
    """Another machine had the post in hand when the customer went; its event comes after the first look."""
    installation = company.installation
    installation.environ["GROUNDSWELL_DIRECTORY_SETTLE_SECONDS"] = "15"
    daemon = installation.daemon(*ROLES)
    company.books(ANN)
    company.settle(daemon)
    company.books(gone=["c1"])
    reader = DirectoryReader(installation.home / FOLDER)
    until(lambda: reader.customers() == 0, why="the directory has it")
    until(
        lambda: page(installation, "c1") is None, why="the first look is over: the index is written after it"
    )
    # The second look would come too soon on a busy machine: it waits until it has something to see.
    directory = installation.role_pid("directory")
    assert directory is not None
    os.kill(directory, signal.SIGSTOP)
    (sent,) = posts_of("ann", 1)
    stale = Event(
        post=decode_post(json.dumps({"text": "hello", **sent}).encode()),
        customer=CustomerLink("c1", 0.95, ("handle",)),
        index=f"{installation.prefix}-posts-undated",
        version=0,
        processed_at=datetime.now(UTC),
    )
    company.publish(stale)
    try:
        until(lambda: company.links() == {"x:ann.0": "c1"}, why="it is linked to who is gone")
    finally:
        os.kill(directory, signal.SIGCONT)
    company.settle(daemon)
    assert company.links() == {}
    company.sound()
    # Told to end while changes wait for their second look, the role does not wait with them.
    company.books(ANN)
    until(lambda: page(installation, "c1") is not None, why="the first look is over")
    reader.close()
    assert daemon.stop() == 0
    assert "are not confirmed in time" not in installation.log()


@pytest.mark.parametrize("victim", ["directory", "enrich", "index"])
def test_a_death_in_the_middle_of_relinking_changes_nothing(
    company: Company, daemon: Daemon, victim: str
) -> None:
    names = [f"a{i}" for i in range(40)]
    company.say(*(post for name in names for post in posts_of(name, 50)))
    company.installation.settle(daemon)
    company.books(*(Customer(id=f"c-{name}", accounts=(Account("x", name),)) for name in names))
    until(lambda: company.installation.records(company.topics.posts.name) > 2000, why="it begins")
    pid = company.installation.role_pid(victim)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: company.installation.role_pid(victim) not in (None, pid), why=f"a new {victim}")
    company.settle(daemon)
    assert company.links() == {f"x:{name}.{i}": f"c-{name}" for name in names for i in range(50)}
    company.sound()


def test_enrich_without_a_directory_waits_and_says_for_what(company: Company) -> None:
    """Posts that were linked by nobody would look as if nobody were a customer."""
    daemon = company.installation.daemon("enrich", "index")
    company.say(*posts_of("ann", 2))
    until(lambda: "is the role `directory` running on this machine?" in company.installation.log())
    status = company.installation.command("status")
    assert status.returncode == 1
    assert "waits for the directory of customers" in status.stdout.decode()
    assert company.installation.documents() == {}
    beside = company.installation.daemon("directory")
    company.books(ANN)
    until(lambda: len(company.installation.documents()) == 2, why="it goes on by itself")
    company.settle(daemon)
    assert company.links() == {f"x:ann.{i}": "c1" for i in range(2)}
    assert (beside.stop(), daemon.stop()) == (0, 0)
