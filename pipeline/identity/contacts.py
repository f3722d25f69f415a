"""E-mail addresses and customer numbers that a text shows; telephone numbers have a module of their own.

Every search takes time linear in the length of the text, whatever strangers write. Knows nothing of
customers.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate

import re2

from pipeline.core.errors import ConfigError
from pipeline.core.linking import normal_email

MOST = 20
"""Of each kind in one text."""

_TRIED = 1000
"""Places of one text that are looked at closely."""

MAX_PATTERN = 500
_MAX_NUMBER = 200
_MEMORY = 1 << 20

_LOCAL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._%+'-"
_MAX_LOCAL = 64
_MAX_DOMAIN = 253
_DOMAIN = re.compile(r"(?:[^\W_](?:[^\W_]|-){0,62}\.)+(?:xn--[A-Za-z0-9-]{1,59}|[^\W\d_]{2,24})(?![\w@-])")


def find_emails(text: str) -> list[str]:
    """The e-mail addresses of a text in normal form (see `linking.normal_email`), each once, in order.

    A handle of Mastodon, `@ann@inst.example`, is none, nor is the name and password of a web address.
    """
    at = text.find("@", 1)
    found: dict[str, None] = {}
    tried = 0
    while at > 0 and len(found) < MOST and tried < _TRIED:
        # Most signs stand before a handle, behind a space.
        if text[at - 1] in _LOCAL:
            tried += 1
            if address := _around(text, at):
                found[address] = None
        at = text.find("@", at + 1)
    return list(found)


def _around(text: str, at: int) -> str:
    """The address around a sign, or nothing."""
    before = text[max(0, at - _MAX_LOCAL - 1) : at]
    local = before[len(before.rstrip(_LOCAL)) :]
    start = at - len(local)
    if len(local) > _MAX_LOCAL or (start and _is_tail(text, start)):
        return ""
    local = local.lstrip("'.-")
    domain = _DOMAIN.match(text, at + 1, at + 2 + _MAX_DOMAIN)
    return normal_email(f"{local}@{domain[0]}") if local and domain else ""


def _is_tail(text: str, start: int) -> bool:
    """Whether what begins at ``start`` is only the rest of something longer: of a handle, a word, a web
    address with a name and a password, an address with signs that hardly anybody has."""
    sign, further = text[start - 1], text[max(0, start - 2)]
    if sign.isalnum() or sign in "@#$!^~{}’ʼ":
        return True
    if sign in "=*|`&/":
        return sign == "/" and further in ":/"
    word = text[max(0, start - _MAX_LOCAL) : start].split()
    return sign == ":" and bool(word) and "//" in word[-1]


class Numbers:
    """Finds customer numbers by a pattern of RE2, whatever their case, where they stand as words."""

    def __init__(self, pattern: str) -> None:
        """Raises ConfigError for a pattern that is wrong, too large, or found in an empty text."""
        if len(pattern) > MAX_PATTERN:
            raise ConfigError(f"a pattern of {len(pattern)} characters; at most {MAX_PATTERN} are taken")
        if _compile(pattern, pattern)(b"", 0) is not None:
            raise ConfigError(f"the pattern `{pattern}` is found in an empty text: let it name a character")
        word = rf"(?:^|[^\pL\pN_])({pattern})(?:$|[^\pL\pN_])"
        self._search = _compile(word, pattern)
        # The ends of a text are ends of lines among many texts; but for these two, which only one has.
        self._any = None if r"\A" in pattern or r"\z" in pattern else _compile(f"(?m:{word})", pattern)

    def find(self, text: str) -> list[str]:
        """The numbers of a text as they are written, each once, in order, at most ``MOST``."""
        raw = text.encode(errors="replace")
        hit = self._search(raw, 0)
        found: dict[str, None] = {}
        tried = 0
        while hit is not None and len(found) < MOST and tried < _TRIED:
            tried += 1
            if hit.end(1) - hit.start(1) <= _MAX_NUMBER:
                found[hit[1].decode()] = None
            # From the number's end: what parts it from the next one belongs to both.
            hit = self._search(raw, hit.end(1))
        return list(found)

    def suspects(self, texts: Texts) -> Sequence[int]:
        """The places of the texts in which there may be one; none is left out."""
        return texts.with_a(self._any) if self._any else range(len(texts.starts))


Search = Callable[[bytes, int], "re.Match[bytes] | None"]


class Texts:
    """Many texts as one, so that a single search passes over all of them: most hold nothing."""

    def __init__(self, texts: Sequence[str]) -> None:
        encoded = [text.encode(errors="replace") for text in texts]
        self.starts = list(accumulate((len(raw) + 1 for raw in encoded[:-1]), initial=0)) if encoded else []
        self._raw = b"\n".join(encoded)

    def with_a(self, search: Search) -> list[int]:
        """The places of the texts in which something is found, in order; at most one more for each found,
        for what is found may reach into the next text."""
        starts, raw = self.starts, self._raw
        places: list[int] = []
        hit = search(raw, 0) if starts else None
        while hit is not None:
            place = bisect_right(starts, hit.start()) - 1
            # The mark before it may be the end of the text before.
            places += [place, place + 1] if raw[hit.start() : hit.start() + 1] == b"\n" else [place]
            if places[-1] + 1 >= len(starts):
                break
            hit = search(raw, starts[places[-1] + 1] - 1)
        return [place for place in places if place < len(starts)]


def _compile(pattern: str, shown: str) -> Search:
    options = re2.Options()
    options.max_mem = _MEMORY
    options.case_sensitive = False
    options.log_errors = False
    try:
        compiled = re2.compile(pattern.encode(), options)
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        message = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise ConfigError(f"the pattern `{shown}` is wrong: {message}") from None
    search: Search = compiled.search
    return search


EMAIL_SIGN = _compile(r"[a-z0-9._%+'-]@[^\s@]", "e-mail")
"""Finds every text in which `find_emails` finds any."""

PHONE_SIGN = _compile(r"[0-9](?:[ .()/\x{a0}\x{2009}\x{202f}\x{2010}-\x{2014}-]{0,3}[0-9]){6}", "phone")
"""Finds every text in which `phones.find_phones` finds any."""
