"""The strict walk from plain tables and variables to frozen structs, collecting every problem.

Generic over struct types: sections of the settings and the parts' own SETTINGS take the same way. A
value is shown in a message only where its field cannot hold a secret; the content of an unknown key,
of a table, of an address with credentials and of a secret's file name never is.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import msgspec
from msgspec import Struct
from msgspec.structs import FieldInfo

from pipeline.core.errors import ConfigError, raise_problems
from pipeline.core.schema import (
    bare,
    expected,
    is_optional,
    is_single,
    is_struct,
    item_of,
    join,
    length_fits,
    suggestion,
    variable_of,
)
from pipeline.core.settings import Secret
from pipeline.core.toml_text import parse_toml

T = TypeVar("T", bound=Struct)

SECRET_BYTES = 65536
"""A secret file longer than this is a wrong path, not a secret."""

_ABSENT: Any = object()
_WRONG: Any = object()
_CREDENTIALS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#\s]*@")
_BOOLEANS = {"true": True, "yes": True, "on": True, "1": True} | {
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


class Reading:
    """One reading under way. ``folder`` (absolute) is where relative paths of the tables start.

    ``problems`` grows as the walk goes on; ``used`` holds the variables that had a key to fill.
    """

    def __init__(self, environ: Mapping[str, str], folder: Path) -> None:
        self.environ = environ
        self.folder = folder
        self.used: set[str] = set()
        self.problems: list[str] = []

    def problem(self, at: str, message: str) -> Any:
        """Notes what is wrong at a path or a variable."""
        self.problems.append(f"{at}: {message}" if at else message)
        return _WRONG

    def struct(self, kind: type[T], data: Any, path: str, variable: str) -> T | None:
        """``data`` as ``kind``, or None when anything was wrong with it.

        ``variable`` is the beginning of its variables' names; empty where the environment cannot reach.
        """
        if not isinstance(data, dict):
            self.problem(path, f"expected a table, got {_kind_of(data)}")
            return None
        before = len(self.problems)
        fields = msgspec.structs.fields(kind)
        self._unknown_keys(fields, data, path)
        values = {}
        for field in fields:
            value = self._field(field, data, path, variable)
            if value is not _ABSENT:
                values[field.name] = value
            elif field.required:
                self._missing(field, path, variable)
        if len(self.problems) > before:
            return None
        try:
            return kind(**values)
        except (TypeError, ValueError) as error:  # the struct's own rule across its fields
            self.problem(path, str(error))
            return None

    def _unknown_keys(self, fields: tuple[FieldInfo, ...], data: dict[str, Any], path: str) -> None:
        keys = [field.encode_name for field in fields if bare(field.type) is not Secret]
        hidden = [field.encode_name for field in fields if bare(field.type) is Secret]
        keys += [f"{key}_file" for key in hidden]
        for key in data:
            if key not in keys and key not in hidden:
                self.problem(join(path, quoted_key(key)), f"unknown key{suggestion(key, keys)}")

    def _missing(self, field: FieldInfo, path: str, variable: str) -> None:
        key = field.encode_name
        name = variable_of(variable, key) if variable else ""
        ways = [f"`{key}_file`" if bare(field.type) is Secret else f"`{key}`"]
        ways += [f"the variable {name}"] if name and is_single(bare(field.type)) else []
        self.problem(join(path, key), f"missing, expected {expected(field.type)}: set {' or '.join(ways)}")

    def _field(self, field: FieldInfo, data: dict[str, Any], path: str, variable: str) -> Any:
        key, core = field.encode_name, bare(field.type)
        at, name = join(path, key), variable_of(variable, key) if variable else ""
        if core is Secret:
            return self._secret(key, data, at, name)
        if is_struct(core):
            named = name and any(other.startswith(f"{name}_") for other in self.environ)
            if key not in data and not named and not field.required:
                return _ABSENT
            return self.struct(core, data.get(key, {}), at, name)
        if name in self.environ and is_single(core):
            self.used.add(name)
            return self._from_text(field.type, self.environ[name], name)
        return self._value(field.type, data[key], at) if key in data else _ABSENT

    def _value(self, annotation: Any, value: Any, at: str) -> Any:
        """A value of a table, checked against its type; _WRONG or None after a problem."""
        core = bare(annotation)
        item = item_of(core)
        if is_struct(core):
            return self.struct(core, value, at, "")
        if item is not None:
            if not isinstance(value, list) or not length_fits(annotation, len(value)):
                return self.problem(at, f"expected {expected(annotation)}, got {_kind_of(value)}")
            items = [self._value(item, one, f"{at}[{place}]") for place, one in enumerate(value)]
            return tuple(items) if get_origin(core) is tuple else items
        if get_origin(core) is dict:
            if not isinstance(value, dict):
                return self.problem(at, f"expected a table, got {_kind_of(value)}")
            item = get_args(core)[1]
            return {key: self._value(item, one, join(at, quoted_key(key))) for key, one in value.items()}
        return value if core is Any else self._scalar(annotation, value, at)

    def _scalar(self, annotation: Any, value: Any, at: str) -> Any:
        core = bare(annotation)
        if fault := _forbidden(core, value):
            return self.problem(at, fault)
        if core is Path and isinstance(value, str) and (value or is_optional(annotation)):
            return located(self.folder, value) if value else None
        if core is not Path and not (isinstance(value, float) and not math.isfinite(value)):
            # The message is made anew below: msgspec's own may quote a value, and says no bounds.
            with contextlib.suppress(msgspec.ValidationError):
                return msgspec.convert(value, annotation)
        return self.problem(at, f"expected {expected(annotation)}, got {_shown(value)}")

    def _from_text(self, annotation: Any, text: str, name: str) -> Any:
        """The value of a variable: numbers and booleans by their words, lists by commas."""
        core = bare(annotation)
        item = item_of(core)
        if item is not None:
            words = [word.strip() for word in text.split(",") if word.strip()]
            return self._value(annotation, [_loosely(bare(item), word) for word in words], name)
        if core is Path and text:
            text = str(located(Path.cwd(), text))
        return self._value(annotation, _loosely(core, text), name)

    def _secret(self, key: str, data: dict[str, Any], at: str, name: str) -> Any:
        """The secret of a variable, else of the file that a variable or the table names."""
        direct = self.environ.get(name, "") if name else ""
        by_file = self.environ.get(f"{name}_FILE", "") if name else ""
        self.used |= {name, f"{name}_FILE"}
        named = data.get(f"{key}_file", "")
        if key in data:
            ways = f"name a file with it as `{key}_file`" + (f" or set the variable {name}" if name else "")
            return self.problem(at, f"a secret in clear: {ways}, and take it out of here")
        if direct and by_file:
            return self.problem(name, f"{name}_FILE is set as well: keep one of them")
        if direct:
            return Secret(direct) if _is_unicode(direct) else self.problem(name, "is not UTF-8 text")
        if by_file:
            return self._secret_file(by_file, Path.cwd(), f"{name}_FILE")
        if not isinstance(named, str):
            return self.problem(f"{at}_file", f"expected the path of a file, got {_kind_of(named)}")
        return self._secret_file(named, self.folder, f"{at}_file") if named else _ABSENT

    def _secret_file(self, named: str, folder: Path, at: str) -> Any:
        # The path itself is not shown: a person who takes the key for the secret's own would see the secret.
        try:
            with located(folder, named).open("rb") as file:
                content = file.read(SECRET_BYTES + 1)
            text = content.decode("utf-8-sig").rstrip("\r\n")
        except UnicodeDecodeError:
            return self.problem(at, "the file it names is not UTF-8 text")
        except (OSError, ValueError) as error:
            why = (error.strerror if isinstance(error, OSError) else "") or "no valid path"
            return self.problem(
                at, f"cannot read the file it names ({why}); relative paths start at {folder}"
            )
        if len(content) > SECRET_BYTES:
            return self.problem(at, f"the file it names is longer than {SECRET_BYTES} bytes: no secret is")
        return Secret(text) if text else self.problem(at, "the file it names is empty")


def located(folder: Path, named: str) -> Path:
    """The path as written, `~` as the user's home, a relative one from ``folder``."""
    path = Path(named)
    with contextlib.suppress(RuntimeError):  # `~name` of nobody: then it is a file's name
        path = path.expanduser()
    return folder / path


