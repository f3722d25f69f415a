"""The steps contacts and customer, from a post to its link."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from enrichers import contacts, customer
from pipeline.app.registry import build_chain
from pipeline.core.customer import Account, Customer
from pipeline.core.errors import ConfigError, RetryableError
from pipeline.core.event import Contact, CustomerLink, Event
from pipeline.core.linking import handle_key, key
from pipeline.core.post import Author, Post, stub
from pipeline.core.settings import EnrichSettings, Settings
from pipeline.identity.directory import DATA, FOLDER, Change, DirectoryWriter

NOW = datetime(2026, 11, 22, tzinfo=UTC)
FULL = contacts.SETTINGS(region="US", number="LW-[0-9]{6}")
ANN = Customer(
    id="LW-123456",
    emails=("ann@mail.example",),
    phones=("+12025550104",),
    accounts=(Account("x", "ann_b"),),
    segment="gold",
)


def post(text: str = "hello", number: int = 1, **author: str) -> Post:
    return Post(id=f"x:{number}", source="x", text=text, author=Author(**({"id": "x:9"} | author)))


def found(one: Post, settings: contacts.SETTINGS = FULL) -> list[tuple[str, str]]:
    (result,) = contacts.build(settings).enrich({"post": [one]})
    return [(contact.kind, contact.place) for contact in result]


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[DirectoryWriter]:
    writer = DirectoryWriter(tmp_path / FOLDER)
    writer.apply([Change(0, 0, ANN.id, ANN)])
    writer.note_fresh(NOW)
    yield writer
    writer.close()


def test_contacts_of_text_bio_and_header() -> None:
    one = post("LW-123456, ann@mail.example, 202-555-0104", bio="bob@mail.example")
    assert found(one) == [("email", "text"), ("number", "text"), ("phone", "text"), ("email", "bio")]
    assert found(one, contacts.SETTINGS()) == [("email", "text"), ("email", "bio")]
    assert found(post(handle="Ann@Mail.Example")) == [("email", "header")]
    assert found(post(id="x:ann@mail.example", handle="ann@mail.example")) == [("email", "header")]
    mastodon = Post(id="mastodon:1", text="", author=Author(id="mastodon:1", handle="ann@inst.example"))
    assert found(mastodon) == [("handle", "author")]
    assert found(post("")) == []


def test_the_authors_handle_is_there_in_one_form_however_it_is_written() -> None:
    forms = ["ann_b", "@Ann_B", "https://x.com/ann_b?lang=de"]
    results = contacts.build(FULL).enrich({"post": [post(handle=form) for form in [*forms, "", "no handle"]]})
    expected = (Contact("handle", "author", handle_key("x", "ann_b").hex()),)
    assert results == [expected] * 3 + [(), ()]


def test_half_a_directory_links_nobody_and_is_told(tmp_path: Path) -> None:
    """While it is built anew most customers are missing, and with them who shares an address."""
    writer = DirectoryWriter(tmp_path / FOLDER)
    writer.apply([Change(0, 0, ANN.id, ANN)])
    step = customer.build(customer.SETTINGS(tmp_path / FOLDER))
    columns = {"post": [post(handle="ann_b")], "contacts": [()]}
    with pytest.raises(RetryableError, match="is being built"):
        step.enrich(columns)
    writer.note_fresh(NOW)
    (linked,) = step.enrich(columns)
    assert linked is not None
    writer.close()
    (tmp_path / FOLDER / DATA).unlink()
    with pytest.raises(RetryableError, match="is being built"):
        step.enrich(columns)


def test_a_contact_says_nothing_that_could_be_read() -> None:
    (result,) = contacts.build(FULL).enrich({"post": [post("ann@mail.example")]})
    assert result == (Contact("email", "text", key("email", "ann@mail.example").hex()),)


def test_each_post_of_a_batch_has_its_own_and_at_most_twenty() -> None:
    many = post(" ".join(f"a{n}@mail.example +1202555{n:04d}" for n in range(30)))
    batch = [post("nothing"), many, post("x@mail.example"), post("")]
    results = contacts.build(FULL).enrich({"post": batch})
    assert [len(result) for result in results] == [0, contacts.MOST, 1, 0]
    assert contacts.build(FULL).enrich({"post": []}) == []


def test_the_version_changes_with_the_settings() -> None:
    versions = {contacts.build(one).version for one in (FULL, contacts.SETTINGS(), contacts.SETTINGS("GB"))}
    assert len(versions) == 3


def test_all_wrong_settings_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as told:
        contacts.build(contacts.SETTINGS(region="XX", number="("))
    assert "enrichers.contacts.region" in str(told.value)
    assert "enrichers.contacts.number" in str(told.value)


def chain(home: Path | None) -> list[CustomerLink | None]:
    settings = Settings(
        enrich=EnrichSettings(steps=("contacts", "customer")), enrichers={"contacts": {"region": "US"}}
    )
    posts = [post(handle="Ann_B"), post("ann@mail.example", 2), post(number=3, handle="bob")]
    outcomes = build_chain(settings, home).process(posts, [NOW] * 3, prefix="g", now=NOW)
    return [outcome.customer for outcome in outcomes if isinstance(outcome, Event)]


def test_a_home_has_its_directory(writer: DirectoryWriter, tmp_path: Path) -> None:
    first, second, third = chain(tmp_path)
    assert first == CustomerLink(ANN.id, 0.95, ("handle",), "gold")
    assert second == CustomerLink(ANN.id, 0.8, ("email in text",), "gold")
    assert third is None
    assert chain(None) == chain(tmp_path / "nowhere") == [None] * 3


def test_a_directory_of_the_settings_goes_before_that_of_the_home(tmp_path: Path) -> None:
    own = customer.SETTINGS(directory=tmp_path)
    assert customer.at_home(own, Path("/home")) == own
    assert customer.at_home(customer.SETTINGS(), Path("/home")).directory == Path("/home") / FOLDER


def test_links_and_version_follow_the_directory(writer: DirectoryWriter, tmp_path: Path) -> None:
    step = customer.build(customer.SETTINGS(directory=tmp_path / FOLDER))
    columns = {"post": [post(handle="ann_b")], "contacts": [()]}
    (link,) = step.enrich(columns)
    before = step.version
    assert link is not None
    assert (link.id, link.segment) == (ANN.id, "gold")
    writer.apply([Change(0, 1, ANN.id, None)])
    assert step.version == before  # that which the batch saw
    assert step.enrich(columns) == [None]
    assert step.version != before
    writer.apply([Change(0, 2, ANN.id, ANN)])
    assert step.enrich(columns) == [link]
    assert step.enrich({"post": [], "contacts": []}) == []


def test_outbound_posts_and_deletions_are_not_linked(writer: DirectoryWriter, tmp_path: Path) -> None:
    ours = Post(id="x:1", text="", author=Author(id="x:9", handle="ann_b"), direction="outbound", source="x")
    step = customer.build(customer.SETTINGS(directory=tmp_path / FOLDER))
    assert step.enrich({"post": [ours, post(handle="ann_b")], "contacts": [(), ()]})[0] is None
    settings = Settings(enrich=EnrichSettings(steps=("contacts", "customer")))
    gone = stub(post("ann@mail.example"))
    (event,) = build_chain(settings, tmp_path).process([gone], [NOW], prefix="g", now=NOW)
    assert isinstance(event, Event)
    assert (event.customer, event.contacts) == (None, ())


def test_a_damaged_directory_is_told_when_the_step_is_built(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "data.mdb").write_bytes(b"<html>" * 2000)
    with pytest.raises(ConfigError, match="delete the folder"):
        chain(tmp_path)


@pytest.mark.parametrize("part", ["1", "a@", "a@a.", "<b>=1+1</b>", "\ud800", ""], ids=ascii)
def test_odd_texts_are_read(part: str) -> None:
    text = part * (1_000_000 // max(1, len(part)))
    began = time.process_time()
    assert found(post(text, bio=text)) == []
    assert time.process_time() - began < 5.0
