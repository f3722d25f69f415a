"""The step `direction`: who speaks for us; and that nothing we write is ever a complaint or queued."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from enrichers.direction import SETTINGS, DirectionEnricher, build
from pipeline.app.registry import build_chain
from pipeline.core.brands import NO_BRANDS, Brands, OwnAccount
from pipeline.core.errors import ConfigError
from pipeline.core.event import Event
from pipeline.core.post import Author, Post
from pipeline.core.settings import EnrichSettings, Settings

NOW = datetime(2026, 11, 22, tzinfo=UTC)
BY_ID = OwnAccount(source="x", author_id="x:500")
BY_HANDLE = OwnAccount(source="reddit", handle="AcmeHelp")
OURS = Brands((), (BY_ID, BY_HANDLE))


def post(author: Author, source: str = "x", **more: object) -> Post:
    return msgspec.convert(
        {"id": f"{source}:1", "text": "hi", "author": author, **more}, Post, from_attributes=True
    )


def directions(brands: Brands, *posts: Post) -> list[str]:
    return [one.direction for one in DirectionEnricher(brands).enrich({"post": posts})]


def test_our_own_accounts_are_told_by_id_and_by_handle_of_their_source() -> None:
    posts = [
        post(Author(id="x:500", handle="renamed")),
        post(Author(id="reddit:9", handle="@acmehelp"), "reddit"),
        post(Author(id="x:9", handle="acmehelp")),
        post(Author(id="x:5001")),
        post(Author(id="x:9")),
    ]
    assert directions(OURS, *posts) == ["outbound", "outbound", "inbound", "inbound", "inbound"]


def test_what_needs_no_change_is_the_same_object() -> None:
    posts = [post(Author(id="x:1")), post(Author(id="x:500"), direction="outbound")]
    found = DirectionEnricher(OURS).enrich({"post": posts})
    assert all(one is other for one, other in zip(found, posts, strict=True))


def test_a_source_that_knows_its_direction_is_believed() -> None:
    told = post(Author(id="chat:agent"), "chat", direction="outbound")
    assert directions(OURS, told) == directions(NO_BRANDS, told) == ["outbound"]


def test_only_the_direction_changes() -> None:
    (found,) = DirectionEnricher(OURS).enrich({"post": [post(Author(id="x:500"), created_at=NOW)]})
    assert msgspec.structs.replace(found, direction="inbound") == post(Author(id="x:500"), created_at=NOW)


def test_the_version_follows_the_accounts_and_nothing_else() -> None:
    version = DirectionEnricher(OURS).version
    spelt = OwnAccount(source="reddit", handle="@acmehelp")
    assert DirectionEnricher(Brands((), (spelt, BY_ID))).version == version
    assert DirectionEnricher(Brands((), (BY_ID,))).version != version
    assert build(SETTINGS()).version == "1"


def test_what_we_write_is_never_a_complaint_and_never_queued(tmp_path: Path) -> None:
    (tmp_path / "brands.toml").write_text('[[own_accounts]]\nsource = "x"\nauthor_id = "x:500"\n')
    (tmp_path / "routing.toml").write_text('default = "all"\n[queues.all]\n')
    chain = build_chain(
        Settings(
            enrich=EnrichSettings(steps=("direction", "language", "sentiment", "complaint", "route")),
            enrichers={
                "direction": {"file": str(tmp_path / "brands.toml")},
                "route": {"file": str(tmp_path / "routing.toml")},
            },
        )
    )
    text = "The service is still down, this is terrible, I want a refund and I will cancel"
    posts = [Post(id=f"x:{id}", text=text, author=Author(id=id), created_at=NOW) for id in ("x:500", "x:501")]
    ours, theirs = chain.process(posts, [NOW] * 2, prefix="g", now=NOW)
    assert isinstance(ours, Event)
    assert isinstance(theirs, Event)
    assert (ours.post.direction, ours.complaint, ours.routes) == ("outbound", None, ())
    assert theirs.complaint is not None
    assert theirs.complaint.is_complaint
    assert [route.queue for route in theirs.routes] == ["all"]


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no\.toml"):
        build(SETTINGS(file=tmp_path / "no.toml"))
