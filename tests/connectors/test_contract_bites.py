"""The contract passes a sound connector and finds every flaw of an unsound one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.protocols import Connector, Read
from testkit import connector_contract as contract
from testkit import connector_drive
from testkit import sample_platform as sample
from testkit.platform.faults import FAULTS

FIXTURE = sample.SampleFixture()
BY_NAME = {fault.name: fault for fault in FAULTS}


@pytest.fixture
def flawed(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes the sample the connector under test, with this flaw."""
    monkeypatch.setitem(sys.modules, "connectors.sample", sample)
    monkeypatch.setattr(connector_drive, "LIMIT_SECONDS", 4.0)

    def use(flaw: str) -> None:
        def build(_: str, table: dict[str, Any], home: Path) -> Connector:
            del home
            return sample.SampleConnector(table["url"], sample.TOKEN, flaw)

        monkeypatch.setattr(connector_drive, "build_connector", build)

    return use


def under(name: str, *, midway: bool = False) -> Callable[[Path], None]:
    return lambda folder: contract.check_fault(FIXTURE, BY_NAME[name], folder, midway=midway)


def law(check: Callable[..., None], *arguments: Any) -> Callable[[Path], None]:
    return lambda folder: check(FIXTURE, folder, *arguments)


LAWS = {
    "everything": law(contract.check_everything_arrives),
    "stable": law(contract.check_ids_are_stable),
    "cursor": law(contract.check_cursor_is_never_ahead),
    "crash": law(contract.check_crash_anywhere, 1),
    "secrets": law(contract.check_secrets_stay_secret),
    "parse": lambda _: contract.check_parse_survives(FIXTURE),
}
FLAWS = {
    "keeps a cursor ahead of its posts": (LAWS["everything"], "not all posts came"),
    "never rests": (LAWS["everything"], "wait above 0"),
    "has unstable ids": (LAWS["everything"], "not all posts came"),
    "lets texts vary": (LAWS["stable"], "differ"),
    "shows its secret": (LAWS["secrets"], "a secret shows"),
    "tells its secret": (LAWS["secrets"], "a secret shows"),
    "swallows refusals": (under("429"), "must raise a RetryableError"),
    "ignores the reset": (under("429"), "not to the reset"),
    "tries refused credentials again": (under("401"), "must end in a ConfigError"),
    "follows redirects": (under("redirect"), "followed a redirect"),
    "takes in any body": (under("body of 100 MB"), "took in"),
    "drops bad posts": (under("missing field"), "no rejection"),
    "starts over in silence": (under("cursor too old"), "in silence"),
}


@pytest.mark.parametrize("name", LAWS)
def test_a_sound_connector_keeps_every_law(name: str, flawed: Callable[[str], None], tmp_path: Path) -> None:
    flawed("")
    LAWS[name](tmp_path)


@pytest.mark.parametrize("midway", [False, True], ids=["at once", "midway"])
@pytest.mark.parametrize("name", BY_NAME)
def test_a_sound_connector_bears_every_fault(
    name: str, midway: bool, flawed: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flawed("")
    monkeypatch.setattr(FIXTURE, "stale", {"after": -1}, raising=False)
    under(name, midway=midway)(tmp_path)


@pytest.mark.parametrize("flaw", FLAWS)
def test_the_contract_finds_the_flaw(
    flaw: str, flawed: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flawed(flaw)
    monkeypatch.setattr(FIXTURE, "stale", {"after": -1}, raising=False)
    check, message = FLAWS[flaw]
    with pytest.raises(AssertionError, match=message):
        check(tmp_path)


@pytest.mark.parametrize(("name", "message"), [("cursor", "lost behind"), ("crash", "lost by a crash")])
def test_posts_held_in_memory_behind_the_cursor_are_found(
    name: str,
    message: str,
    flawed: Callable[[str], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flawed("")
    whole = sample.SampleConnector.read

    def read(self: sample.SampleConnector, cursor: Any) -> Read:
        """Counts posts as told that it only holds in memory."""
        held = self.__dict__.setdefault("held", [])
        if held:
            posts = [held.pop(0)]
            return Read(posts=posts, cursor=cursor)
        found = whole(self, cursor)
        held += found.posts[4:]
        return Read(posts=found.posts[:4], cursor=found.cursor, wait=found.wait)

    monkeypatch.setattr(sample.SampleConnector, "read", read)
    with pytest.raises(AssertionError, match=message):
        LAWS[name](tmp_path)


def test_a_connector_without_a_fixture_is_told_what_to_add() -> None:
    with pytest.raises(AssertionError, match=r"add testkit/connectors/telegraph\.py with a FIXTURE"):
        connector_drive.fixture_of("telegraph")
