"""``groundswell enrich``: what a user sees on both outputs, for good input, bad input and odd pipes."""

from __future__ import annotations

import gzip
import json
import select
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import zstandard

from connectors._lines import Line
from enrichers.sentiment import SentimentEnricher
from pipeline.app.registry import build_chain
from pipeline.cli import enrich
from pipeline.core.event import Sentiment, decode_event, encode_event
from pipeline.core.process import Chain
from pipeline.core.rejection import decode_rejection, payload_of
from pipeline.core.settings import Settings

COMMAND = [sys.executable, "-m", "pipeline.cli.main", "enrich"]
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
GOOD: dict[str, Any] = {"id": "x:1", "text": "I love it", "author": {"id": "x:a"}}


def row(**changes: Any) -> bytes:
    """A good post with changes; None leaves a field out."""
    return json.dumps({key: value for key, value in (GOOD | changes).items() if value is not None}).encode()


def lines(raws: Iterable[bytes]) -> list[Line]:
    return [Line(number, raw, 0) for number, raw in enumerate(raws, 1)]


@pytest.fixture(scope="module")
def chain() -> Chain:
    return build_chain(Settings())


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Without settings of whoever runs the tests."""
    monkeypatch.setenv("GROUNDSWELL_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("GROUNDSWELL_CONFIG", raising=False)
    # It would flush for us what the command forgets to.
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    return tmp_path


def call(data: bytes, *arguments: str, folder: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*COMMAND, *arguments], input=data, capture_output=True, timeout=120, check=False, cwd=folder
    )


# What is wrong with a line, and words that the user must read.
BAD = {
    "invalid JSON": (b'{"id": "x:1", "text": ', "unreadable", "no valid JSON"),
    "plain text": (b"hello", "unreadable", "no valid JSON"),
    "bytes that are no text": (
        b'{"id": "x:1", "text": "\xff\xfe", "author": {"id": "x:a"}}',
        "unreadable",
        "JSON",
    ),
    "a list": (b"[1, 2]", "invalid", "object"),
    "a number": (b"17", "invalid", "object"),
    "null": (b"null", "invalid", "object"),
    "no id": (row(id=None), "invalid", "id"),
    "an empty id": (row(id=""), "invalid", "$.id"),
    "an id that is a number": (row(id=17), "invalid", "$.id"),
    "an id without a source": (row(id="17"), "invalid", "$.id"),
    "no author": (row(author=None), "invalid", "author.id"),
    "an author without id": (row(author={"name": "A"}), "invalid", "author.id"),
    "no text": (row(text=None), "invalid", "text"),
    "a text that is a number": (row(text=5), "invalid", "$.text"),
    "an author's id that is a number": (row(author={"id": 5}), "invalid", "$.author.id"),
    "a date without a zone": (row(created_at="2026-11-22T10:00:00"), "invalid", "created_at"),
    "a date that is nonsense": (row(created_at="yesterday"), "invalid", "created_at"),
    "a day that is none": (row(created_at="2026-02-30T10:00:00Z"), "invalid", "created_at"),
    "a date that is a list": (row(created_at=[2026]), "invalid", "created_at"),
    "a kind that is none": (row(kind="poem"), "invalid", "kind"),
    "a newer schema": (row(schema=999), "invalid", "upgrade"),
    "more than a post may have": (row(text="x" * 5_000_000)[: 4 * 1024 * 1024 + 1], "too_big", "4194304"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_line_is_rejected_with_its_reason_and_whole(name: str, chain: Chain) -> None:
    raw, reason, words = BAD[name]
    events, rejections = enrich.enriched(
        lines([row(id="x:before"), raw, row(id="x:after")]), chain, "g", "in", NOW
    )
    assert [event.post.id for event in events] == ["x:before", "x:after"]
    (rejection,) = rejections
    assert (rejection.reason, rejection.stage, rejection.origin) == (reason, "enrich", "in:2")
    assert words in rejection.error
    assert "\n" not in rejection.error
    # All of it can be tried again, except a line that was cut for its length anyway.
    assert payload_of(rejection) == raw[:4096] if reason == "too_big" else payload_of(rejection) == raw


def test_rejections_stand_in_the_order_of_the_lines_whoever_refused_them(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = SentimentEnricher.enrich

    def touchy(step: SentimentEnricher, columns: Mapping[str, Sequence[Any]]) -> list[Sentiment | None]:
        if any(post.text == "refuse me" for post in columns["post"]):
            raise ValueError("as you say")
        return judge(step, columns)

    monkeypatch.setattr(SentimentEnricher, "enrich", touchy)
    raws = [row(text="refuse me"), b"{", row(), row(text="refuse me", id="x:2"), b"}"]
    events, rejections = enrich.enriched(lines(raws), chain, "g", "in", NOW)
    assert len(events) == 1
    assert [(one.origin, one.reason) for one in rejections] == [
        ("in:1", "enricher"),
        ("in:2", "unreadable"),
        ("in:4", "enricher"),
        ("in:5", "unreadable"),
    ]
    assert "`sentiment`" in rejections[0].error


# Odd, but a post: what its text and its index become.
ODD = {
    "a megabyte": (row(text="not good " * 116_508), "not good " * 116_508, "g-posts-undated"),
    "empty": (row(text=""), "", "g-posts-undated"),
    "control characters": (
        row(text="\x00\x01\x1b[31m\x7f\x9f"),
        "\x00\x01\x1b[31m\x7f\x9f",
        "g-posts-undated",
    ),
    "a lone surrogate": (row(text="cut \ud83d"), "cut �", "g-posts-undated"),
    "a lone surrogate in bytes": (
        row(text="cut @").replace(b"@", b"\xed\xa0\xbd"),
        "cut �",
        "g-posts-undated",
    ),
    "zero-width marks": (row(text="a\u200bb\u200d\ufeff"), "a\u200bb\u200d\ufeff", "g-posts-undated"),
    "right-to-left marks": (
        row(text="\u202eevil\u202c \u200f"),
        "\u202eevil\u202c \u200f",
        "g-posts-undated",
    ),
    "of 1969": (row(created_at="1969-07-20T20:17:00Z"), "I love it", "g-posts-undated"),
    "of 2100": (row(created_at="2100-01-01T00:00:00Z"), "I love it", "g-posts-undated"),
    "of another zone": (row(created_at="2026-11-01T00:30:00+02:00"), "I love it", "g-posts-2026.10"),
    "with unknown fields": (
        row(colour="red", author={"id": "x:a", "mood": "bad"}),
        "I love it",
        "g-posts-undated",
    ),
    "a deletion": (b'{"id": "x:1", "deleted": true}', "", "g-posts-undated"),
    "a deletion with its text": (row(deleted=True), "", "g-posts-undated"),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_line_is_an_event(name: str, chain: Chain) -> None:
    raw, text, index = ODD[name]
    (event,), rejections = enrich.enriched(lines([raw]), chain, "g", "in", NOW)
    assert rejections == []
    written = encode_event(event)
    found = decode_event(written)
    assert (found.post.text, found.index) == (text, index)
    assert b"colour" not in written
    assert b"mood" not in written
    if found.post.deleted:
        assert (found.sentiment, found.language, found.versions) == (None, None, {})
    else:
        assert found.sentiment is not None
        assert found.language is not None
        assert set(found.versions) == set(Settings().enrich.steps)


def results(done: subprocess.CompletedProcess[bytes]) -> tuple[list[str], list[str]]:
    """The ids of the events and the origins of the rejections, each line of which must be one."""
    events = [decode_event(line).post.id for line in done.stdout.splitlines()]
    return events, [decode_rejection(line).origin for line in done.stderr.splitlines()]


def test_good_and_bad_lines_together_end_with_status_3_and_lose_nothing(home: Path) -> None:
    raws: list[bytes] = []
    for number, (raw, *_) in enumerate([*BAD.values(), *ODD.values()]):
        raws += [raw, row(id=f"x:between-{number}"), b"", b" \t\r"]
    done = call(b"\n".join(raws), folder=home)
    events, origins = results(done)
    assert done.returncode == enrich.SOME_REJECTED == 3
    assert origins == [f"standard input:{4 * n + 1}" for n in range(len(BAD))]
    assert [event for event in events if event.startswith("x:between")] == [
        f"x:between-{n}" for n in range(len(BAD) + len(ODD))
    ]
    assert len(events) == len(BAD) + 2 * len(ODD)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress])
def test_files_of_any_packing_and_order_over_many_batches(home: Path, pack: Any) -> None:
    ids = [f"x:{n}" for n in range(1300)]
    (home / "posts").write_bytes(pack(b"\n".join(row(id=name) for name in ids)))  # the last without a newline
    done = call(b"", "posts", folder=home)
    assert (done.returncode, done.stderr) == (0, b"")
    assert results(done)[0] == ids


def test_nothing_in_is_nothing_out(home: Path) -> None:
    done = call(b"", folder=home)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_the_event_is_what_the_design_says(home: Path) -> None:
    post = row(text="I don’t like it", created_at="2026-03-01T00:00:00Z", collected_at="2026-03-01T01:00:00Z")
    done = call(post + b"\n", folder=home)
    event = json.loads(done.stdout)
    assert event["language"] == {"code": "en", "confidence": pytest.approx(0.9, abs=0.1)}
    assert event["sentiment"]["label"] == "negative"
    assert event["index"] == "groundswell-posts-2026.03"
    assert event["versions"].keys() == set(Settings().enrich.steps)
    assert event["version"] > 0


def test_the_settings_are_heeded(home: Path) -> None:
    (home / "own.toml").write_text('[enrich]\nsteps = ["language"]\n[elasticsearch]\nprefix = "mine"\n')
    arguments = [sys.executable, "-m", "pipeline.cli.main", "--config", "own.toml", "enrich"]
    done = subprocess.run(arguments, input=row(), capture_output=True, timeout=120, check=False, cwd=home)
    event = json.loads(done.stdout)
    assert "sentiment" not in event
    assert event["index"] == "mine-posts-undated"


@pytest.mark.parametrize(
    ("arguments", "content", "words"),
    [
        (["absent.jsonl"], "", "absent.jsonl cannot be read"),
        ([], '[enrich]\nsteps = ["sentimnt"]\n', "did you mean `sentiment`"),
        ([], '[enrich]\nsteps = ["sentiment", "language"]\n', "move it behind `language`"),
        ([], "[enrichers.sentiment]\nnormalize = true\n", "did you mean `normalise`"),
    ],
)
def test_a_wrong_call_or_setting_ends_with_status_2(
    home: Path, arguments: Sequence[str], content: str, words: str
) -> None:
    (home / "groundswell.toml").write_text(content)
    done = call(row(), *arguments, folder=home)
    assert (done.returncode, done.stdout) == (2, b"")
    assert words in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()


def test_a_damaged_archive_ends_with_status_1_after_what_could_be_read(home: Path) -> None:
    whole = gzip.compress(b"\n".join(row(id=f"x:{n}", url=f"u{n * 7919}") for n in range(60_000)))
    (home / "posts.gz").write_bytes(whole[: len(whole) // 2])
    done = call(b"", "posts.gz", folder=home)
    assert done.returncode == 1
    assert b"is damaged behind line" in done.stderr
    assert done.stdout.endswith(b"}\n")


def test_a_reader_that_has_seen_enough_ends_it_quietly(home: Path) -> None:
    (home / "posts").write_bytes(b"\n".join(row(id=f"x:{n}") for n in range(30_000)))
    with subprocess.Popen(
        [*COMMAND, "posts"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=home
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert decode_event(process.stdout.readline()).post.id == "x:0"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 0


def test_a_lone_line_is_answered_at_once(home: Path) -> None:
    with subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=home) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for n in range(3):
            process.stdin.write(row(id=f"x:{n}") + b"\n")
            process.stdin.flush()
            answered, _, _ = select.select([process.stdout], [], [], 20)
            if not answered:
                process.kill()
                pytest.fail("the answer was held back")
            assert decode_event(process.stdout.readline()).post.id == f"x:{n}"
        process.stdin.close()
        assert process.wait(30) == 0


def test_memory_does_not_grow_with_the_input(home: Path) -> None:
    """Deletions, as they pass no step: 60 MB of them in the time of a few thousand posts."""
    deletion = b'{"id": "x:%d", "deleted": true, "text": "' + b"y" * 2000 + b'"}\n'
    with gzip.open(home / "posts", "wb", compresslevel=1) as file:
        for start in range(0, 30_000, 1000):
            file.write(b"".join(deletion % n for n in range(start, start + 1000)))
    (home / "one").write_bytes(row())
    code = (
        "import resource, sys\n"
        "from pipeline.cli.main import main\n"
        "status = main(['enrich', sys.argv[1]])\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)\n"
        "sys.exit(status)"
    )
    peaks = []
    for name in ("one", "posts"):
        done = subprocess.run(
            [sys.executable, "-c", code, name], capture_output=True, timeout=120, check=True, cwd=home
        )
        peaks.append(int(done.stderr) // (1024 if sys.platform == "linux" else 1024**2))
    assert done.stdout.count(b"\n") == 30_000
    assert peaks[1] - peaks[0] < 30, f"{peaks} MB"
