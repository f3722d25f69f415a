"""docs/commands.md has every command and option of the command line, and no others."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.cli.main import parser
from pipeline.cli.query import SHOWN

PAGE = (Path(__file__).parents[1] / "docs" / "commands.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `([^`]+)` \|", re.MULTILINE)
OPTION = re.compile(r"--[a-z][a-z-]*")
NOT_YET = "What is not there yet"


def commands() -> dict[str, argparse.ArgumentParser]:
    """All commands by what is typed; one that only gathers verbs is not itself a command."""
    return dict(_below(parser(), ()))


def _below(
    command: argparse.ArgumentParser, words: tuple[str, ...]
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in command._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield from _below(inner, (*words, name))
            return
    yield " ".join(words), command


def sections() -> dict[str, str]:
    """The text below each heading; what stands before the first has an empty one."""
    parts = re.split(r"^## (.+)$", PAGE, flags=re.MULTILINE)
    return {"": parts[0]} | dict(zip(parts[1::2], parts[2::2], strict=True))


def known(command: argparse.ArgumentParser) -> tuple[set[str], int]:
    """Its long options, and how many arguments it takes by position."""
    shown = [action for action in command._actions if action.help != argparse.SUPPRESS]
    long = {name for action in shown for name in action.option_strings if name.startswith("--")}
    return long, sum(not action.option_strings and action.nargs != argparse.PARSER for action in shown)


def test_every_command_has_a_section_and_every_section_a_command() -> None:
    headings = {heading for heading in sections() if heading not in ("", NOT_YET)}
    assert headings == {f"groundswell {name}" for name in commands()}


@pytest.mark.parametrize("name", commands())
def test_a_section_lists_the_options_of_its_command_and_no_others(name: str) -> None:
    long, positions = known(commands()[name])
    told = ROW.findall(sections()[f"groundswell {name}"])
    assert sorted(entry.split()[0] for entry in told if entry.startswith("--")) == sorted(long - {"--help"})
    assert sum(not entry.startswith("--") for entry in told) == positions


@pytest.mark.parametrize("name", commands())
def test_a_section_speaks_of_no_option_that_its_command_lacks(name: str) -> None:
    long, _ = known(commands()[name])
    assert set(OPTION.findall(sections()[f"groundswell {name}"])) <= long


@pytest.mark.parametrize("name", commands())
def test_every_section_has_an_example_that_the_command_line_takes(name: str) -> None:
    examples = re.findall(r"```\n(.+?)\n```", sections()[f"groundswell {name}"], re.DOTALL)
    assert examples
    for example in examples:
        call = example.split("groundswell ", 1)[1].split(" > ")[0]
        words = [word.strip("'") for word in re.findall(r"'[^']*'|\S+", call)]
        assert parser().parse_args(words).run
        assert call.startswith(name)


def test_the_general_part_lists_the_general_options() -> None:
    long, _ = known(parser())
    assert {entry.split()[0] for entry in ROW.findall(sections()[""]) if entry.startswith("--")} == long


def test_what_is_said_to_be_missing_is_missing() -> None:
    absent = set(re.findall(r"`([a-z]+)`", sections()[NOT_YET]))
    assert absent
    assert not absent & {name.split()[0] for name in commands()}


def test_choices_and_numbers_are_those_of_the_code() -> None:
    for name, command in commands().items():
        for action in command._actions:
            for choice in action.choices or ():
                assert re.search(rf"\b{choice}\b", sections()[f"groundswell {name}"]), (name, choice)
    assert f"{SHOWN} in a table" in sections()["groundswell query"]
