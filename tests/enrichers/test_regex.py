"""Patterns of rules: what RE2 takes, and that no text slows it down."""

from __future__ import annotations

import time

import pytest

from enrichers._regex import MAX_PATTERN, compile_search
from pipeline.core.errors import ConfigError


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("LW-[0-9]{6}", "number LW-204518.", True),
        ("lw", "LW", False),
        ("(?i)straße", "STRAßE", True),
        (r"\pL+é", "café", True),
        ("🔥", "on 🔥 today", True),
        ("^$", "", True),
    ],
)
def test_a_pattern_is_searched_anywhere(pattern: str, text: str, found: bool) -> None:
    assert compile_search(pattern)(text) is found


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("[abc", "wrong at character 1: missing ]: [abc"),
        ("ab(c", "wrong at character 3: missing ): ab(c"),
        ("é[", "wrong at character 2: missing ]"),
        ("*a", "wrong at character 1: no argument for repetition"),
        ("a{2,1}", "wrong at character 2: invalid repetition size: {2,1}"),
        ("a(?=b)", "wrong at character 2: invalid perl operator: (?="),
        (r"(a)\1", r"wrong at character 4: invalid escape sequence: \1"),
        ("(a{1000}){1000}", "invalid repetition size"),
        ("((a{100}){100}){100}", "is wrong"),
        ("x" * (MAX_PATTERN + 1), f"at most {MAX_PATTERN} are taken"),
    ],
)
def test_a_pattern_that_is_none_is_refused_with_its_place(pattern: str, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        compile_search(pattern)
    assert told in str(error.value)


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(.*a){20}$", "(?:a?){100}a{100}$"])
def test_a_pattern_that_explodes_elsewhere_takes_linear_time(pattern: str) -> None:
    search = compile_search(pattern)
    began = time.process_time()
    search("a" * 100_000 + "!")
    assert time.process_time() - began < 2
