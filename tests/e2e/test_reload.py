"""Changed files under running roles: with true servers and processes, while posts stream."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from pipeline.app.daemon import Daemon
from pipeline.app.health import Edition, asked, present
from pipeline.core.event import Event
from testkit.installation import Installation
from testkit.rulebooks import Rulebooks, all_events, noticed, say
from testkit.waiting import until

ROLES = ("enrich", "index")


def told(shop: Installation) -> Edition | None:
    """Of which files the running enrich role says that it is; None where it does not answer in time."""
    (note,) = present(shop.home, "enrich")
    report = asked(note, "127.0.0.1")
    return report.edition if report else None


def edition(shop: Installation) -> Edition:
    """The same, once it answers."""
    found: list[Edition | None] = []
    until(lambda: found.append(told(shop)) or found[-1] is not None, why=shop.log())  # type: ignore[func-returns-value]
    assert found[-1] is not None
    return found[-1]


def started(shop: Installation) -> Daemon:
    daemon = shop.daemon(*ROLES)
    until(lambda: bool(present(shop.home, "enrich")), why=shop.log())
    edition(shop)
    return daemon


@contextmanager
def stream(shop: Installation, text: str) -> Iterator[list[int]]:
    """Posts of this text come in for as long as it lasts; how many, in the end."""
    sent, over = [0], threading.Event()

    def send() -> None:
        while not over.wait(0.02):
            say(shop, [{"id": f"x:{sent[0] + n}", "text": text} for n in range(10)])
            sent[0] += 10

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield sent
    finally:
        over.set()
        thread.join()


def made(event: Event) -> tuple[str, str, tuple[str, ...], tuple[str, ...]]:
    """The versions of an event, and what followed from them."""
    return (
        event.versions["entities"],
        event.versions["route"],
        tuple(entity.id for entity in event.entities),
        tuple(route.queue for route in event.routes),
    )


def test_changed_rules_and_brands_hold_from_one_batch_to_the_next(
    shop: Installation, books: Rulebooks
) -> None:
    daemon = started(shop)
    with stream(shop, "Acme and Bolt on fire") as sent:
        until(lambda: sent[0] > 50, why="posts stream")
        books.route({"fire": "brigade"})
        until(lambda: edition(shop).number == 2, why=shop.log())
        books.know("Acme", "Bolt")
        until(lambda: edition(shop).number == 3, why=shop.log())
        before = sent[0]
        until(lambda: sent[0] > before + 50, why="posts stream")
    shop.settle(daemon)
    found = all_events(shop)
    assert sorted(event.post.id for event in found) == sorted(f"x:{n}" for n in range(sent[0]))
    # Each is wholly of one edition, and all editions are there.
    entities, routes = {event.versions["entities"] for event in found}, {e.versions["route"] for e in found}
    assert (len(entities), len(routes)) == (2, 2)
    kinds = {made(event) for event in found}
    assert {kind[2:] for kind in kinds} == {
        (("brand:acme",), ("urgent",)),
        (("brand:acme",), ("brigade",)),
        (("brand:acme", "brand:bolt"), ("brigade",)),
    }
    assert len(kinds) == 3
    assert len(noticed(shop, "urgent")) + len(noticed(shop, "brigade")) == sent[0]
    assert shop.audit()[1] == []


def test_what_is_not_valid_changes_nothing_is_told_and_can_be_mended(
    shop: Installation, books: Rulebooks
) -> None:
    daemon = started(shop)
    first = edition(shop)
    books.rules.write_text(books.rules.read_text().replace('queue = "urgent"', 'queue = "urgnt"'))
    until(lambda: edition(shop).problem != "", why=shop.log())
    refused = edition(shop)
    assert "there is no queue `urgnt`, did you mean `urgent`?" in refused.problem
    assert (refused.number, refused.versions, refused.since) == (1, first.versions, first.since)
    assert shop.log().count("the changed files are not used, what was read before goes on") == 1
    shown = shop.command("status", "--format", "csv").stdout.decode()
    assert "files,enrich,refused" in shown
    say(shop, [{"id": "x:1", "text": "fire"}])
    shop.settle(daemon)
    assert noticed(shop, "urgent") == ["x:1"]

    # Rules that are well made, and do not what their tests ask for.
    books.rules.with_name("routing_test.toml").write_text(
        '[[tests]]\nname = "smoke"\nqueues = ["urgent"]\n[tests.event]\ntext = "smoke"\n'
    )
    books.route({"fire": "urgent", "heat": "urgent"})
    until(lambda: "smoke" in edition(shop).problem, why=shop.log())
    books.route({"fire": "urgent", "smoke": "urgent"})
    until(lambda: edition(shop).number == 2 and not edition(shop).problem, why=shop.log())
    say(shop, [{"id": "x:2", "text": "smoke"}])
    shop.settle(daemon)
    assert noticed(shop, "urgent") == ["x:1", "x:2"]
    assert "files,enrich,in use" in shop.command("status", "--format", "csv").stdout.decode()


def test_sighup_to_the_daemon_reaches_a_role_that_does_not_look_by_itself(
    shop: Installation, books: Rulebooks
) -> None:
    shop.environ["GROUNDSWELL_ENRICH_RELOAD_SECONDS"] = "0"
    daemon = started(shop)
    books.route({"fire": "brigade"})
    assert daemon.pid is not None
    os.kill(daemon.pid, signal.SIGHUP)
    until(lambda: edition(shop).number == 2, why=shop.log())
    say(shop, [{"id": "x:1", "text": "fire"}])
    shop.settle(daemon)
    assert noticed(shop, "brigade") == ["x:1"]


def test_the_settings_file_may_name_other_files_and_what_needs_a_restart_is_told(
    shop: Installation, books: Rulebooks, tmp_path: Path
) -> None:
    settings = tmp_path / "groundswell.toml"
    other = Rulebooks(tmp_path / "other")
    other.brands.parent.mkdir()
    for name in ("ENTITIES", "ROUTE"):
        del shop.environ[f"GROUNDSWELL_ENRICHERS_{name}_FILE"]
    shop.environ["GROUNDSWELL_CONFIG"] = str(settings)
    settings.write_text('[enrichers.entities]\nfile = "brands.toml"\n')
    daemon = started(shop)
    # A file that is not there yet is looked for until it is.
    settings.write_text('[enrichers.entities]\nfile = "other/brands.toml"\n[engine]\nbatch_posts = 500\n')
    until(lambda: "other/brands.toml: 1 problem; cannot be read" in edition(shop).problem, why=shop.log())
    other.know("Bolt")
    until(lambda: edition(shop).number == 2 and not edition(shop).problem, why=shop.log())
    assert shop.log().count("what was changed in [engine] holds after a restart") == 1
    say(shop, [{"id": "x:1", "text": "Acme and Bolt"}])
    shop.settle(daemon)
    assert [entity.id for event in all_events(shop) for entity in event.entities] == ["brand:bolt"]


def test_twenty_editions_leave_nothing_behind(shop: Installation, books: Rulebooks) -> None:
    shop.environ["GROUNDSWELL_ENRICH_RELOAD_SECONDS"] = "0"
    daemon = started(shop)
    pid = shop.role_pid("enrich")
    assert pid is not None
    names = [f"Brand{n}" for n in range(2000)]
    sizes = []
    for number in range(20):
        books.know(*names, f"Extra{number}")
        assert daemon.pid is not None
        os.kill(daemon.pid, signal.SIGHUP)
        until(lambda number=number: edition(shop).number == number + 2, why=shop.log())  # type: ignore[misc]
        say(shop, [{"id": f"x:{number}", "text": f"Brand7 and Extra{number}"}])
        sizes.append(psutil.Process(pid).memory_info().rss / 2**20)
    shop.settle(daemon)
    # Each that stayed would take some six.
    assert sizes[-1] < sizes[5] + 12, sizes
    assert {len(event.entities) for event in all_events(shop)} == {2}
