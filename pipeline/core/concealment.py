"""Texts without the secrets that slipped into them: pure. The last line of defence of logs and complaints.

No message of ours shows a credential. But a library's error may quote the address or the header that it
sent, and nobody reads all libraries: so what is known to be a secret is replaced wherever it turns up, and
what looks like one beside it.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

from msgspec import Struct

from pipeline.core.settings import MASK, Secret

SHORTEST = 4
"""Characters of the shortest secret that is looked for: to mask each `a` would tell more than it hides."""

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
        self._pattern = re.compile("|".join(map(re.escape, longest)))

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
    """As it is, as addresses and literals of programs have it, and in base64."""
    if len(secret) < SHORTEST:
        return
    raw = secret.encode("utf-8", "replace")
    yield secret
    yield quote(secret, safe="", errors="replace")
    yield quote_plus(secret, errors="replace")
    yield repr(secret)[1:-1]
    yield repr(raw)[2:-1]
    yield json.dumps(secret)[1:-1]
    yield b64encode(raw).decode()


def _header(found: re.Match[str]) -> str:
    return f"{found[1]}{found[2]}{found[3] or ''}{found[4] or ''}{MASK}"
