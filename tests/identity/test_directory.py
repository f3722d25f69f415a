"""The directory: what it tells, what a change leaves behind, and what it survives."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pipeline.core.customer import Account, Customer
from pipeline.core.linking import handle_key, key, keys_of
from pipeline.identity.directory import Change, DirectoryReader, DirectoryWriter
from testkit.directory import AT, EMAIL, ann, change, holders


def test_before_a_writer_made_it_it_is_empty_and_never_fresh(reader: DirectoryReader, tmp_path: Path) -> None:
    with reader.moment() as moment:
        assert (list(moment.holders(EMAIL)), moment.known("LW-1"), moment.revision) == ([], None, 0)
    assert (reader.revision(), reader.customers(), reader.positions(), reader.fresh_at()) == (0, 0, {}, None)
    assert not (tmp_path / "directory").exists()


def test_a_reader_from_before_finds_what_is_written_later(reader: DirectoryReader, tmp_path: Path) -> None:
    assert reader.customers() == 0
    writer = DirectoryWriter(tmp_path / "directory")
    writer.apply([change(0, ann(value=12.5))])
    with reader.moment() as moment:
        assert list(moment.holders(EMAIL)) == ["LW-1"]
        known = moment.known("LW-1")
        assert known is not None
        assert (known.id, known.segment, known.value, known.consent) == ("LW-1", "gold", 12.5, None)
    writer.note_fresh(AT)
    assert (reader.customers(), reader.positions(), reader.fresh_at()) == (1, {0: 1}, AT)
    writer.close()
    writer.close()
    reader.close()
    assert reader.customers() == 1


def test_a_change_takes_old_keys_away(writer: DirectoryWriter, reader: DirectoryReader) -> None:
    writer.apply([change(0, ann())])
    writer.apply([change(1, ann(emails=("other@mail.example",)))])
    assert holders(reader, EMAIL) == []
    assert holders(reader, key("email", "other@mail.example")) == ["LW-1"]
    writer.apply([change(2, None, "LW-1")])
    assert holders(reader, key("email", "other@mail.example")) == []
    assert (reader.customers(), reader.revision()) == (0, 3)
    with reader.moment() as moment:
        assert moment.known("LW-1") is None


def test_who_said_no_still_shares_what_they_share(writer: DirectoryWriter, reader: DirectoryReader) -> None:
    writer.apply([change(0, ann())])
    writer.apply([change(1, ann(consent=False))])
    assert holders(reader, EMAIL) == holders(reader, key("number", "lw-1")) == ["LW-1"]
    with reader.moment() as moment:
        known = moment.known("LW-1")
    assert known is not None
    assert known.consent is False


def test_repeats_and_what_says_nothing_new_change_nothing(
    writer: DirectoryWriter, reader: DirectoryReader
) -> None:
    writer.apply([change(0, ann()), change(1, ann(segment="silver"))])
    assert (reader.revision(), writer.positions()) == (1, {0: 2})
    # Read again after a crash, in part.
    writer.apply([change(0, ann()), change(1, ann(segment="silver")), change(2, ann(segment="silver"))])
    assert (reader.revision(), writer.positions()) == (1, {0: 3})
    writer.apply([])
    # An older state that is read again does not come back.
    writer.apply([change(0, ann(segment="old"))])
    with reader.moment() as moment:
        known = moment.known("LW-1")
    assert known is not None
    assert known.segment == "silver"
    # Offsets have gaps where the log was compacted, and each partition its own.
    writer.apply([change(900, ann("LW-2"), partition=3)])
    assert reader.positions() == {0: 3, 3: 901}


def test_a_moment_stays_as_it_was(writer: DirectoryWriter, reader: DirectoryReader) -> None:
    writer.apply([change(0, ann())])
    with reader.moment() as before:
        writer.apply([change(1, None, "LW-1")])
        assert list(before.holders(EMAIL)) == ["LW-1"]
        assert before.revision == 1
        with reader.moment() as after:
            assert list(after.holders(EMAIL)) == []
            assert after.edition != before.edition


@pytest.mark.parametrize(
    "customer_id",
    ["a b", "Ünïcode Nr. 7", "客" * 200, "\U0001f600" * 200, "=1+1", "<b>x</b>", "x", "0" * 200],
)
def test_any_id_a_customer_may_have(
    customer_id: str, writer: DirectoryWriter, reader: DirectoryReader
) -> None:
    writer.apply([change(0, ann(customer_id))])
    assert holders(reader, EMAIL) == [customer_id]
    with reader.moment() as moment:
        known = moment.known(customer_id)
    assert known is not None
    assert known.id == customer_id


def test_one_address_of_ten_thousand_customers_is_nobodys_and_slows_nothing_down(
    writer: DirectoryWriter, reader: DirectoryReader
) -> None:
    crowd = [ann(f"C{number:05d}") for number in range(10_000)]
    writer.apply([change(number, customer) for number, customer in enumerate(crowd)])
    with reader.moment() as moment:
        assert len(moment.holders(EMAIL)) == 2
        began = time.process_time()
        for _ in range(2000):
            moment.holders(EMAIL)
        assert time.process_time() - began < 1.0
    began = time.process_time()
    for number in range(100):
        writer.apply([change(20_000 + 2 * number, None, "C05000")])
        writer.apply([change(20_001 + 2 * number, crowd[5000])])
    assert time.process_time() - began < 2.0
    writer.apply([change(30_000 + n, None, one.id) for n, one in enumerate(crowd) if n != 4711])
    assert holders(reader, EMAIL) == ["C04711"]


STATES = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.none()
        | st.builds(
            lambda emails, handles, consent: (emails, handles, consent),
            st.sets(st.sampled_from(["x@m.example", "y@m.example"])),
            st.sets(st.sampled_from(["one", "two"])),
            st.sampled_from([None, True, False]),
        ),
    ),
    max_size=12,
)


@hypothesis_settings(max_examples=60, deadline=None)
@given(states=STATES, cuts=st.sets(st.integers(0, 12)))
def test_the_directory_holds_the_last_states_however_they_came(
    states: list[tuple[str, tuple[set[str], set[str], bool | None] | None]],
    cuts: set[int],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("law")
    changes, last = [], {}
    for offset, (customer_id, state) in enumerate(states):
        customer = None
        if state is not None:
            accounts = tuple(Account("x", handle) for handle in sorted(state[1]))
            customer = Customer(
                id=customer_id, emails=tuple(sorted(state[0])), accounts=accounts, consent=state[2]
            )
        changes.append(Change(0, offset, customer_id, customer))
        last[customer_id] = customer
    writer, reader = DirectoryWriter(folder), DirectoryReader(folder)
    begin = 0
    for cut in sorted({*cuts, len(changes)}):
        writer.apply(changes[begin:cut])
        begin = max(begin, cut)
    living = {name: customer for name, customer in last.items() if customer is not None}
    assert reader.customers() == len(living)
    asked = [key("email", m) for m in ("x@m.example", "y@m.example")]
    asked += [handle_key("x", handle) for handle in ("one", "two")]
    with reader.moment() as moment:
        for wanted in asked:
            expected = {name for name, customer in living.items() if wanted in keys_of(customer)}
            found = list(moment.holders(wanted))
            assert set(found) <= expected
            assert len(found) == len(set(found)) == min(2, len(expected))
    writer.close()
    reader.close()
