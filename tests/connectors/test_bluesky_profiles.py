"""Who an author is: asked for once, 25 together, and no post waits for it or is lost by it."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors._bluesky import profiles as _profiles
from connectors._bluesky.profiles import MAX_KEPT, Profile, Profiles, profiles_in
from connectors.bluesky import SETTINGS, Bluesky, build
from pipeline.core.errors import RetryableError
from pipeline.core.linking import normal_handle
from pipeline.core.post import Post, decode_post, encode_post
from testkit.connectors import bluesky as jetstream
from testkit.platform.answers import Answer, Asked, Item, refusal
from testkit.platform.faults import FAULTS
from testkit.platform.server import PlatformServer
from testkit.platform.staged import ServedStage
from testkit.waiting import until

ANN, BOB = jetstream.did(1), jetstream.did(2)
BY_NAME = {fault.name: fault for fault in FAULTS}


class Clock:
    """Seconds, as far as the test turns it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def people() -> Iterator[PlatformServer]:
    with PlatformServer(jetstream.people) as server:
        yield server


def actors(server: PlatformServer) -> list[list[str]]:
    return [asked.query["actors"] for asked in server.asked]


def test_an_account_is_asked_for_once_and_25_together(people: PlatformServer) -> None:
    dids = [jetstream.did(number) for number in range(60)]
    with closing(Profiles(people.url, 5)) as profiles:
        found = profiles.of(dids)
        assert profiles.of(dids[:3]) == {did: found[did] for did in dids[:3]}
    assert found[ANN] == Profile("example1.example", "Example1", "I am example1", 7)
    assert list(found) == dids
    assert [len(asked) for asked in actors(people)] == [25, 25, 10]


def test_whom_the_service_does_not_know_is_not_asked_for_again() -> None:
    with PlatformServer(lambda _: Answer(wrap=lambda _: b'{"profiles": []}')) as server:
        with closing(Profiles(server.url, 5)) as profiles:
            assert profiles.of([ANN]) == profiles.of([ANN]) == {ANN: Profile()}
        assert len(server.asked) == 1


def test_after_a_day_and_after_a_change_it_is_asked_for_anew(people: PlatformServer) -> None:
    clock = Clock()
    with closing(Profiles(people.url, 5, clock)) as profiles:
        profiles.of([ANN])
        clock.now += _profiles.KEPT_SECONDS + 1
        assert profiles.of([ANN])
        assert len(people.asked) == 2
        profiles.forget(ANN)
        profiles.forget("did:plc:nobody")
        clock.now += 10
        assert profiles.of([ANN])
        assert len(people.asked) == 3


def test_names_of_a_bounded_number_are_kept(people: PlatformServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_profiles, "MAX_KEPT", 30)
    assert MAX_KEPT > 30
    with closing(Profiles(people.url, 5)) as profiles:
        for begin in (0, 25, 50):
            profiles.of([jetstream.did(begin + number) for number in range(25)])
        assert len(profiles._known) == 30


FAILING = [
    "401",
    "403",
    "404",
    "429",
    "500",
    "503",
    "no answer",
    "redirect",
    "body of 100 MB",
    "cut within an item",
]


