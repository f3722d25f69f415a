"""`groundswell query` from the command line to what the asker sees."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from elasticsearch import Elasticsearch

from pipeline.cli.main import main
from pipeline.core.settings import ElasticsearchSettings
from sinks.elastic import prepare

NOW = datetime.now(UTC)


@pytest.fixture
def asked(
    client: Elasticsearch,
    elastic_settings: ElasticsearchSettings,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Elasticsearch:
    """An installation whose index holds 30 posts, one of them hostile, and a stub."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GROUNDSWELL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GROUNDSWELL_ELASTICSEARCH_URL", elastic_settings.url)
    monkeypatch.setenv("GROUNDSWELL_ELASTICSEARCH_PREFIX", elastic_settings.prefix)
    prepare(client, elastic_settings)
    lines: list[dict[str, Any]] = []
    for n in range(30):
        lines.append({"index": {"_index": f"{elastic_settings.prefix}-posts-undated", "_id": f"x:{n:02}"}})
        post = {
            "id": f"x:{n:02}",
            "source": "x",
            "text": f"post {n}",
            "deleted": False,
            "hashtags": ["a", "b"],
        }
        post |= {
            "created_at": (NOW - timedelta(days=n)).isoformat(),
            "author": {"id": "x:a", "handle": "ann"},
        }
        post["routes"] = [{"queue": "q", "due_at": NOW.isoformat()}, {"queue": "r"}]
        lines.append(post | {"sentiment": {"compound": -0.5, "label": "negative"}, "versions": {"a": "1"}})
    lines[-1]["text"] = "=cmd() \x1b[2J\u202e"
    lines.append({"index": {"_index": f"{elastic_settings.prefix}-posts-undated", "_id": "x:stub"}})
    lines.append({"id": "x:stub", "source": "x", "deleted": True})
    client.bulk(operations=lines, refresh=True)
    return client


def query(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main(["query", *arguments])
    out, err = capsys.readouterr()
    return status, out, err


def test_a_table_of_the_newest(asked: Elasticsearch, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = query(capsys)
    lines = out.splitlines()
    assert (status, len(lines)) == (0, 21)
    assert lines[0].split() == ["id", "created_at", "author.handle", "sentiment.label", "text"]
    assert lines[1].startswith("x:00")
    assert err == "20 of 30 posts; --limit N shows more, --format csv all\n"


def test_a_hostile_text_is_shown_harmless(asked: Elasticsearch, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, err = query(capsys, 'id:"x:29"')
    assert "=cmd() [2J" in out
    assert "\x1b" not in out
    assert err == ""
    _, out, _ = query(capsys, 'id:"x:29"', "--format", "csv", "--fields", "text")
    assert out.splitlines()[1].startswith("'=cmd()")


def test_one_number(asked: Elasticsearch, capsys: pytest.CaptureFixture[str]) -> None:
    assert query(capsys, "post", "--count") == (0, "29\n", "")
    assert query(capsys, "--count", "--deleted") == (0, "31\n", "")
    assert query(capsys, "--count", "--since", "7d", "--format", "json") == (0, "7\n", "")


def test_counts(asked: Elasticsearch, capsys: pytest.CaptureFixture[str]) -> None:
    assert query(capsys, "--count-by", "author.handle") == (
        0,
        "author.handle  count\nann            30\n",
        "",
    )
    _, out, _ = query(capsys, "--count-by", "created_at:day", "--format", "json", "--limit", "3")
    assert [row["count"] for row in json.loads(out)] == [1, 1, 1]


def test_json_holds_whole_documents_or_the_chosen_fields(
    asked: Elasticsearch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = query(capsys, "--format", "json")
    rows = json.loads(out)
    assert len(rows) == 30
    assert rows[0]["author"] == {"id": "x:a", "handle": "ann"}
    _, out, _ = query(capsys, "--format", "json", "--fields", "id, author", "--limit", "1")
    [row] = json.loads(out)
    assert row["author.handle"] == "ann"
    assert query(capsys, "nothing", "--format", "json") == (0, "[]\n", "")


def test_csv_has_all_fields(asked: Elasticsearch, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = query(capsys, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert len(rows) == 30
    assert rows[0]["hashtags"] == "a; b"
    assert rows[0]["sentiment.compound"] == "-0.5"


def test_parquet_has_types(asked: Elasticsearch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    target = tmp_path / "posts.parquet"
    assert query(capsys, "--deleted", "--output", str(target)) == (0, "", "")
    table = pq.read_table(target)
    assert table.num_rows == 31
    assert table.schema.field("created_at").type == pa.timestamp("us", tz="UTC")
    assert table.schema.field("hashtags").type == pa.list_(pa.string())
    first = table.slice(0, 1).to_pylist()[0]
    assert (first["sentiment.compound"], first["versions"]) == (-0.5, '{"a":"1"}')
    assert first["routes.due_at"] == [NOW]
    assert [child.name for child in tmp_path.iterdir()] == ["posts.parquet"]


def test_parquet_counts(asked: Elasticsearch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    target = tmp_path / "counts.parquet"
    query(capsys, "--count-by", "source", "--output", str(target))
    assert pq.read_table(target).to_pylist() == [{"source": "x", "count": 30}]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a AND ("], "cannot read the query"),
        (["--since", "whenever"], "`whenever` is no time"),
        (["--sort", "creatd_at"], "did you mean `created_at`"),
        (["--fields", "id,txt"], "did you mean `text`"),
        (["--count-by", "author"], "has parts"),
        (["--limit", "-1"], "less than nothing"),
        (["--count", "--format", "parquet"], "one number"),
    ],
)
def test_a_wrong_question_is_one_sentence_and_status_2(
    asked: Elasticsearch, capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], words: str
) -> None:
    target = tmp_path / "out.csv"
    status, out, err = query(
        capsys, *arguments, *([] if "--format" in arguments else ["--output", str(target)])
    )
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert words in err
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_told(
    asked: Elasticsearch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    status, _, err = query(capsys, "--output", str(tmp_path / "no" / "out.csv"))
    assert (status, err) == (
        1,
        f"groundswell: cannot write {tmp_path}/no/out.csv: No such file or directory\n",
    )


def test_no_server_is_one_sentence_and_status_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GROUNDSWELL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GROUNDSWELL_ELASTICSEARCH_URL", "http://127.0.0.1:1")
    status, out, err = query(capsys, "x")
    assert (status, out) == (1, "")
    assert err == (
        "groundswell: Elasticsearch does not answer at http://127.0.0.1:1: `groundswell up` starts the"
        " embedded one, or set elasticsearch.url\n"
    )


def test_parquet_goes_through_a_pipe_and_not_to_a_terminal(asked: Elasticsearch) -> None:
    call = [sys.executable, "-m", "pipeline.cli.main", "query", "--format", "parquet"]
    piped = subprocess.run(call, capture_output=True, check=True, env=os.environ)
    assert pq.read_table(pa.BufferReader(piped.stdout)).num_rows == 30
    ours, theirs = os.openpty()
    shown = subprocess.run(call, stdout=theirs, stderr=subprocess.PIPE, check=False, env=os.environ)
    os.close(theirs)
    os.close(ours)
    assert shown.returncode == 2
    assert b"use --output FILE" in shown.stderr


def test_a_reader_that_has_seen_enough_is_no_error(asked: Elasticsearch) -> None:
    command = f"{sys.executable} -m pipeline.cli.main query --format csv | head -n 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, check=False)
    assert done.stderr == b""
