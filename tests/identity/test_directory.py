"""The directory: what it tells, what a change leaves behind, and what it survives."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import lmdb
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pipeline.core.customer import Account, Customer
from pipeline.core.errors import ConfigError, FatalError, RetryableError
from pipeline.core.linking import handle_key, key, keys_of
from pipeline.identity import _environment as environment
from pipeline.identity.directory import Change, DirectoryReader, DirectoryWriter

AT = datetime(2026, 11, 22, 10, 0, 0, 123456, tzinfo=UTC)
EMAIL = key("email", "ann@mail.example")


def ann(customer_id: str = "LW-1", **fields: object) -> Customer:
    return Customer(**({"id": customer_id, "emails": ("ann@mail.example",), "segment": "gold"} | fields))  # type: ignore[arg-type]


def change(offset: int, customer: Customer | None, customer_id: str = "", partition: int = 0) -> Change:
    return Change(partition, offset, customer.id if customer else customer_id, customer)


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[DirectoryWriter]:
    writer = DirectoryWriter(tmp_path / "directory")
    yield writer
    writer.close()


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[DirectoryReader]:
    reader = DirectoryReader(tmp_path / "directory")
    yield reader
    reader.close()


def holders(reader: DirectoryReader, wanted: bytes) -> list[str]:
    with reader.moment() as moment:
        return sorted(moment.holders(wanted))


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


def test_without_consent_there_are_no_keys(writer: DirectoryWriter, reader: DirectoryReader) -> None:
    writer.apply([change(0, ann())])
    writer.apply([change(1, ann(consent=False))])
    assert holders(reader, EMAIL) == holders(reader, key("number", "lw-1")) == []
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


def test_a_second_writer_is_refused(writer: DirectoryWriter, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="another process writes the directory"):
        DirectoryWriter(tmp_path / "directory")
    writer.close()
    DirectoryWriter(tmp_path / "directory").close()


def test_a_writer_after_a_reader_in_one_process(tmp_path: Path) -> None:
    DirectoryWriter(tmp_path).close()
    early = DirectoryReader(tmp_path)
    assert early.customers() == 0
    writer = DirectoryWriter(tmp_path)
    writer.apply([change(0, ann())])
    assert early.customers() == 1
    writer.close()
    assert holders(early, EMAIL) == ["LW-1"]
    early.close()


def test_deleted_and_built_anew_it_is_found_by_itself(reader: DirectoryReader, tmp_path: Path) -> None:
    folder = tmp_path / "directory"
    writer = DirectoryWriter(folder)
    writer.apply([change(0, ann())])
    with reader.moment() as moment:
        old = moment.edition
    for file in folder.iterdir():
        file.unlink()
    assert reader.customers() == 0
    with pytest.raises(FatalError, match="was removed"):
        writer.apply([change(1, ann())])
    writer.close()
    writer = DirectoryWriter(folder)
    assert writer.positions() == {}
    writer.apply([change(0, ann("LW-9"))])
    assert holders(reader, EMAIL) == ["LW-9"]
    with reader.moment() as moment:
        assert moment.edition != old
    writer.close()


def fill(folder: Path) -> Path:
    writer = DirectoryWriter(folder)
    writer.apply([change(n, ann(f"LW-{n}", emails=(f"c{n}@mail.example",))) for n in range(2000)])
    writer.close()
    return folder / "data.mdb"


def cut_off(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def garble(file: Path) -> None:
    file.write_bytes(b"<html>this is no directory</html>" * 1000)


def empty(file: Path) -> None:
    file.write_bytes(b"")


def replace_by_another_s(file: Path) -> None:
    for left in file.parent.iterdir():
        left.unlink()
    with lmdb.open(str(file.parent), map_size=1 << 20, max_dbs=3) as env, env.begin(write=True) as txn:
        txn.put(b"a", b"b")


@pytest.mark.parametrize("damage", [cut_off, garble, empty, replace_by_another_s])
@pytest.mark.parametrize("use", [lambda at: DirectoryReader(at).revision(), DirectoryWriter])
def test_a_file_that_is_none_is_refused_with_the_remedy(
    damage: Callable[[Path], None],
    use: Callable[[Path], object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(environment, "PAGE_WAIT", 0.1)
    damage(fill(tmp_path))
    with pytest.raises(ConfigError, match="delete the folder") as told:
        use(tmp_path)
    assert "\n" not in str(told.value)


def test_a_file_of_a_later_groundswell_is_refused(tmp_path: Path) -> None:
    tmp_path.mkdir(exist_ok=True)
    environment.make(tmp_path, {b"schema": b"2"})
    with pytest.raises(ConfigError, match=r"schema 2, this one has 1.*upgrade"):
        DirectoryReader(tmp_path).revision()
    with pytest.raises(ConfigError, match="upgrade"):
        DirectoryWriter(tmp_path)


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "directory").write_text("x")
    with pytest.raises(ConfigError, match="is no folder"):
        DirectoryWriter(tmp_path / "directory")
    assert DirectoryReader(tmp_path / "directory").customers() == 0


def test_what_was_left_of_a_making_that_was_killed_hinders_nobody(tmp_path: Path) -> None:
    for name in ("new.mdb", "new.mdb-lock", "lock.mdb"):
        (tmp_path / name).write_bytes(b"\0" * 5000)
    fill(tmp_path)
    assert DirectoryReader(tmp_path).customers() == 2000


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (lmdb.DiskError("put"), RetryableError, "make room"),
        (OSError(27, "File too large"), RetryableError, "make room"),
        (lmdb.MapFullError("put"), FatalError, "delete the folder"),
        (lmdb.MemoryError("open"), ConfigError, "ulimit"),
        (PermissionError(13, "denied"), ConfigError, "as the one who owns it"),
        (lmdb.ReadersFullError("begin"), RetryableError, "fewer workers"),
        (lmdb.PanicError("commit"), FatalError, "cannot be used"),
    ],
)
def test_errors_of_the_system_are_told_in_a_sentence(
    error: Exception, kind: type[Exception], words: str
) -> None:
    told = environment.told(error, Path("/srv/directory"))
    assert type(told) is kind
    assert words in str(told)


def test_a_full_map_leaves_the_last_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "MAP_BYTES", 1 << 18)
    writer, reader = DirectoryWriter(tmp_path), DirectoryReader(tmp_path)
    writer.apply([change(0, ann())])
    with pytest.raises(FatalError):
        writer.apply([change(n, ann(f"LW-{n}", emails=(f"c{n}@m.example",))) for n in range(1, 5000)])
    assert (reader.customers(), reader.positions()) == (1, {0: 1})
    writer.close()
    reader.close()


def run(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A process of its own, which must end well."""
    command = [sys.executable, "-c", script, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)