@pytest.mark.parametrize("name", FAILING)
def test_a_service_that_fails_is_left_alone_and_said_once(
    name: str, people: PlatformServer, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    people.spoil(BY_NAME[name], 2)
    with closing(Profiles(people.url, 0.5, clock)) as profiles, caplog.at_level(logging.INFO):
        began = time.monotonic()
        assert profiles.of([ANN]) == {}
        assert time.monotonic() - began < 10
        for _ in range(5):
            assert profiles.of([ANN, BOB]) == {}
        assert len(people.asked) == 1
        until(lambda: not profiles._busy)
        clock.now += _profiles.LONGEST_REST + 1
        assert profiles.of([BOB]) == {}

        def answers() -> bool:
            """Sooner or later: on a busy machine half a second may be too short for a good answer, too."""
            until(lambda: not profiles._busy)
            clock.now += _profiles.LONGEST_REST + 1
            return profiles.of([ANN]).get(ANN, Profile()).handle == "example1.example"

        until(answers, why="it is asked again")
    said = [line.getMessage() for line in caplog.records if line.name == "groundswell.bluesky"]
    assert [line.split(",")[0] for line in said] == [
        "posts come without handles for now",
        "the service of profiles answers again: posts come with handles",
    ]
    assert people.trespasses == 0
    assert people.filled < 20 * 1024 * 1024


def test_rests_grow_and_end(people: PlatformServer) -> None:
    clock = Clock()
    people.spoil(BY_NAME["503"], 9)
    rests = []
    with closing(Profiles(people.url, 5, clock)) as profiles:
        for _ in range(9):
            profiles.of([ANN])
            rests.append(profiles._rest_until - clock.now)
            clock.now = profiles._rest_until
    assert rests == [5, 10, 20, 40, 80, 160, 300, 300, 300]


def test_a_service_that_is_always_late_is_left_alone_like_one_that_fails(
    caplog: pytest.LogCaptureFixture,
) -> None:
    waited = threading.Event()

    def late(asked: Asked) -> Answer:
        waited.wait(30)
        return jetstream.people(asked)

    clock = Clock()
    with PlatformServer(late) as server, closing(Profiles(server.url, 0.3, clock)) as profiles:
        for number in range(3):
            waited.clear()
            assert profiles.of([jetstream.did(number)]) == {}
            waited.set()
            until(lambda: not profiles._busy)
            assert profiles._rest_until - clock.now == _profiles.FIRST_REST * 2**number, "told of twice"
            clock.now += _profiles.LONGEST_REST + 1
        assert len(server.asked) == 3
    assert len(caplog.records) == 1


def test_one_account_that_is_refused_does_not_cost_the_others_their_names() -> None:
    def picky(asked: Asked) -> Answer:
        return refusal(400) if BOB in asked.query["actors"] else jetstream.people(asked)

    with PlatformServer(picky) as server, closing(Profiles(server.url, 8)) as profiles:
        found = profiles.of([jetstream.did(number) for number in range(25)])
        assert found[BOB] == Profile()
        profiles._rest_until = 0
        found = profiles.of([jetstream.did(number) for number in range(25)])
        assert sum(bool(one.handle) for one in found.values()) == 24
        assert len(server.asked) < 20


def test_no_more_requests_a_second_than_allowed(people: PlatformServer) -> None:
    with closing(Profiles(people.url, 1.0)) as profiles:
        began = time.monotonic()
        for batch in range(4):
            found = profiles.of(jetstream.did(1000 * batch + number) for number in range(500))
            assert 0 < len(found) < 500
        spent = time.monotonic() - began
        assert not profiles._failures, "its own pace is no failure of the service"
    assert spent < 12
    assert 5 <= len(people.asked) <= _profiles.RATE * (spent + 1) + 1


def test_a_stuck_request_costs_no_further_reader_any_time() -> None:
    with PlatformServer(lambda _: Answer(silent=True)) as server:
        profiles = Profiles(server.url, 1.0)
        profiles.of([ANN])
        profiles._rest_until, profiles._busy = 0, True
        began = time.monotonic()
        for _ in range(20):
            assert profiles.of([BOB]) == {}
        assert time.monotonic() - began < 10  # each that waited would wait for a second
        profiles.close()
        profiles.close()


FIELDS = ["did", "handle", "displayName", "description", "followersCount"]
VALUES = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text() | st.lists(st.text())


@given(st.dictionaries(st.sampled_from(FIELDS), VALUES | st.just("a.example")))
def test_whatever_a_profile_says_the_post_stays_one(entry: dict[str, Any]) -> None:
    for profile in profiles_in(json.dumps({"profiles": [entry]}).encode()).values():
        author = {"id": "bluesky:a", **msgspec.structs.asdict(profile)}
        raw = msgspec.json.encode({"id": "bluesky:at://a", "text": "x", "author": author})
        post = decode_post(raw)
        assert decode_post(encode_post(post)) == post


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"profiles": 1}', b'{"profiles": [1]}', b"\xff", b"[" * 100_000]
)
def test_what_is_no_answer_of_profiles_is_told(body: bytes) -> None:
    with pytest.raises(RetryableError, match="answers with something else"):
        profiles_in(body)


@pytest.mark.parametrize(
    "handle", ["handle.invalid", "ann", "a b.c", "a." * 200 + "example", "ann.example\n", 7]
)
def test_what_is_no_handle_is_none(handle: Any) -> None:
    body = json.dumps({"profiles": [{"did": ANN, "handle": handle, "description": "x" * 9000}]}).encode()
    assert profiles_in(body) == {ANN: Profile(bio="x" * 2560)}


