"""Every kind of bad post among good ones, through everything: what is refused says why, all else arrives."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer

from pipeline.app.topics import ensure_topics
from pipeline.core.rejection import rejection_id
from testkit.installation import Installation, Stored, rows_of

UNDATED = "undated"
RLO, ZERO_WIDTH = "\u202e", "\u200b\u200d\ufeff"
CONTROLS = "".join(map(chr, range(32)))
MEGABYTE = "all quiet on the line " * 50_000

Told = tuple[str, str]
"""Reason and sentence of a rejection."""


def post(post_id: str, **fields: Any) -> bytes:
    """A line of JSON; a field of None is left out."""
    whole = {
        "id": post_id,
        "text": "the parcel came today",
        "author": {"id": "x:joe"},
        "created_at": "2026-03-01T10:00:00Z",
        **fields,
    }
    return json.dumps({name: value for name, value in whole.items() if value is not None}).encode()


GOOD = {f"x:good{number}": f"parcel {number} came today" for number in range(30)}

REFUSED: dict[bytes, Told] = {
    b'{"id": "x:bad1", "text": "half a li': ("unreadable", "no valid JSON: Input data was truncated"),
    b"parcel lost": ("unreadable", "no valid JSON: JSON is malformed: invalid character (byte 0)"),
    b"\xff\xfe" + post("x:bad2"): (
        "unreadable",
        "no valid JSON: JSON is malformed: invalid character (byte 0)",
    ),
    b'{"a":' * 5000: ("unreadable", "no valid JSON: nested too deeply"),
    # As text in JSON it would be six times as long, and no topic would take its rejection.
    b"\x01" * 3_500_000: ("unreadable", "no valid JSON: JSON is malformed: invalid character (byte 0)"),
    b"[1, 2]": ("invalid", "Expected `object`, got `array`"),
    b"null": ("invalid", "Expected `object`, got `null`"),
    post("x:bad3", id=None): ("invalid", "Object missing required field `id`"),
    post(""): ("invalid", "$.id: Expected `source:native_id` without spaces, the source in lower case"),
    post("x:bad 4"): (
        "invalid",
        "$.id: Expected `source:native_id` without spaces, the source in lower case",
    ),
    post("x:bad5", id=5): ("invalid", "$.id: Expected `str`, got `int`"),
    post("x:" + "6" * 511): ("invalid", "id is longer than 512 bytes"),
    post("x:bad7", author=None): ("invalid", "author.id is missing, and this is not a deletion"),
    post("x:bad8", author=None, deleted=False): (
        "invalid",
        "author.id is missing, and this is not a deletion",
    ),
    post("x:bad9", author={"id": 9}): ("invalid", "$.author.id: Expected `str`, got `int`"),
    post("x:bad10", text=None): ("invalid", "Object missing required field `text`"),
    post("x:bad11", text=11): ("invalid", "$.text: Expected `str`, got `int`"),
    post("x:bad12", created_at="2026-03-01T10:00:00"): (
        "invalid",
        "$.created_at: Expected `datetime` with a timezone component",
    ),
    post("x:bad13", created_at="last tuesday"): ("invalid", "$.created_at: Invalid RFC3339 encoded datetime"),
    post("x:bad14", edited_at=1400000000): ("invalid", "$.edited_at: Expected `datetime | null`, got `int`"),
    post("x:bad15", metrics={"likes": "many"}): ("invalid", "$.metrics[...]: Expected `int`, got `str`"),
    post("x:bad16", schema=99): ("invalid", "schema 99 is newer than this program's 1: upgrade Groundswell"),
    post("x:bad17", text="x" * 6_000_000): (
        "too_big",
        "longer than 4194304 bytes, the most that a post may have",
    ),
}

# Line, and what of it must be in the index: text, and month of the index.
TOLERATED: dict[str, tuple[bytes, str, str]] = {
    "x:long": (post("x:long", text=MEGABYTE), MEGABYTE, "2026.03"),
    "x:empty": (post("x:empty", text=""), "", "2026.03"),
    "x:controls": (post("x:controls", text=CONTROLS), CONTROLS, "2026.03"),
    "x:surrogates": (
        post("x:surrogates", text="").replace(b'""', b'"cut \\ud83d here \\ude00"'),
        "cut \ufffd here \ufffd",
        "2026.03",
    ),
    "x:invisible": (
        post("x:invisible", text=f"{RLO}desrever{ZERO_WIDTH}"),
        f"{RLO}desrever{ZERO_WIDTH}",
        "2026.03",
    ),
    "x:y1969": (post("x:y1969", text="moon", created_at="1969-07-20T20:17:40Z"), "moon", UNDATED),
    "x:y2100": (post("x:y2100", text="later", created_at="2100-01-01T00:00:00Z"), "later", UNDATED),
    "x:undated": (post("x:undated", text="when?", created_at=None), "when?", UNDATED),
    "x:zoned": (post("x:zoned", text="east", created_at="2026-03-01T01:00:00+05:00"), "east", "2026.02"),
    "x:unknown": (
        post("x:unknown", text="more", mood={"deep": [1]}, author={"id": "x:joe", "shoe_size": 43}),
        "more",
        "2026.03",
    ),
}

# An older edit behind a newer one, and the post itself last of all; deletions before their posts.
EDITS = [
    post("x:edited", text="second edit", edited_at="2026-03-03T00:00:00Z"),
    post("x:edited", text="first edit", edited_at="2026-03-02T00:00:00Z"),
    post("x:edited", text="as written"),
]
DELETIONS = [
    b'{"id": "x:deleted1", "deleted": true}',
    post("x:deleted1", text="nobody may read this"),
    post("x:deleted2", text="nor this", deleted=True),
    post("x:deleted2", text="nor this", edited_at="2026-03-02T00:00:00Z"),
]

LINES = [
    line
    for group in (
        [post(post_id, text=text) for post_id, text in GOOD.items()],
        REFUSED,
        [line for line, _, _ in TOLERATED.values()],
        EDITS,
        DELETIONS,
    )
    for line in group
]
# Bad and good side by side, so that every batch holds both; edits and deletions keep their order.
MIXED = [line for start in range(3) for line in LINES[:-7][start::3]] + LINES[-7:]


def by_replay(installation: Installation, folder: Path) -> list[tuple[str, bytes]]:
    """Sends the lines as a file; returns them, each with the origin that its rejection must name."""
    file = folder / "posts.jsonl"
    file.write_bytes(b"\n".join(MIXED) + b"\n")
    done = installation.command("replay", str(file))
    assert done.returncode == 0, done.stderr.decode()
    said = done.stderr.decode()
    assert said.startswith(f"sent {len(MIXED) - len(REFUSED)} posts in ")
    assert said.endswith(f"; {len(REFUSED)} lines were refused, see `groundswell rejected list`\n")
    return [(f"{file}:{number}", line) for number, line in enumerate(MIXED, 1)]


def by_a_stranger(installation: Installation, _folder: Path) -> list[tuple[str, bytes]]:
    """Some other program writes the same into the posts topic, without our keys."""
    topics = ensure_topics(installation.kafka, installation.settings.kafka)
    producer = KafkaProducer(bootstrap_servers=installation.kafka.address, max_request_size=8_000_000)
    # A key of its own, none, and one that is no text and longer than any id.
    keys = [b"1", None, b"\xff" * 2000]
    sent = [
        producer.send(
            topics.posts.name, value=line, key=keys[number % 3] if number < len(MIXED) - 7 else b"k"
        )
        for number, line in enumerate(MIXED)
    ]
    nothing = producer.send(topics.posts.name, value=None, key=b"x:good1", partition=0)
    producer.flush()
    producer.close()
    places = [future.get() for future in [*sent, nothing]]
    origins = [f"{place.topic}-{place.partition}-{place.offset}" for place in places]
    return list(zip(origins, [*MIXED, b""], strict=True))


@pytest.mark.parametrize(("send", "stage"), [(by_replay, "replay"), (by_a_stranger, "enrich")])
def test_bad_posts_among_good_ones(
    installation: Installation,
    tmp_path: Path,
    send: Callable[[Installation, Path], list[tuple[str, bytes]]],
    stage: str,
) -> None:
    daemon = installation.daemon("enrich", "index", "directory")
    origins = send(installation, tmp_path)
    installation.settle(daemon)

    told = {**REFUSED, b"": ("unreadable", "no valid JSON: Input data was truncated")}
    expected = {
        rejection_id(stage, line[: 4 * 1024 * 1024 + 1] if stage == "replay" else line): (  # type: ignore[arg-type]
            stage,
            *told[line],
            origin,
        )
        for origin, line in origins
        if line in told
    }
    assert listed(installation) == expected
    check_documents(rows_of(installation.documents()))
    audit = installation.command("audit", "--format", "json")
    assert (audit.returncode, audit.stderr) == (0, b"")
    ledger = {row["outcome"]: row["records"] for row in json.loads(audit.stdout)}
    assert ledger == {
        "records": len(MIXED) - len(REFUSED) if stage == "replay" else len(MIXED) + 1,
        "applied": len(GOOD) + len(TOLERATED) + 1,
        "superseded": 2 + 2,
        "deleted": 2,
        "rejected": 0 if stage == "replay" else len(expected),
        "expired": 0,
        "in_flight": 0,
        "duplicates": 0,
        "lost": 0,
        "refused_before": len(REFUSED) if stage == "replay" else 0,
    }
    check_show_and_replay(installation, expected)
    assert listed(installation) == expected
    assert daemon.stop() == 0
    assert "Traceback" not in installation.log()


def listed(installation: Installation) -> dict[str, tuple[str, str, str, str]]:
    """Stage, reason, sentence and origin of all rejections, as a user gets them."""
    done = installation.command("rejected", "list", "--format", "json")
    assert (done.returncode, done.stderr) == (0, b"")
    return {
        row["id"]: (row["stage"], row["reason"], row["error"], row["origin"])
        for row in json.loads(done.stdout)
    }


def check_documents(documents: dict[str, Stored]) -> None:
    """The index holds the good, the tolerated, the newest edit and two stubs; nothing else."""
    expected = {post_id: (text, "2026.03") for post_id, text in GOOD.items()}
    expected |= {post_id: (text, month) for post_id, (_, text, month) in TOLERATED.items()}
    expected["x:edited"] = ("second edit", "2026.03")
    live = {post_id: row for post_id, row in documents.items() if not row.source["deleted"]}
    found = {
        post_id: (row.source["text"], row.index.rpartition("-posts-")[2]) for post_id, row in live.items()
    }
    assert found == expected
    assert all(
        row.source["sentiment"]["label"] in ("negative", "neutral", "positive") for row in live.values()
    )
    assert documents["x:y1969"].source["created_at"] == "1969-07-20T20:17:40Z"
    assert documents["x:zoned"].source["created_at"] == "2026-02-28T20:00:00Z"
    assert "mood" not in documents["x:unknown"].source
    assert documents["x:unknown"].source["author"] == {"id": "x:joe"}
    stubs = {post_id: row.source for post_id, row in documents.items() if row.source["deleted"]}
    assert stubs.keys() == {"x:deleted1", "x:deleted2"}
    assert not any("text" in stub or "author" in stub or "sentiment" in stub for stub in stubs.values())


def check_show_and_replay(installation: Installation, expected: dict[str, tuple[str, str, str, str]]) -> None:
    """One is shown whole; to try an invalid one again says why it stays, and changes nothing."""
    short = next(id for id, (_, _, error, _) in expected.items() if error == "Expected `object`, got `array`")
    shown = installation.command("rejected", "show", short[:10])
    assert shown.returncode == 0
    page = shown.stdout.decode()
    for words in (*expected[short], "attempts     1", "payload (text):\n[1, 2]\n"):
        assert words in page
    big = next(id for id, (_, reason, _, _) in expected.items() if reason == "too_big")
    again = installation.command("rejected", "replay", short, big)
    assert again.returncode == 1
    assert sorted(again.stderr.decode().splitlines()) == sorted(
        [
            f"{short} stays: Expected `object`, got `array`",
            f"{big} stays: its payload was too big to be kept whole; replay it from its source",
            "0 sent again, 2 stay rejected",
        ]
    )
    unknown = installation.command("rejected", "show", "zz")
    assert unknown.returncode == 2
    assert unknown.stderr == b"groundswell: no rejection begins with `zz`; see `groundswell rejected list`\n"


def test_what_the_index_refuses_waits_for_a_mended_mapping(
    installation: Installation, tmp_path: Path
) -> None:
    """An index of that month was made by hand, and in it sentiment is a word."""
    by_hand = f"{installation.prefix}-posts-2026.04"
    mapping = {"properties": {"sentiment": {"type": "keyword"}}}
    installation.client.indices.create(index=by_hand, mappings=mapping)
    march = {f"x:march{number}": post(f"x:march{number}") for number in range(20)}
    april = {
        f"x:april{number}": post(f"x:april{number}", created_at="2026-04-02T10:00:00Z")
        for number in range(20)
    }
    gone = b'{"id": "x:april-gone", "deleted": true, "created_at": "2026-04-02T10:00:00Z"}'
    file = tmp_path / "posts.jsonl"
    file.write_bytes(b"\n".join([*march.values(), *april.values(), gone]) + b"\n")
    daemon = installation.daemon("enrich", "index", "directory")
    assert installation.command("replay", str(file)).returncode == 0
    installation.settle(daemon)

    # Those of March and the deletion, which has no sentiment, are there; those of April say why not.
    assert rows_of(installation.documents()).keys() == march.keys() | {"x:april-gone"}
    refusals = listed(installation)
    assert len(refusals) == len(april)
    for stage, reason, error, origin in refusals.values():
        assert (stage, reason) == ("index", "index")
        assert "failed to parse field [sentiment] of type [keyword]" in error
        assert origin.startswith(f"{installation.prefix}.events-")
    ledger, findings = installation.audit()
    assert findings == []
    assert (ledger.applied, ledger.deleted, ledger.rejected, ledger.lost) == (len(march), 1, len(april), 0)
    assert f"index {by_hand} maps 1 fields otherwise" in installation.log()

    # Another try before anything is mended: sent, refused anew, and still accounted for.
    again = installation.command("rejected", "replay", "--stage", "index")
    assert (again.returncode, again.stderr.decode()) == (0, f"{len(april)} sent again, 0 stay rejected\n")
    installation.settle(daemon)
    refused_again = installation.command("rejected", "list", "--format", "json")
    assert [row["attempts"] for row in json.loads(refused_again.stdout)] == [2] * len(april)
    ledger, findings = installation.audit()
    assert (findings, ledger.rejected, ledger.applied) == ([], len(april), len(march))

    # Mended: the index goes, and the next write makes it as it should be.
    installation.client.indices.delete(index=by_hand)
    assert installation.command("rejected", "replay", "--stage", "index").returncode == 0
    installation.settle(daemon)
    assert rows_of(installation.documents()).keys() >= march.keys() | april.keys()
    assert listed(installation) == {}
    ledger, findings = installation.audit()
    # The stub that lay in the index is gone with it, as the audit must say.
    assert (ledger.applied, ledger.rejected, ledger.lost) == (len(march) + len(april), 0, 1)
    assert [(finding.id, finding.fault) for finding in findings] == [
        ("x:april-gone", "is in the log but not in the index")
    ]
    assert installation.command("rebuild", "--keep").returncode == 0
    ledger, findings = installation.audit()
    assert (findings, ledger.deleted) == ([], 1)
    assert daemon.stop() == 0