FULL_DISK = """
import resource, sys
from pathlib import Path
from pipeline.core.customer import Customer
from pipeline.core.errors import RetryableError
from pipeline.identity.directory import Change, DirectoryReader, DirectoryWriter

writer = DirectoryWriter(Path(sys.argv[1]))
writer.apply([Change(0, 0, "a", Customer(id="a"))])
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
many = [Change(0, n, f"c{n}", Customer(id=f"c{n}", emails=(f"c{n}@m.example",))) for n in range(1, 20_000)]
try:
    writer.apply(many)
except RetryableError as error:
    print("told:", error)
print(DirectoryReader(Path(sys.argv[1])).customers())
writer.apply([Change(0, 1, "b", Customer(id="b"))])
print(DirectoryReader(Path(sys.argv[1])).customers())
"""


def test_a_full_disk_is_told_and_nothing_is_half_there(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    told, before, after = ran.stdout.splitlines()
    assert "make room" in told
    assert (before, after) == ("1", "2")


ENDLESS = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from pipeline.core.customer import Customer
from pipeline.identity.directory import Change, DirectoryWriter

writer = DirectoryWriter(Path(sys.argv[1]))
offset = writer.positions().get(0, 0)
print("ready", flush=True)
while True:
    batch = [
        Change(0, n, f"c{n}", Customer(id=f"c{n}", emails=(f"c{n}@m.example",)))
        for n in range(offset, offset + 50)
    ]
    writer.apply(batch)
    writer.note_fresh(datetime.now(UTC))
    offset += 50
"""


def test_a_writer_that_is_killed_at_any_instant_leaves_whole_batches(tmp_path: Path) -> None:
    reader = DirectoryReader(tmp_path)
    seen = 0
    for pause in (0.0, 0.05, 0.11, 0.23, 0.31):
        child = subprocess.Popen([sys.executable, "-c", ENDLESS, str(tmp_path)], stdout=subprocess.PIPE)
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        deadline = time.monotonic() + 20
        while reader.customers() <= seen and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(pause)
        child.kill()
        child.wait()
        child.stdout.close()
        position = reader.positions()[0]
        with reader.moment() as moment:
            for number in (*range(0, position, 37), position - 1):
                wanted = key("email", f"c{number}@m.example")
                assert list(moment.holders(wanted)) == [f"c{number}"]
            assert moment.known(f"c{position}") is None
        assert reader.customers() == position == reader.revision()
        assert position % 50 == 0
        assert position > seen
        seen = position
    reader.close()
    writer = DirectoryWriter(tmp_path)
    assert writer.positions() == {0: seen}
    writer.close()


LOOKING = """
import sys, time
from pathlib import Path
from pipeline.identity.directory import DirectoryReader

reader = DirectoryReader(Path(sys.argv[1]))
with reader.moment() as moment:
    print(moment.revision, flush=True)
    time.sleep(600)
"""


def test_readers_that_are_killed_in_the_middle_of_a_look_keep_no_room(tmp_path: Path) -> None:
    fill(tmp_path)
    children = [
        subprocess.Popen([sys.executable, "-c", LOOKING, str(tmp_path)], stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == b"2000\n"
    writer = DirectoryWriter(tmp_path)
    held = environment.take(tmp_path)
    assert held is not None
    assert len(held.env.readers().splitlines()) >= 3  # a heading and the two
    for child in children:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()
    writer.note_fresh(AT)
    assert held.env.reader_check() == 0
    assert "no active readers" in held.env.readers()
    environment.release(held)
    writer.close()


def _in_child(reader: DirectoryReader, sent: object) -> None:
    sent.put((reader.customers(), holders(reader, EMAIL)))  # type: ignore[attr-defined]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_reader_works_in_a_forked_child(writer: DirectoryWriter, reader: DirectoryReader) -> None:
    writer.apply([change(0, ann())])
    assert reader.customers() == 1
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(target=_in_child, args=(reader, answers))
    child.start()
    assert answers.get(timeout=30) == (1, ["LW-1"])
    child.join(30)
    assert child.exitcode == 0
    # The child's end did not take the parent's locks away.
    writer.apply([change(1, ann("LW-2"))])
    assert holders(reader, EMAIL) == ["LW-1", "LW-2"]


LITTLE_ROOM = """
import resource, sys
from pathlib import Path
from pipeline.core.errors import ConfigError
from pipeline.identity.directory import DirectoryReader

resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
try:
    DirectoryReader(Path(sys.argv[1])).revision()
except ConfigError as error:
    print(error)
"""


def test_a_limit_on_addresses_is_told_of(tmp_path: Path) -> None:
    fill(tmp_path)
    ran = subprocess.run(
        [sys.executable, "-c", LITTLE_ROOM, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "ulimit -v" in ran.stdout


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_another_users_directory_is_refused(tmp_path: Path) -> None:
    fill(tmp_path)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == 0 and str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    script = LITTLE_ROOM.replace("resource.setrlimit", "import os; os.setuid(65534) #")
    assert "as the one who owns it" in run(script, tmp_path).stdout


def test_many_threads_read_while_one_writes(writer: DirectoryWriter, reader: DirectoryReader) -> None:
    from concurrent.futures import ThreadPoolExecutor

    writer.apply([change(0, ann(value=0.0))])

    def look(_: int) -> bool:
        with reader.moment() as moment:
            known = moment.known("LW-1")
            return known is not None and known.value == float(moment.revision - 1)

    with ThreadPoolExecutor(4) as pool:
        looks = pool.map(look, range(2000))
        for number in range(1, 200):
            writer.apply([change(number, ann(value=float(number)))])
        assert all(looks)
