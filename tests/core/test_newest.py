"""The log of a post never goes back: each published state is at least as new as the last."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.newest import Newest
from pipeline.core.version import MAX_EDIT, pack

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
    assert not newest.note("x:1", pack(5, 0, 7)), "a repeat is known"
    assert newest.note("x:1", pack(MAX_EDIT, 0, 0))
    assert len(newest) == 1
