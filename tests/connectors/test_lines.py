"""Lines of files and pipes: found out by content, in order, cut where endless, resumed where asked."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors._lines import MAX_LINE_BYTES, Line, LineReader
from pipeline.core.errors import ConfigError, FatalError

Pack = Callable[[bytes], bytes]


def plain(data: bytes) -> bytes:
    return data


def frames(data: bytes) -> bytes:
    """zstd in two frames, as appending to a file leaves it."""
    middle = len(data) // 2
    return zstandard.compress(data[:middle]) + zstandard.compress(data[middle:])


def members(data: bytes) -> bytes:
    middle = len(data) // 2
    return gzip.compress(data[:middle]) + gzip.compress(data[middle:])


PACKS: list[Pack] = [plain, gzip.compress, members, zstandard.compress, frames]


def everything(path: Path, size: int = 3) -> list[Line]:
    reader = LineReader(str(path))
    found = []
    try:
        while lines := reader.lines(size):
            assert len(lines) <= size
            found += lines
    finally:
        reader.close()
    return found


@pytest.mark.parametrize("pack", PACKS)
@pytest.mark.parametrize(
    "data", [b"", b"a", b"a\n", b"\n", b"\n\na\n\n", b"a\r\nb\r\n", b"a\nb", "é\u2028x\x0b\x1ey\n".encode()]
)
def test_lines_are_those_of_the_text_whatever_the_packing(tmp_path: Path, pack: Pack, data: bytes) -> None:
    file = tmp_path / "no-ending-says-what-it-is"
    file.write_bytes(pack(data))
    expected = data.split(b"\n")
    if expected[-1] == b"":
        expected.pop()
    found = everything(file)
    assert [line.raw for line in found] == expected
    assert [line.number for line in found] == list(range(1, len(expected) + 1))
    assert not found or found[-1].after == len(data)


@pytest.mark.parametrize("pack", PACKS)
def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path, pack: Pack) -> None:
    (tmp_path / "f").write_bytes(pack(b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n"))
    assert [(line.raw, line.after) for line in everything(tmp_path / "f")] == [
        (b"a", 5),
        (b"\xef\xbb\xbfb", 10),
    ]


@settings(max_examples=60, deadline=None)
@given(
    data=st.binary(max_size=300).map(lambda raw: b"x" + raw.replace(b"\x01", b"\n")), size=st.integers(1, 5)
)
def test_reading_can_go_on_behind_any_line(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, size: int
) -> None:
    file = tmp_path_factory.mktemp("lines") / "x"
    for pack in (plain, gzip.compress, zstandard.compress):
        file.write_bytes(pack(data))
        lines = everything(file, size)
        for line in lines[:: max(1, len(lines) // 3)]:
            reader = LineReader(str(file))
            reader.skip(line.after, line.number)
            rest = []
            while more := reader.lines(size):
                rest += more
            reader.close()
            assert rest == lines[line.number :]


def test_large_files_are_read_whole(tmp_path: Path) -> None:
    rows = [f'{{"id": "x:{n}", "text": "{"y" * (n % 700)}"}}'.encode() for n in range(8000)]
    for pack in PACKS:
        (tmp_path / "f").write_bytes(pack(b"\n".join(rows)))
        assert [line.raw for line in everything(tmp_path / "f", 512)] == rows


@pytest.mark.parametrize("pack", PACKS)
def test_an_endless_line_is_cut_and_the_next_one_read(tmp_path: Path, pack: Pack) -> None:
    long = b"z" * (2 * MAX_LINE_BYTES + 12345)
    (tmp_path / "f").write_bytes(pack(b"a\n" + long + b"\nb\n" + long))
    found = everything(tmp_path / "f")
    assert [(line.number, len(line.raw)) for line in found] == [
        (1, 1),
        (2, MAX_LINE_BYTES),
        (3, 1),
        (4, MAX_LINE_BYTES),
    ]
    assert [line.after for line in found[:3]] == [2, len(long) + 3, len(long) + 5]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_damaged_archive_ends_with_the_place(tmp_path: Path, pack: Pack) -> None:
    whole = pack(os.urandom(300_000).hex().encode() + b"\n" + os.urandom(300_000))
    (tmp_path / "f").write_bytes(whole[: len(whole) // 2] + b"broken" * 100)
    with pytest.raises(FatalError, match="is damaged behind line"):
        everything(tmp_path / "f")


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_an_archive_that_stops_short_is_not_taken_for_whole(tmp_path: Path, pack: Pack) -> None:
    whole = pack(b"".join(b'{"id": "x:%d"}\n' % n for n in range(50_000)))
    (tmp_path / "f").write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(FatalError, match="is damaged behind line"):
        everything(tmp_path / "f", 500)


def test_what_cannot_be_read_is_a_wrong_call(tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(ConfigError, match="cannot be read"):
            LineReader(str(path))


def test_of_a_pipe_what_is_there_is_given_at_once() -> None:
    code = (
        "from connectors._lines import LineReader\n"
        "reader = LineReader('-')\n"
        "while lines := reader.lines(100):\n"
        "    print([line.raw.decode() for line in lines], flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        for written, read in (
            (b"a\n", b"['a']\n"),
            (b"b\nc\nd", b"['b', 'c']\n"),
            (b"e\n", b"['de']\n"),
        ):
            process.stdin.write(written)
            process.stdin.flush()
            assert process.stdout.readline() == read
        process.stdin.write(b"last")
        process.stdin.close()
        assert process.stdout.readline() == b"['last']\n"
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("pack", PACKS)
def test_packing_is_found_out_on_a_slow_pipe(pack: Pack) -> None:
    """The first bytes may come one by one."""
    code = (
        "from connectors._lines import LineReader\n"
        "reader = LineReader('-')\n"
        "while lines := reader.lines(100):\n"
        "    print(*[line.raw.decode() for line in lines], sep='\\n')\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    data = pack(b"one\ntwo\n")
    process.stdin.write(data[:1])
    process.stdin.flush()
    try:
        # Long enough for the child to have looked at the first byte.
        process.wait(0.7)
    except subprocess.TimeoutExpired:
        out, _ = process.communicate(data[1:], timeout=60)
        assert out == b"one\ntwo\n"
    else:
        pytest.fail("ended before its input did")
