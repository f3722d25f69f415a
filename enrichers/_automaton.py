"""One pass over a text for any number of patterns: how this project builds Aho and Corasick's automaton."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ahocorasick_rs import AhoCorasick, Implementation, MatchKind


def finder(patterns: Iterable[str]) -> Callable[[str, bool], list[tuple[int, int, int]]]:
    """Finds the patterns in a text: the number, the start and the end of each. The second argument says
    whether to find those that overlap others, too."""
    # The other implementations are no faster here, and take 2 to 20 times the memory.
    return AhoCorasick(
        patterns,
        matchkind=MatchKind.Standard,
        store_patterns=False,
        implementation=Implementation.ContiguousNFA,
    ).find_matches_as_indexes
