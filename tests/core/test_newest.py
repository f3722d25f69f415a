"""The log of a post never goes back: each published state is at least as new as the last."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.newest import Newest, lifted
from pipeline.core.version import MAX_EDIT, pack, unpack

# Few edits and operations, so that they meet; the deletion among them. No observation: see below.
VERSIONS = st.builds(pack, st.sampled_from([0, 1, 2, MAX_EDIT]), st.integers(0, 2), st.just(0))
ARRIVALS = st.lists(st.tuples(st.sampled_from("abc"), VERSIONS), max_size=30)


@given(ARRIVALS, st.integers(0, 30))
def test_published_states_never_go_back_not_even_over_a_restart(
    arrivals: list[tuple[str, int]], restart: int
) -> None:
    kept: dict[str, int] = {}
    last: dict[str, int] = {}
    newest = Newest()
    for place, (post_id, version) in enumerate(arrivals):
        if place == restart:
            newest = Newest(kept)
        if not newest.admits(post_id, version):
            assert version < last[post_id]
            continue
        assert version >= last.get(post_id, 0)
        last[post_id] = version
        if newest.note(post_id, version):
            kept[post_id] = version
    for post_id, version in last.items():
        assert version == max(v for i, v in arrivals if i == post_id)


def test_only_changes_are_remembered() -> None:
    newest = Newest()
    assert not newest.note("x:1", pack(0, 0, 0))
    assert not newest.note("x:1", pack(0, 0, 200)), "an observation changes nothing that was said"
    assert len(newest) == 0
    assert newest.note("x:1", pack(5, 0, 7))
    assert newest.note("x:1", pack(5, 0, 7)), "a repeat may come to be written behind an older one"
    assert newest.note("x:1", pack(MAX_EDIT, 0, 0))
    assert len(newest) == 1


STATES = st.builds(pack, st.sampled_from([0, 1, 2, MAX_EDIT]), st.integers(0, 2), st.integers(0, 3))


@given(STATES, STATES)
def test_a_lift_changes_the_operation_alone_and_only_within_one_edit(version: int, published: int) -> None:
    edit, operation, observation = unpack(version)
    known_edit, known_operation, _ = unpack(published)
    expected = max(operation, known_operation) if edit == known_edit else operation
    assert unpack(lifted(version, published)) == (edit, expected, observation)
    assert lifted(lifted(version, published), published) == lifted(version, published)


@given(st.lists(STATES, max_size=30), st.integers(0, 30))
def test_with_relinks_the_log_never_goes_back_and_ends_with_the_newest_edit(
    arrivals: list[int], restart: int
) -> None:
    """Only observations of posts that were never changed may go back: these are not remembered."""
    kept: dict[str, int] = {}
    log: list[int] = []
    newest = Newest()
    for place, arrived in enumerate(arrivals):
        if place == restart:
            newest = Newest(kept)
        version = newest.lift("x:1", arrived)
        if not newest.admits("x:1", version):
            assert version < max(log)
            continue
        log.append(version)
        if newest.note("x:1", version):
            kept["x:1"] = version
    assert [version >> 8 for version in log] == sorted(version >> 8 for version in log)
    if arrivals:
        best = max(arrivals)
        # The newest edit stands at last, under the highest operation that it ever came with.
        assert log[-1] >> 8 == best >> 8


def test_what_comes_after_a_relink() -> None:
    newest = Newest()
    newest.note("x:1", pack(5, 1, 10))
    refresh, repeat = newest.lift("x:1", pack(5, 0, 12)), newest.lift("x:1", pack(5, 0, 10))
    assert newest.admits("x:1", refresh), "refreshed metrics count"
    assert newest.admits("x:1", repeat), "a repeat changes nothing and is no harm"
    assert not newest.admits("x:1", newest.lift("x:1", pack(5, 0, 9))), "an older observation does not"
    edit = newest.lift("x:1", pack(6, 0, 0))
    assert edit == pack(6, 0, 0)
    assert newest.admits("x:1", edit)
    newest.note("x:1", edit)
    assert not newest.admits("x:1", newest.lift("x:1", pack(5, 2, 10))), "a re-link of an older text loses"
