"""What the directory survives: kills, forks, full disks, damage, deletion, other users."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import lmdb
import pytest

from pipeline.core.errors import ConfigError, FatalError, RetryableError
from pipeline.core.linking import key
from pipeline.identity import _environment as environment
from pipeline.identity.directory import DirectoryReader, DirectoryWriter
from testkit.directory import AT, EMAIL, ann, change, holders


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
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


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
        timeout=120,
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
        deadline = time.monotonic() + 90
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
        timeout=120,
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
