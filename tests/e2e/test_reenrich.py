"""Old posts once more through the steps of today: true servers, the roles and the command as processes."""

from __future__ import annotations

import itertools
import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.app.daemon import Daemon
from pipeline.app.producer import Producer, Record
from pipeline.app.topics import topics_of
from testkit.installation import Installation, rows_of
from testkit.rulebooks import Rulebooks, all_events, events, noticed, say
from testkit.waiting import halt

ROLES = ("enrich", "index")


def post(number: int, text: str, **fields: object) -> dict[str, Any]:
    return {
        "id": f"x:{number}",
        "text": text,
        "created_at": f"2026-11-{1 + number % 20:02}T10:00:00Z",
        **fields,
    }


def sound(shop: Installation) -> None:
    """The index holds what the log holds, and the audit is silent."""
    rows = rows_of(shop.documents())
    assert {id: row.version for id, row in rows.items()} == {
        id: event.version for id, event in events(shop).items()
    }
    ledger, findings = shop.audit()
    assert findings == []
    assert ledger.lost == ledger.in_flight == ledger.rejected == 0


def test_what_is_stale_is_enriched_once_more_and_only_once(shop: Installation, books: Rulebooks) -> None:
    daemon = shop.daemon(*ROLES)
    texts = ["Acme and Bolt on fire", "Bolt is fine", "the water of Acme"]
    say(shop, [post(number, texts[number % 3]) for number in range(300)])
    shop.settle(daemon)
    before = events(shop)
    assert sorted({entity.id for event in before.values() for entity in event.entities}) == ["brand:acme"]
    assert daemon.stop() == 0

    books.know("Acme", "Bolt")
    daemon = shop.daemon(*ROLES)
    say(shop, [{"id": "x:1", "deleted": True}, post(5, "edited: Bolt", edited_at="2026-11-21T00:00:00Z")])
    shop.settle(daemon)

    counted = shop.command("reenrich", "--enricher", "entities", "--since", "2026-11-05", "--dry-run")
    # Two of three hundred are dealt with; a fifth was written before.
    assert b"would send 239 posts; 1 are up to date, 1 deleted, 59 not asked for" in counted.stderr
    done = shop.command("reenrich", "--enricher", "entities", "--rate", "2000")
    assert done.returncode == 0, done.stderr.decode()
    assert b"enriched 298 posts once more" in done.stderr
    after = events(shop)
    assert len({event.versions["entities"] for event in after.values() if not event.post.deleted}) == 1
    assert [entity.id for entity in after["x:3"].entities] == ["brand:acme", "brand:bolt"]
    assert after["x:1"].post.deleted
    assert after["x:5"].post.text == "edited: Bolt"
    assert all(after[id].version > before[id].version for id in before)
    again = shop.command("reenrich", "--enricher", "entities")
    assert b"0 posts are to be enriched once more; 299 are up to date, 1 deleted" in again.stderr
    assert b"enriched 0 posts" in again.stderr
    shop.settle(daemon)
    sound(shop)
    # The queue was told of each post once, and not once more of those that stayed in it.
    assert len(noticed(shop, "urgent")) == len(set(noticed(shop, "urgent"))) == 100


def test_old_posts_move_between_queues_and_open_no_cases_unless_asked(
    shop: Installation, books: Rulebooks
) -> None:
    daemon = shop.daemon(*ROLES)
    say(shop, [post(1, "fire"), post(2, "water"), post(3, "smoke")])
    shop.settle(daemon)
    assert shop.command("queue", "take", "x:1", "--as", "ann").returncode == 0
    assert daemon.stop() == 0
    books.route({"fire": "brigade", "water": "plumber"})
    daemon = shop.daemon(*ROLES)

    assert shop.command("reenrich").returncode == 0
    shop.settle(daemon)
    found = events(shop)
    assert {id: [route.queue for route in event.routes] for id, event in found.items()} == {
        "x:1": ["brigade"],
        "x:2": [],
        "x:3": [],
    }
    version = found["x:3"].versions["route"]
    assert found["x:2"].versions["route"] == f"{version}.held"
    assert (noticed(shop, "brigade"), noticed(shop, "plumber")) == (["x:1"], [])
    # Ann has it in hand: it stays with her, where it was.
    assert b"urgent" in shop.command("queue", "show", "x:1").stdout
    assert b"0 posts are to be enriched" in shop.command("reenrich").stderr

    assert shop.command("reenrich", "--enricher", "route", "--new-cases").returncode == 0
    shop.settle(daemon)
    assert [route.queue for route in events(shop)["x:2"].routes] == ["plumber"]
    assert events(shop)["x:2"].versions["route"] == version
    assert (noticed(shop, "brigade"), noticed(shop, "plumber")) == (["x:1"], ["x:2"])
    sound(shop)


