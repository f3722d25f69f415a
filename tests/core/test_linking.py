"""The laws of linking: what is a key, what links, and what never does."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core import linking
from pipeline.core.customer import Account, Customer
from pipeline.core.event import Contact
from pipeline.core.linking import (
    KeyKind,
    Known,
    key,
    keys_of,
    link,
    normal_email,
    normal_handle,
    normal_number,
)
from pipeline.core.post import Author


class Books:
    """A directory in memory."""

    def __init__(self, *customers: Customer) -> None:
        self._customers = {customer.id: customer for customer in customers}
        self._holders: defaultdict[bytes, list[str]] = defaultdict(list)
        for customer in customers:
            for one in keys_of(customer):
                self._holders[one].append(customer.id)

    def holders(self, key: bytes) -> Sequence[str]:
        return self._holders.get(key, [])[:2]

    def known(self, customer_id: str) -> Known | None:
        found = self._customers.get(customer_id)
        return found and Known(found.id, found.segment, found.value, found.consent)


def contact(kind: KeyKind, normal: str, place: str = "text") -> Contact:
    return Contact(kind, place, key(kind, normal).hex())


ANN = Customer(
    id="LW-123456",
    name="Ann",
    emails=("ann@mail.example",),
    phones=("+12025550104",),
    accounts=(Account("x", "ann_b", "x:1"),),
    segment="gold",
    value=99.5,
)
BOB = Customer(id="LW-200000", emails=("bob@mail.example",), accounts=(Account("x", "bob", "x:2"),))
NOBODY = Author(id="x:77", handle="somebody")
IN_BIO = contact("email", "ann@mail.example", "bio")
EMAIL, PHONE = contact("email", "ann@mail.example"), contact("phone", "+12025550104")


@pytest.mark.parametrize(
    ("source", "written", "normal"),
    [
        ("x", "@Ann_B", "ann_b"),
        ("x", "u/ann_b", "ann_b"),
        ("x", " @ann \u200e", "ann"),
        ("x", "https://x.com/Ann?lang=de", "ann"),
        ("x", "twitter.com/ann/status/1", "ann"),
        ("x", "https://mobile.twitter.com/@ann", "ann"),
        ("x", "HTTPS://WWW.X.COM/ANN#top", "ann"),
        ("twitter", "@Ann", "ann"),
        ("reddit", "reddit.com/user/ann", "ann"),
        ("reddit", "https://old.reddit.com/u/Ann-B/", "ann-b"),
        ("reddit", "/u/ann", "ann"),
        ("bluesky", "https://bsky.app/profile/ann.bsky.social", "ann.bsky.social"),
        ("bluesky", "@Ann.Example", "ann.example"),
        ("mastodon", "@Ann@inst.example", "ann@inst.example"),
        ("mastodon", "https://inst.example/@ann", "ann@inst.example"),
        ("mastodon", "https://inst.example/users/ann", "ann@inst.example"),
        ("mastodon", "https://inst.example/@ann@other.example/17", "ann@other.example"),
        ("facebook", "https://www.facebook.com/ann.b", "ann.b"),
        ("instagram", "instagram.com/ann.b/", "ann.b"),
        ("youtube", "https://www.youtube.com/@Ann", "ann"),
        ("youtube", "https://youtube.com/@%C3%84nn", "änn"),
        ("forum", "@U\u0308nal", "ünal"),
        ("forum", "Straße", "strasse"),
    ],
)
def test_handles_in_their_normal_form(source: str, written: str, normal: str) -> None:
    assert normal_handle(source, written) == normal


@pytest.mark.parametrize(
    ("source", "written"),
    [
        *(("x", text) for text in ("", "@", " ", "a b", "ann!", "x.com", "https://x.com/", "x.com/home")),
        ("x", "https://facebook.com/ann"),
        ("x", "https://x.com.evil.example/ann"),
        ("x", "https://ann@x.com@evil.example/ann"),
        ("x", "a" * 21),
        ("x", "a\x00b"),
        ("x", "@" * 1_000_000),
        ("reddit", "https://reddit.com/r/ann"),
        ("facebook", "https://facebook.com/profile.php?id=4"),
        ("youtube", "https://youtube.com/channel/UCabc"),
        ("bluesky", "ann"),
        ("bluesky", "handle.invalid"),
        ("bluesky", "bsky.app/profile/did:plc:abc"),
        ("mastodon", "ann"),
        ("mastodon", "https://x.com/ann"),
        ("forum", "https://forum.example/ann"),
    ],
)
def test_what_is_no_handle_of_the_platform_is_none(source: str, written: str) -> None:
    assert normal_handle(source, written) == ""


@given(st.sampled_from(["x", "reddit", "mastodon", "bluesky", "youtube", "forum"]), st.text(max_size=40))
def test_a_normal_handle_stays_as_it_is_and_has_neither_space_nor_case(source: str, written: str) -> None:
    normal = normal_handle(source, written)
    assert normal_handle(source, normal) == normal
    assert not any(map(str.isspace, normal))
    assert normal_handle(source, f"@{normal}") == normal


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        (" Ann.B+x@Mail.Example. ", "ann.b+x@mail.example"),
        ("ann@müller.example", "ann@xn--mller-kva.example"),
        *((text, "") for text in ("", "@", "ann", "a@b", "a@@b.example", "a b@c.example", "a@b..example")),
        ("a" * 300 + "@b.example", ""),
        ("ann@" + "ü" * 80 + ".example", ""),
    ],
)
def test_addresses_of_mail_in_their_normal_form(written: str, normal: str) -> None:
    assert normal_email(written) == normal


@pytest.mark.parametrize(
    ("written", "normal"),
    [("LW-123456", "lw123456"), ("lw 123456", "lw123456"), ("12-345 678", "12-345 678"), ("Ab-1", "ab-1")],
)
def test_numbers_in_their_normal_form(written: str, normal: str) -> None:
    assert normal_number(written) == normal


def test_a_customer_stands_under_all_that_is_theirs() -> None:
    assert keys_of(ANN) == {
        linking.account_key("x", "x:1"),
        linking.handle_key("x", "ann_b"),
        key("email", "ann@mail.example"),
        key("phone", "+12025550104"),
        key("number", "lw123456"),
    }
    assert linking.account_key("twitter", "1") == linking.account_key("x", "x:1")
    assert keys_of(Customer(id="5", emails=("no address",), phones=("555",), accounts=(Account("x"),))) == {
        key("number", "5")
    }
    assert len({key(kind, "1") for kind in ("account", "handle", "email", "phone", "number")}) == 5


@pytest.mark.parametrize(
    ("author", "contacts", "evidence", "confidence"),
    [
        (Author(id="x:1"), (), ("account id",), 1.0),
        (Author(id="x:9", handle="@Ann_B"), (), ("handle",), 0.95),
        (Author(id="x:1", handle="ann_b"), (EMAIL,), ("account id", "handle", "email in text"), 1.0),
        (NOBODY, (EMAIL,), ("email in text",), 0.8),
        (NOBODY, (EMAIL, PHONE), ("email in text", "phone in text"), 0.94),
        (
            NOBODY,
            (EMAIL, IN_BIO),
            ("email in bio", "email in text"),
            0.9,
        ),
        (NOBODY, (contact("email", "ann@mail.example", "header"),), ("email in header",), 0.95),
        (NOBODY, (contact("number", "lw123456"),), ("number in text",), 0.8),
    ],
)
def test_evidence_and_how_sure_it_makes(
    author: Author, contacts: tuple[Contact, ...], evidence: tuple[str, ...], confidence: float
) -> None:
    found = link("x", author, contacts, Books(ANN, BOB))
    assert found is not None
    assert (found.id, found.evidence, found.confidence) == ("LW-123456", evidence, confidence)
    assert (found.segment, found.value) == ("gold", 99.5)


def test_what_the_author_is_goes_before_what_the_text_shows() -> None:
    books = Books(ANN, BOB)
    found = link("x", Author(id="x:2"), (EMAIL,), books)
    assert found is not None
    assert (found.id, found.evidence) == ("LW-200000", ("account id",))
    # A handle that somebody else has taken over since.
    found = link("x", Author(id="x:2", handle="ann_b"), (), books)
    assert found is not None
    assert found.id == "LW-200000"
    in_bio = contact("email", "bob@mail.example", "bio")
    found = link("x", NOBODY, (EMAIL, in_bio), books)
    assert found is not None
    assert found.id == "LW-200000"


def test_findings_of_one_level_that_differ_link_nobody() -> None:
    books = Books(ANN, BOB)
    assert link("x", NOBODY, (EMAIL, contact("email", "bob@mail.example")), books) is None
    in_header = contact("email", "bob@mail.example", "header")
    assert link("x", Author(id="x:9", handle="ann_b"), (in_header,), books) is None


def test_nothing_and_what_is_unknown_link_nobody() -> None:
    assert link("x", Author(), (), Books(ANN)) is None
    assert link("x", NOBODY, (), Books()) is None
    assert link("reddit", Author(id="reddit:1", handle="ann_b"), (), Books(ANN)) is None
    assert link("x", NOBODY, (Contact("email", "footnote", EMAIL.key),), Books(ANN)) is None


def test_one_address_of_ten_thousand_customers_links_nobody() -> None:
    crowd = [Customer(id=f"C{number}", emails=("ann@mail.example",)) for number in range(10_000)]
    assert link("x", NOBODY, (EMAIL,), Books(*crowd)) is None
    # What else the author shows still counts.
    found = link("x", Author(id="x:1"), (EMAIL,), Books(ANN, *crowd))
    assert found is not None
    assert found.evidence == ("account id",)


def test_a_no_makes_nobody_else_of_them() -> None:
    """What two share says nothing of either, also when one of them said no."""
    no = Customer(id="no", emails=ANN.emails, accounts=(Account("x", id="x:7"),), consent=False)
    assert link("x", Author(id="x:9"), (EMAIL,), Books(ANN)) is not None
    assert link("x", Author(id="x:9"), (EMAIL,), Books(ANN, no)) is None
    assert link("x", Author(id="x:7"), (EMAIL,), Books(ANN, no)) is None


EMAILS = st.sampled_from(["a@m.example", "b@m.example", "c@m.example"])
HANDLES = st.sampled_from(["one", "two", "three"])
CUSTOMERS = st.lists(
    st.builds(
        lambda number, emails, handles, consent: Customer(
            id=f"C{number}",
            emails=tuple(emails),
            accounts=tuple(Account("x", handle) for handle in handles),
            consent=consent,
        ),
        st.integers(0, 5),
        st.sets(EMAILS),
        st.sets(HANDLES),
        st.sampled_from([None, True, False]),
    ),
    max_size=6,
    unique_by=lambda customer: customer.id,
)
CONTACTS = st.lists(
    st.builds(lambda e, p: contact("email", e, p), EMAILS, st.sampled_from(["text", "bio", "header"]))
    | st.builds(
        lambda n, p: contact("number", f"c{n}", p), st.integers(0, 5), st.sampled_from(["text", "bio"])
    ),
    max_size=5,
)


@settings(max_examples=300)
@given(customers=CUSTOMERS, contacts=CONTACTS, handle=HANDLES | st.just(""), draw=st.randoms())
def test_the_laws(customers: list[Customer], contacts: list[Contact], handle: str, draw: object) -> None:
    author, books = Author(id="x:77", handle=handle), Books(*customers)
    found = link("x", author, contacts, books)
    shuffled = list(contacts)
    draw.shuffle(shuffled)  # type: ignore[attr-defined]
    assert link("x", author, shuffled, books) == found
    assert link("x", author, contacts * 2, books) == found
    assert link("x", author, contacts, Books(*reversed(customers))) == found
    if found is None:
        return
    (whose,) = [customer for customer in customers if customer.id == found.id]
    assert whose.consent is not False
    shown = {bytes.fromhex(one.key) for one in contacts} | {linking.handle_key("x", handle)}
    own = {one for one in shown & keys_of(whose) if list(books.holders(one)) == [whose.id]}
    assert own
    assert 0.7 <= found.confidence <= 1.0
    # Another customer with all the same makes every key of theirs ambiguous.
    twin = Customer(id="twin", emails=whose.emails, accounts=whose.accounts)
    after = link("x", author, contacts, Books(*customers, twin))
    assert after is None or after.id != "twin"
    assert after is None or after.id != whose.id or "number" in " ".join(after.evidence)


def test_the_page_has_the_same_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "customers.md").read_text(encoding="utf-8")
    for phrase, weight in linking._EVIDENCE.items():
        assert f"| {phrase} | {weight.level + 1} | {weight.confidence} |" in page
