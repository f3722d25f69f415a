"""Writes docs/settings.md, the reference of all settings, from their schema and from that of every enricher.

The keys of connectors stand on their own pages, which the contract of connectors holds.

Run as ``python -m pipeline.app.settings_page [FILE]`` at the root of the repository. A test holds the
page to the schema, so nobody edits it by hand.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from pipeline.app.registry import known, load
from pipeline.core.schema import (
    PREFIX,
    Setting,
    bare,
    in_words,
    is_struct,
    meaning_of,
    settings_of,
    variable_of,
)
from pipeline.core.settings import RESERVED, Settings

_HEAD = """\
# Settings

<!-- Written by `python -m pipeline.app.settings_page`; change the structs in pipeline/core or enrichers. -->

Every setting has a default: an empty file, or none, is valid. `configs/groundswell.toml` is a file with all
of them to start from.

**Which file.** `--config FILE`, else the variable `GROUNDSWELL_CONFIG`, else `groundswell.toml` in the
working directory, else `groundswell.toml` in the home of the installation, else the defaults alone.

**Variables** win over the file. Numbers and `true`/`false` (also `yes`/`no`, `on`/`off`, `1`/`0`) are written
as they are, lists with commas: `GROUNDSWELL_ENRICH_STEPS=language,sentiment`. A variable that begins with
`GROUNDSWELL_` and means nothing is an error, as an unknown key is.

**Secrets** never stand in the file. Set the variable, or name a file that holds the secret and nothing else:
by the key with `_file` after it, or by the variable with `_FILE` after it. Line ends after the secret do not
count; a file that is missing, empty or unreadable is an error. An empty variable for a secret counts as not
set. An address (`https://name:password@host`) may not hold credentials.

**Paths** in the file start at the file's folder, in variables at the working directory; `~` is the user's
home.

**Errors** come all at once, each with its path, and end the command with exit status 2.
"""

_PARTS = """
Its variables are `{variable}_<NAME>_<KEY>`, where `-` in a name becomes `_`. Of the names `x` and
`x_eu`, a variable belongs to the longer one that fits. A key that is a secret follows the rules above.{keys}
"""
_KEYS = {
    "connectors": "\n[connectors](connectors/README.md) has a page for each kind, with its keys.",
    "enrichers": " The\nkeys of each step:",
}


def page() -> str:
    """The whole page as Markdown."""
    sections = [_HEAD]
    for field in msgspec.structs.fields(Settings):
        core = bare(field.type)
        variable = variable_of(PREFIX, field.encode_name)
        sections.append(f"\n## {field.encode_name}\n")
        if is_struct(core):
            rows = [_row(setting) for setting in settings_of(core, field.encode_name, variable)]
            sections += [f"\n{core.__doc__.strip()}\n\n", _table(rows)]
        else:
            keys = _KEYS[field.encode_name]
            sections += [f"\n{meaning_of(field.type)}\n", _PARTS.format(variable=variable, keys=keys)]
            if field.encode_name == "enrichers":
                sections.append(_steps(variable))
    sections += ["\n## Variables that are no settings\n\n"]
    sections += ["| variable | names |\n|---|---|\n"]
    sections += [f"| `{name}` | {meaning} |\n" for name, meaning in RESERVED.items()]
    return "".join(sections)


def _steps(variable: str) -> str:
    """A table for each enricher that has settings, and the names of those that have none."""
    sections, without = [], []
    for step in known("enrichers"):
        found = list(settings_of(load("enrichers", step).SETTINGS, step, variable_of(variable, step)))
        if found:
            sections += [f"\n### enrichers.{step}\n\n", _table([_row(setting) for setting in found])]
        else:
            without.append(f"`{step}`")
    return "".join([*sections, f"\nThese have none: {', '.join(without)}.\n" if without else ""])


def _table(rows: Sequence[Sequence[str]]) -> str:
    head = ("key", "type", "default", "range", "variable", "meaning")
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _row(setting: Setting) -> tuple[str, ...]:
    key = setting.path.partition(".")[2]
    kind, bounds = in_words(setting.annotation)
    if setting.secret:
        variables = f"`{setting.variable}`, `{setting.variable}_FILE`"
        return f"`{key}_file`", "path of a secret", "none", "", variables, _sentence(setting.meaning)
    return (
        f"`{key}`",
        kind,
        f"`{_toml(setting.default)}`",
        _cell(bounds),
        f"`{setting.variable}`",
        _sentence(setting.meaning),
    )


def _sentence(meaning: str) -> str:
    """Parts write theirs as a phrase."""
    return _cell(meaning[:1].upper() + meaning[1:].removesuffix(".") + ".")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _toml(value: Any) -> str:
    """A default as TOML writes it; "" for the absent path."""
    if value is None:
        return '""'
    return msgspec.json.encode(value).decode()


def main(arguments: Sequence[str]) -> None:
    """Writes the page to the file named, else to docs/settings.md under the working directory."""
    target = Path(arguments[0] if arguments else "docs/settings.md")
    target.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