def test_killed_in_the_middle_it_goes_on_while_edits_and_deletions_stream_in(
    shop: Installation, books: Rulebooks
) -> None:
    daemon = _stale(shop, books, 1000)
    posts = topics_of(shop.settings.kafka).posts.name
    running = shop.start("reenrich", "--rate", "150")
    halt(running.pid, lambda: shop.records(posts) > 1100, why="it is under way")
    say(shop, [{"id": f"x:{n}", "deleted": True} for n in range(0, 1000, 40)])
    say(shop, [post(n, "an edit", edited_at="2026-11-21T00:00:00Z") for n in range(1, 1000, 40)])
    stood = shop.records(posts)
    halt(running.pid, lambda: shop.records(posts) > stood + 50, why="it goes on beside them")
    assert running.poll() is None, "the death must fall into the middle"
    running.kill()
    running.wait()
    stood = shop.records(posts)
    victim = shop.role_pid("enrich")
    assert victim is not None
    second = shop.start("reenrich", "--rate", "300")
    halt(second.pid, lambda: shop.records(posts) > stood + 100, why="it goes on")
    os.kill(victim, signal.SIGKILL)
    second.send_signal(signal.SIGCONT)
    _, told = second.communicate(timeout=240)
    assert second.returncode == 0, told.decode()
    shop.settle(daemon)
    found = events(shop)
    assert {n for n in range(1000) if found[f"x:{n}"].post.deleted} == set(range(0, 1000, 40))
    assert {n for n in range(1000) if found[f"x:{n}"].post.text == "an edit"} == set(range(1, 1000, 40))
    versions = {event.versions["entities"] for event in found.values() if not event.post.deleted}
    assert len(versions) == 1
    # A portion of the first run may have been sent twice, and what enrich had in hand when it died.
    twice = sum(1 for event in all_events(shop) if event.version >> 8) - 950
    assert twice < 250, twice
    ledger, findings = shop.audit()
    assert findings == []
    assert ledger.lost == ledger.in_flight == ledger.rejected == 0


def test_beside_a_stream_that_never_pauses_it_comes_to_its_end(shop: Installation, books: Rulebooks) -> None:
    """Kafka tells that a partition is at its end only where nothing is appended for half a second."""
    daemon = _stale(shop, books, 600)
    with _stream(shop):
        running = shop.start("reenrich", "--rate", "400")
        _, told = running.communicate(timeout=120)
    assert running.returncode == 0, told.decode()
    assert b"enriched 600 posts once more" in told
    shop.settle(daemon)
    sound(shop)
    assert b"0 posts are to be enriched once more" in shop.command("reenrich").stderr


def _stale(shop: Installation, books: Rulebooks, count: int) -> Daemon:
    """The roles, with a brand that is new to them since they enriched so many posts that name it."""
    daemon = shop.daemon(*ROLES)
    say(shop, [post(number, "Bolt") for number in range(count)])
    shop.settle(daemon)
    assert daemon.stop() == 0
    books.know("Acme", "Bolt")
    return shop.daemon(*ROLES)


@contextmanager
def _stream(shop: Installation) -> Iterator[None]:
    """Some three hundred live posts a second, without a gap, as long as the block lasts; many they were."""
    posts = topics_of(shop.settings.kafka).posts.name
    over = threading.Event()
    sent = itertools.count()
    producer = Producer(shop.kafka)

    def send() -> None:
        while not over.wait(0.02):
            live = [post(10_000 + next(sent), "Acme", author={"id": "x:9"}) for _ in range(6)]
            producer.send([Record(posts, one["id"].encode(), json.dumps(one).encode()) for one in live])

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        over.set()
        sender.join()
        producer.close()
    # At its rate the command lasts for a second and a half at least.
    assert next(sent) > 200


def _again(shop: Installation) -> int:
    return sum(bool(event.version >> 8 & 0xFFFF) for event in all_events(shop))


def test_workers_with_other_files_are_told_of(shop: Installation, books: Rulebooks, tmp_path: Path) -> None:
    shop.environ["GROUNDSWELL_ENRICH_RELOAD_SECONDS"] = "0"
    daemon = shop.daemon(*ROLES)
    say(shop, [post(number, "Bolt") for number in range(100)])
    shop.settle(daemon)
    books.know("Acme", "Bolt")
    done = shop.command("reenrich")
    assert done.returncode == 1
    assert b"enrich writes `entities` as" in done.stderr
    assert _again(shop) < 40
