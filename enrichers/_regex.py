"""Regular expressions that strangers' texts cannot slow down: RE2, whose searches take linear time.

RE2 knows neither back-references nor look-around, and refuses what would grow beyond its memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import re2

from pipeline.core.errors import ConfigError

MEMORY_BYTES = 1 << 20
"""Of one pattern. Beyond it RE2 refuses the pattern or searches more slowly, still in linear time."""

MAX_PATTERN = 2000

_LITERAL = re.compile(r"(?:[^\\.+*?()|\[\]{}^$]|\\[!-/:-@\[-^`{-~])+")
"""A pattern that is found where it stands word for word, as `\\?`: for that no search is needed."""
_ESCAPED = re.compile(r"\\(.)")


def compile_search(pattern: str) -> Callable[[str], bool]:
    """Whether the pattern is found anywhere in a text, in time linear in its length.

    Raises ConfigError with what is wrong in the pattern, and the character at which it stands.
    """
    if len(pattern) > MAX_PATTERN:
        raise ConfigError(f"a pattern of {len(pattern)} characters; at most {MAX_PATTERN} are taken")
    options = re2.Options()
    options.max_mem = MEMORY_BYTES
    options.never_capture = True
    options.log_errors = False
    try:
        # Bytes: for texts the package would count characters after each search, which nobody asks for here.
        search = re2.compile(pattern.encode(), options).search
    except re2.error as error:
        raise ConfigError(_told(pattern, error)) from None
    if _LITERAL.fullmatch(pattern):
        plain = _ESCAPED.sub(r"\1", pattern)
        return lambda text: plain in text
    return lambda text: search(text.encode()) is not None


def _told(pattern: str, error: Exception) -> str:
    """RE2 says what, and quotes the fault; the place comes from there, or from Python's own reading."""
    reason = error.args[0] if error.args else ""
    message = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
    what, _, quoted = message.partition(": ")
    at = pattern.find(quoted) if quoted else -1
    if quoted == pattern:  # RE2 does not say where a parenthesis or bracket that is missing belongs
        try:
            re.compile(pattern)
        except re.error as second:
            at = second.pos or 0
    where = f"at character {at + 1}" if at >= 0 else "as a whole"
    return f"the pattern `{pattern}` is wrong {where}: {message if quoted else what}"
