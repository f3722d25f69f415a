"""Texts without the secrets that slipped into them: pure. The last line of defence of logs and complaints.

No message of ours shows a credential. But a library's error may quote the address or the header that it
sent, and nobody reads all libraries: so what is known to be a secret is replaced wherever it turns up, and
what looks like one beside it.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from pipeline.core.settings import MASK, Secret

SHORTEST = 4
"""Characters of the shortest secret that is looked for: to mask each `a` would tell more than it hides."""

_LEAST_CODED = 6
_ESCAPES = {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f"}

# Every repetition has a bound or ends at the first character of another class, so that no text takes long.
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,20}://)[^\s/@?#]{1,1000}@")
_HEADER = re.compile(
    r"""\b((?:proxy-)?authorization|x-api-key|(?:set-)?cookie)(["']?\s{0,3}[:=,]\s{0,3}(?:b?["'])?)"""
    r"""(?:(basic|bearer|apikey|token)(\s))?[^\s"',;)}\]]+""",
    re.IGNORECASE,
)
_SCHEME = re.compile(
    r"\b(basic|bearer|apikey)(\s)(?=[^\s\d]{0,19}\d|\S{20})[A-Za-z0-9+/._~=:-]{8,}", re.IGNORECASE
)
_NAMED = re.compile(
    r"""\b((?:access|refresh)_token|client_secret|api_?key|password|passwd|secret|token)"""
    r"""(=(?:b?["'])?|["']\s{0,3}:\s{0,3}b?["'])[^\s"'&,;)}\]]+""",
    re.IGNORECASE,
)


class Concealment:
    """The secrets of one process; they are added as they become known."""

    def __init__(self) -> None:
        self._known: frozenset[str] = frozenset()
        self._pattern: re.Pattern[str] | None = None

    def add(self, secrets: Iterable[str]) -> None:
        """From now on each of them is replaced, in every form in which it is usually written."""
        new = {form for secret in secrets for form in _forms(secret)} - self._known
        if not new:
            return
        self._known |= new
        # The longest first: one secret may begin with another.
        longest = sorted(self._known, key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join(longest), re.IGNORECASE)

    def apply(self, text: str) -> str:
        """The text with ``***`` where a secret stood. Linear in the length of the text."""
        if self._pattern is not None:
            text = self._pattern.sub(MASK, text)
        text = _ADDRESS.sub(rf"\g<1>{MASK}@", text)
        text = _HEADER.sub(_header, text)
        text = _SCHEME.sub(rf"\g<1>\g<2>{MASK}", text)
        return _NAMED.sub(rf"\g<1>\g<2>{MASK}", text)


def secrets_in(value: Any) -> Iterator[str]:
    """The secrets of settings, however deep they stand in structs, tables and lists."""
    if isinstance(value, Secret):
        if value:
            yield value.reveal()
    elif isinstance(value, Struct):
        for name in value.__struct_fields__:
            yield from secrets_in(getattr(value, name))
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from secrets_in(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from secrets_in(one)


def _forms(secret: str) -> Iterator[str]:
    """Patterns of it as it is, as addresses and literals of programs have it, however often one stands in
    another, and within base64."""
    if len(secret) < SHORTEST:
        return
    yield "".join(map(_spelling, secret))
    raw = secret.encode("utf-8", "replace")
    for lead in range(3):
        # Where it stands behind a name, as in a header of basic authentication. The first and the last signs
        # depend on what stands beside it.
        coded = b64encode(bytes(lead) + raw).decode().rstrip("=")
        inner = coded[(0, 2, 3)[lead] : len(coded) - (1 if (lead + len(raw)) % 3 else 0)]
        if len(inner) >= _LEAST_CODED:
            yield "".join({"+": "[+-]", "/": "[/_]"}.get(sign, sign) for sign in inner)


def _spelling(char: str) -> str:
    """A pattern for one sign of a secret."""
    if char.isascii() and (char.isalnum() or char in "-_.~"):
        return re.escape(char)
    ways = [rf"\\{{0,16}}{re.escape(char)}"]
    code = ord(char)
    if char == " ":
        ways.append(r"\+")
    raw = char.encode("utf-8", "replace")
    ways.append("".join(f"%(?:25)?{byte:02x}" for byte in raw))
    ways.append("".join(rf"\\{{1,16}}x{byte:02x}" for byte in raw))
    ways.append(rf"\\{{1,16}}(?:x{code:02x}|u{code:04x}|U{code:08x})")
    if char in _ESCAPES:
        ways.append(rf"\\{{1,16}}{_ESCAPES[char]}")
    return f"(?:{'|'.join(ways)})"


def _header(found: re.Match[str]) -> str:
    return f"{found[1]}{found[2]}{found[3] or ''}{found[4] or ''}{MASK}"
