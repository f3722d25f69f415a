"""How often the step `complaint` is right: on people's labels, and on the demo's two bad days."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import pytest

from enrichers import complaint, language, sentiment
from pipeline.core.event import Complaint, Language
from pipeline.core.post import Author, Post, decode_post

DEMO = Path(__file__).parents[2] / "configs" / "demo" / "posts.jsonl"

step = complaint.build(complaint.SETTINGS())
scorer = sentiment.build(sentiment.SETTINGS())

# Judged by hand for this test: who complains, of the inbound posts of 27 and 28 October that are no copy of
# Maeve's. Irony is a complaint; sympathy, news, advice, praise and relief are none.
COMPLAINTS = frozenset(
    (
        "x:2115153115345914322",
        "x:2115153543164907379",
        "x:2115153840960547490",
        "x:2115154428163081104",
        "x:2115154876953638558",
        "x:2115155493516293643",
        "x:2115156311405534759",
        "x:2115156999271446264",
        "x:2115158647632846946",
        "x:2115160572818416916",
        "x:2115161218741280128",
        "x:2115163563357206204",
        "x:2115164381246478871",
        "x:2115165249467323012",
        "x:2115166742639629172",
        "x:2115167724106695125",
        "reddit:t1_s4xj13",
        "reddit:t1_s4xj4t",
        "x:2115178184700922064",
        "x:2115182135735351931",
        "x:2115187714159590334",
        "x:2115193485521869489",
        "mail:20261027223826.xwsrbo@example.org",
        "x:2115371626001380907",
        "bluesky:at://did:plc:cm3x6o2vt7aykq4rd5hnwz2f/app.bsky.feed.post/3myvava4fvq22",
        "x:2115372209009595033",
        "x:2115372506805178294",
        "x:2115373639267303936",
        "x:2115374322938923464",
        "x:2115376415896605317",
        "x:2115379884585962340",
        "x:2115384326353864811",
        "x:2115396192039967001",
        "x:2115399341962227301",
        "mail:20261028112445.sufv5r@studiokolamira.example.com",
        "mastodon:117518346223667054",
        "mail:20261028115846.zz14y4@example.net",
        "x:2115431017346086795",
        "x:2115434116936666790",
        "bluesky:at://did:plc:tk3n7q5wz2xhv6ymd4ruoc7a/app.bsky.feed.post/3mywqxkur4m22",
        "reddit:t1_s4xv83",
        "x:2115439842161594487",
        "x:2115448507593689161",
        "x:2115461610599449000",
        "x:2115478865966070381",
        "mail:20261028164400.h88ft5@example.com",
        "x:2115492925273038374",
        "x:2115500860896251886",
        "x:2115550458541069244",
    )
)


def macro_f1(truth: list[bool], said: list[bool]) -> float:
    """The mean of the F1 of both classes, 0 to 1."""
    scores = []
    for label in (False, True):
        right = sum(t == s == label for t, s in zip(truth, said, strict=True))
        scores.append(2 * right / (truth.count(label) + said.count(label)))
    return sum(scores) / 2


def measured(shared: Path, half: int) -> tuple[float, float, int]:
    """Macro-F1 of the step and of VADER alone on one half of the shared complaints, and its rows.

    The half is the lowest bit of the first byte of SHA-256 of the id. Half 0 was looked at in figures while
    the rules were written, half 1 was measured when they were done.
    """
    with gzip.open(shared / "data/labelled/complaints.jsonl.gz") as lines:
        rows = [json.loads(line) for line in lines]
    rows = [row for row in rows if hashlib.sha256(row["id"].encode()).digest()[0] & 1 == half]
    truth, said, vader = [], [], []
    for row in rows:
        feeling = scorer.judge(row["text"])
        post = Post(id="x:1", text=row["text"], author=Author(id="x:a"))
        found = step.judge(post, Language("en", 1.0), feeling)
        assert found is not None
        truth.append(row["label"] == 1)
        said.append(found.is_complaint)
        vader.append(feeling.compound <= sentiment.NEGATIVE)
    return macro_f1(truth, said), macro_f1(truth, vader), len(rows)


@pytest.mark.parametrize(("half", "rows", "floor"), [(0, 1020, 0.74), (1, 988, 0.74)])
def test_the_shared_complaints(shared: Path, half: int, rows: int, floor: float) -> None:
    """docs/complaint.md has the figures; the floors are a little below them."""
    ours, vader, count = measured(shared, half)
    assert count == rows
    assert ours >= floor
    assert ours > vader + 0.1


def two_days() -> dict[str, tuple[Post, Complaint]]:
    """The judgement of the last version of each inbound post of the outage in a language with words."""
    with DEMO.open("rb") as lines:
        last = {post.id: post for post in map(decode_post, lines)}
    posts = [
        post
        for post in last.values()
        if post.created_at is not None
        and (post.created_at.month, post.created_at.day) in ((10, 27), (10, 28))
        and post.direction == "inbound"
        and not post.deleted
    ]
    languages = language.build(language.SETTINGS()).enrich({"post": posts})
    feelings = scorer.enrich({"post": posts, "language": languages})
    found = step.enrich({"post": posts, "language": languages, "sentiment": feelings})
    return {post.id: (post, judged) for post, judged in zip(posts, found, strict=True) if judged}


def test_the_demos_outage() -> None:
    days = two_days()
    maeve = {id_ for id_, (post, _) in days.items() if "41 patients in" in post.text}
    assert len(maeve) == 11
    assert all(days[id_][1].is_complaint and days[id_][1].category == "outage" for id_ in maeve)
    assert all(days[id_][1].urgency >= 0.6 for id_ in maeve)
    rest = sorted(days.keys() - maeve)
    assert set(rest) >= COMPLAINTS
    truth = [id_ in COMPLAINTS for id_ in rest]
    said = [days[id_][1].is_complaint for id_ in rest]
    right = sum(t and s for t, s in zip(truth, said, strict=True))
    # 33 of 49 complaints found, 5 of 25 others mistaken when this was written: irony and news are hard.
    assert (len(rest), sum(truth)) == (74, 49)
    assert right >= 31
    assert sum(said) - right <= 7


@pytest.mark.parametrize(
    "start",
    ["Quay Street, Cranmouth.", "Subject: URGENT my father", "Off again Cranmouth", "My neighbour Mr Ames"],
)
def test_who_is_in_danger_is_urgent(start: str) -> None:
    (found,) = (judged for post, judged in two_days().values() if post.text.startswith(start))
    assert found.is_complaint
    assert found.urgency >= 0.6