def quoted_key(key: str) -> str:
    """A key as TOML writes it, at most about 60 characters of it."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]{1,60}", key) else _shown(key)


def _forbidden(core: Any, value: Any) -> str:
    """What no scalar may be, whatever its bounds; empty where all is well."""
    if core is Secret:
        return "a secret cannot stand in a list: it needs a key of its own"
    if isinstance(value, str):
        if "\0" in value or not _is_unicode(value):
            return "holds bytes that are no text"
        if _CREDENTIALS.match(value):
            return "the address holds credentials in clear: give them by keys of their own"
    return ""


def _loosely(core: Any, text: str) -> Any:
    """The number or boolean that ``text`` spells, or the text itself for the strict check to refuse."""
    try:
        if core is bool:
            return _BOOLEANS.get(text.strip().lower(), text)
        if core in (int, float):
            return core(text)
    except ValueError:
        return text
    return text


def _is_unicode(text: str) -> bool:
    """False for a text with lone surrogates, which is how Python keeps a variable's stray bytes."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _kind_of(value: Any) -> str:
    for kind, words in ((dict, "a table"), (list, "a list"), (str, "text"), (bool, "true or false")):
        if isinstance(value, kind):
            return words
    return "a number" if isinstance(value, int | float) else "a date or time"


def _shown(value: Any) -> str:
    if isinstance(value, str):
        if "://" in value and "@" in value:
            return "an address with an @"
        cut = value if len(value) <= 60 else f"{value[:57]}..."
        return json.dumps(cut, ensure_ascii=not cut.isprintable())
    if isinstance(value, bool | float):
        return str(value).lower()
    if isinstance(value, int):
        return str(value) if abs(value) < 2**64 else "a huge integer"
    return _kind_of(value)


def whole_file(kind: type[T], raw: bytes, origin: str) -> T:
    """A TOML file's content as one struct. The ConfigError begins with ``origin`` and lists every problem."""
    try:
        data = parse_toml(raw)
    except ConfigError as error:
        raise ConfigError(f"{origin}: {error}") from None
    reading = Reading({}, Path())
    file = reading.struct(kind, data, "", "")
    raise_problems(reading.problems, origin)
    assert file is not None  # otherwise there were problems
    return file