# ---- in the connector


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[ServedStage]:
    with jetstream.FIXTURE.stage(tmp_path) as stage:
        yield stage


@pytest.fixture
def listen(stage: ServedStage) -> Iterator[Any]:
    with ExitStack() as stack:

        def make(**settings: Any) -> Bluesky:
            connector = build(msgspec.convert({**stage.table, "batch": 1000, **settings}, SETTINGS))
            stack.callback(connector.close)
            return connector

        yield make


def tell(stage: ServedStage, did: str, body: dict[str, Any]) -> None:
    moment = time.time() - 100 + len(stage.timeline.items)
    data = {"did": did, "time_us": int(moment * 1_000_000), **body}
    stage.timeline.items.append(Item(data=data, at=moment))


def post(text: str, number: int) -> dict[str, Any]:
    commit = {"operation": "create", "collection": jetstream.POST, "rkey": jetstream.key(number)}
    return {"kind": "commit", "commit": {**commit, "record": {"text": text}}}


def read(connector: Bluesky, count: int, cursor: Any = None) -> list[Post]:
    """Exactly so many posts."""
    found: list[Post] = []
    deadline = time.monotonic() + 60
    while len(found) < count:
        assert time.monotonic() < deadline
        one = connector.read(cursor)
        found, cursor = [*found, *one.posts], one.cursor
    assert len(found) == count
    return found


def test_only_authors_of_wanted_posts_are_asked_for(
    stage: ServedStage, people: PlatformServer, listen: Any
) -> None:
    tell(stage, ANN, post("my parcel", 1))
    tell(stage, BOB, post("nice weather", 2))
    tell(stage, ANN, {"kind": "commit", "commit": {**post("", 1)["commit"], "operation": "delete"}})
    live, gone = read(listen(profiles=people.url), 2)
    assert (live.author.handle, live.author.name) == ("example1.example", "Example1")
    assert (live.author.bio, live.author.followers) == ("I am example1", 7)
    assert live.author.id == f"bluesky:{ANN}"
    assert normal_handle("bluesky", f"@{live.author.handle}") == live.author.handle
    assert (gone.deleted, gone.author.id) == (True, "")
    assert actors(people) == [[ANN]]


def test_posts_do_not_wait_for_a_service_that_says_nothing(stage: ServedStage, listen: Any) -> None:
    for number in range(20):
        tell(stage, jetstream.did(number), post("my parcel", number))
    with PlatformServer(lambda _: Answer(silent=True)) as server:
        connector = listen(profiles=server.url, profiles_seconds=0.5, batch=5)
        began = time.monotonic()
        found = read(connector, 20)
        assert time.monotonic() - began < 15
        assert len(server.asked) == 1
    assert {one.author.handle for one in found} == {""}
    assert {one.author.id for one in found} == {f"bluesky:{jetstream.did(number)}" for number in range(20)}


def test_nobody_is_asked_where_no_service_is_named(stage: ServedStage, listen: Any) -> None:
    tell(stage, ANN, post("my parcel", 1))
    connector = listen(profiles="")
    assert read(connector, 1)[0].author.handle == ""
    assert connector._profiles is None


def test_a_changed_handle_is_asked_for_and_not_believed(stage: ServedStage, listen: Any) -> None:
    names = ["old.example", "new.example"]

    def answer(_: Asked) -> Answer:
        body = json.dumps({"profiles": [{"did": ANN, "handle": names[0]}]}).encode()
        return Answer(wrap=lambda _: body)

    with PlatformServer(answer) as server:
        connector = listen(profiles=server.url)
        tell(stage, ANN, post("my parcel", 1))
        first = connector.read(None)
        assert [one.author.handle for one in first.posts] == ["old.example"]
        del names[0]
        tell(stage, ANN, {"kind": "identity", "identity": {"did": ANN, "handle": "customer.example"}})
        tell(stage, ANN, post("my parcel again", 2))
        (again,) = read(connector, 1, first.cursor)
        assert again.author.handle == "new.example"


def test_addresses_of_services_are_checked() -> None:
    for wrong in ("public.api.bsky.app", "https://a:b@c.example", "ftp://x.example"):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"profiles": wrong}, SETTINGS)
    assert SETTINGS().profiles.startswith("https://")
