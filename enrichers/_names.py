"""Every name of a brands file found in a text in one pass, however many names there are (Aho-Corasick).

The automaton runs over the words of the folded text (:mod:`pipeline.core.folding`) and knows each name
with a space on both sides, so that it leaves a word at the first letter that begins no name: its time
does not grow with the names. What it finds is then held against the original: the very characters, links
and addresses, handles whole, tags whole, words near. Knows nothing of events.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

from msgspec import Struct

from enrichers._automaton import finder
from pipeline.core.brands import BrandEntity, Brands, Guarded, plain
from pipeline.core.folding import (
    Folded,
    fold,
    fold_all_readings,
    fold_plain,
    is_invisible,
    is_mark,
    is_unspaced,
    is_word,
    plain_words,
    same_words,
)
from pipeline.core.stop_words import STOP_WORDS

_NAME, _SQUEEZED, _HANDLE, _SHORT_HANDLE, _HASHTAG = range(5)

_AT = re.compile(r"[@＠]\w+(?:[.-]+\w+)*(?:@\w+(?:[.-]+\w+)*)?")
_LINK = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)
_MAIL = re.compile(r"[\w.+-]{0,64}@\w")
# What goes on with a handle: another server, or on most sources a dot or hyphen with more behind it.
_SERVER = re.compile(r"@\w")
_MORE = re.compile(r"[.-]+\w")
_LONG_WORD = 40
"""Characters, space included, that a word near a name has at most on the average."""
PLAIN_HANDLES = frozenset(("x",))
"""Sources whose handles have no dots or hyphens: what stands behind one is a missing space."""


class Span(NamedTuple):
    """An entity, by its number, named by the characters from ``start`` to ``end`` of the original."""

    start: int
    end: int
    entity: int


class _Guard(Struct, frozen=True):
    """Words, folded, of which one must or none may stand near; a last `*` is any ending."""

    near: tuple[str, ...]
    not_near: tuple[str, ...]
    window: int

    def allows(self, context: str) -> bool:
        return (not self.near or any(word in context for word in self.near)) and not any(
            word in context for word in self.not_near
        )


class _Claim(Struct, frozen=True, gc=False):
    """One way to name an entity. ``lead`` counts the characters of ``text`` before its first word.

    ``exact`` holds the letters with their case if they count, and the whole of a short handle.
    """

    entity: int
    kind: int
    text: str
    lead: int = 0
    exact: str = ""
    guard: _Guard | None = None


class Names:
    """The names of all entities, ready to be found. Immutable; threads may share it."""

    def __init__(self, brands: Brands) -> None:
        claims: dict[str, list[_Claim]] = {}
        self._handles: dict[str, list[int]] = {}
        for number, entity in enumerate(brands.entities):
            for pattern, claim in _claims(number, entity):
                claims.setdefault(pattern, []).append(claim)
            for handle in entity.handles:
                self._handles.setdefault(plain(handle), []).append(number)
        pairs = {name: _pair(name) for name in claims}
        self.pairs = frozenset(pair for pair in pairs.values() if pair)
        """Two words side by side of each name of several that nothing but a space parts."""
        self.telling = frozenset(_telling(name) for name, pair in pairs.items() if not pair)
        """Words of which each other name has one."""
        self._joined = frozenset(
            _telling(name) for name, pair in pairs.items() if not (pair or _is_one_word(name, claims[name]))
        )
        self._claims = [tuple(some) for some in claims.values()]
        self._search = finder(claims)

    def find(self, text: str, source: str, mentions: tuple[str, ...], tags: bool = True) -> list[Span]:
        """All that is named, in order, one span a name and an entity; overlaps are left in.

        ``mentions`` are the handles that the platform says the text addresses. Without ``tags`` nothing is
        named by some of the words of a tag, as who asks knows.
        """
        words, folded = None if tags and "#" in text else plain_words(text), None
        if words is None:
            folded = fold_all_readings(text)
            words = folded.words
        hits = self._search(f" {words} ", True)
        if not hits:
            return []
        post = _Text(text, source, mentions, folded or fold_plain(text, words))
        found = set()
        for pattern, start, end in hits:
            for claim in self._claims[pattern]:
                span = post.named(claim, start, end - 2)
                if span and (claim.guard is None or post.has_near(claim.guard, span)):
                    found.add(span)
        return sorted(found) if len(found) > 1 else list(found)

    def find_alone(self, token: str, source: str) -> list[Span] | None:
        """What a token names in whatever text it stands, if the platform says nothing of mentions; None where
        that hangs on what stands near it."""
        folded = fold_all_readings(token)
        words = folded.words.split()
        if not (self._joined.isdisjoint(words) and self.pairs.isdisjoint(pairwise(words))):
            return None
        post, found = _Text(token, source, (), folded), set()
        for pattern, start, end in self._search(f" {folded.words} ", True):
            for claim in self._claims[pattern]:
                span = post.named(claim, start, end - 2)
                if span and claim.guard:
                    return None
                if span:
                    found.add(span)
        return sorted(found)

    def of_handle(self, handle: str) -> list[int]:
        """The entities with this handle, whole."""
        return self._handles.get(plain(handle), [])

    def of_tag(self, tag: str) -> list[int]:
        """The entities that a whole tag, given without its sign, names whatever stands near it."""
        text = f"#{tag}"
        return [span.entity for span in self.find(text, "", ()) if span[:2] == (0, len(text))]


def _claims(number: int, entity: BrandEntity) -> Iterator[tuple[str, _Claim]]:
    """The claims of an entity, each with its pattern for the automaton."""
    for _, group in entity.groups():
        guard = _guard(group)
        for alias in group.aliases:
            name = fold(alias.strip())
            lead = len(name.words) - len(name.words.lstrip())
            exact = _composed(alias.strip()) if group.exact else ""
            yield _pattern(name.words), _Claim(number, _NAME, name.text, lead, exact, guard)
            squeezed = name.words.replace(" ", "")
            # A tag has no spaces, whether or not capitals show its words.
            if squeezed != name.words.strip() and not exact:
                yield _pattern(squeezed), _Claim(number, _SQUEEZED, squeezed, 0, "", guard)
    for handle in map(plain, entity.handles):
        yield _sign(number, _HANDLE, handle)
        account, at, _ = handle.partition("@")
        if at:
            # Mastodon shows `@acme` and says in its list of mentions who that is.
            yield _sign(number, _SHORT_HANDLE, account, handle)
    for tag in entity.hashtags:
        yield _sign(number, _HASHTAG, plain(tag))


def _sign(number: int, kind: int, value: str, exact: str = "") -> tuple[str, _Claim]:
    sign = fold(value)
    lead = len(sign.words) - len(sign.words.lstrip())
    return _pattern(sign.words), _Claim(number, kind, sign.text, lead, exact)


def _telling(pattern: str) -> str:
    """A word that would be in every text would tell nothing; of the others the longest is the rarest."""
    return max(pattern.split(), key=lambda word: (word not in STOP_WORDS, len(word)))


def _pair(pattern: str) -> tuple[str, str] | None:
    """The two neighbours among the words of a name that are the rarest; None for a single word, and where
    signs stand between some."""
    words = pattern.strip().split(" ")
    if len(words) < 2 or "" in words:
        return None
    return max(pairwise(words), key=lambda pair: (-len(STOP_WORDS.intersection(pair)), len("".join(pair))))


def _is_one_word(pattern: str, claims: Iterable[_Claim]) -> bool:
    """Whether all that the name claims stands within one token."""
    return " " not in pattern.strip() and not any(sign.isspace() for claim in claims for sign in claim.text)


def _pattern(words: str) -> str:
    return f" {words.strip()} "


def _guard(group: Guarded) -> _Guard | None:
    if not (group.near or group.not_near):
        return None
    return _Guard(_context_words(group.near), _context_words(group.not_near), group.window)


def _context_words(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(f" {same_words(word)}" + ("" if word.rstrip().endswith("*") else " ") for word in words)


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", " ".join(text.split()))


class _Text:
    """One text in which names were found, to hold them against."""

    __slots__ = ("_addressed", "_folded", "_links", "_mentions", "_source", "_text")

    def __init__(self, text: str, source: str, mentions: tuple[str, ...], folded: Folded) -> None:
        self._text = text
        self._folded = folded
        self._source = source
        self._mentions = mentions
        self._addressed: list[tuple[int, int]] | None = None
        self._links: list[tuple[int, int]] | None = None

    def named(self, claim: _Claim, start: int, end: int) -> Span | None:
        """The span in the original if the words at these places of the folded text are this claim; its guard
        is not asked."""
        folded = self._folded
        if end <= folded.length:
            start -= claim.lead
            end = start + len(claim.text)
            if start < 0 or not folded.text.startswith(claim.text, start):
                return None
        elif len(claim.text) != end - start:
            return None
        begin, finish = folded.begin(start), folded.end(end)
        if begin is None or finish is None:
            return None
        if claim.kind in (_HANDLE, _SHORT_HANDLE):
            known = claim.kind == _HANDLE or claim.exact in map(plain, self._mentions)
            begin = self._handle(begin, finish) if known else -1
        elif claim.kind == _NAME:
            begin = self._name(claim, begin, finish)
        else:
            begin = begin - 1 if self._is_whole_tag(begin, finish) else -1
        return Span(begin, finish, claim.entity) if begin >= 0 else None

    def has_near(self, guard: _Guard, span: Span) -> bool:
        """Whether the words near the span are such as the guard wants."""
        return guard.allows(self._context(span.start, span.end, guard.window))

    def _name(self, claim: _Claim, start: int, end: int) -> int:
        """Where the name begins, with the sign of the tag that it is; -1 where it is none."""
        text = self._text
        if claim.exact and _composed(text[start:end]) != claim.exact:
            return -1
        if not self._is_bounded(start, end) or self._is_in_address(start, end):
            return -1
        return start - 1 if self._is_whole_tag(start, end) else start

    def _handle(self, start: int, end: int) -> int:
        """Where the handle begins with its sign; -1 where it is none, or a part of another."""
        text = self._text
        sign = start - 1
        if sign < 0 or text[sign] not in "@＠":
            sign = start - 2
            if sign < 0 or text[sign:start] not in ("u/", "U/"):
                return -1
        if sign and is_word(text[sign - 1]):
            return -1
        if end < len(text) and text[end] != " ":
            if is_word(text[end]) or _SERVER.match(text, end):
                return -1
            if _MORE.match(text, end) and not self._ends_there(text[start:end]):
                return -1
        return -1 if _inside(self._found_links(), start, end) else sign

    def _ends_there(self, handle: str) -> bool:
        return self._source in PLAIN_HANDLES or plain(handle) in map(plain, self._mentions)

    def _is_whole_tag(self, start: int, end: int) -> bool:
        text = self._text
        if not start or text[start - 1] not in "#＃" or (end < len(text) and is_word(text[end])):
            return False
        return not _inside(self._found_links(), start, end)

    def _is_bounded(self, start: int, end: int) -> bool:
        """Whether no word goes on beyond the span: what the folded text cannot tell."""
        text = self._text
        before, behind = start - 1, end
        if before >= 0 and (text[before] == "_" or not text[before].isascii()):
            while before >= 0 and (text[before] == "_" or is_invisible(text[before])):
                before -= 1
            joined = "_" in text[before + 1 : start] and before >= 0 and is_word(text[before])
            if (joined and not self._is_in_tag(before)) or self._is_spaced_mark(before):
                return False
        if behind < len(text) and (text[behind] == "_" or not text[behind].isascii()):
            while behind < len(text) and (text[behind] == "_" or is_invisible(text[behind])):
                behind += 1
            if behind == len(text):
                return True
            joined = "_" in text[end:behind] and is_word(text[behind])
            return not ((joined and not self._is_in_tag(start)) or is_mark(text[behind]))
        return True

    def _is_spaced_mark(self, place: int) -> bool:
        """Whether a mark of a script with spaces is there: then a word goes on, else perhaps not."""
        while place >= 0 and is_mark(self._text[place]):
            place -= 1
            if place < 0 or not is_mark(self._text[place]):
                return place >= 0 and is_word(self._text[place]) and not is_unspaced(self._text[place])
        return False

    def _is_in_tag(self, place: int) -> bool:
        text = self._text
        while place >= 0 and is_word(text[place]):
            place -= 1
        return place >= 0 and text[place] in "#＃"

    def _is_in_address(self, start: int, end: int) -> bool:
        """Whether the span is a part of a link, of a mail address, or of a handle."""
        text = self._text
        if _inside(self._found_links(), start, end):
            return True
        if self._addressed is None:
            signs = "@" in text or "＠" in text
            self._addressed = [match.span() for match in _AT.finditer(text)] if signs else []
        return bool(self._addressed) and (
            _inside(self._addressed, start, end) or _MAIL.match(text, end) is not None
        )

    def _found_links(self) -> list[tuple[int, int]]:
        if self._links is None:
            folded = self._folded.text
            links = "://" in folded or "www." in folded
            self._links = [match.span() for match in _LINK.finditer(self._text)] if links else []
        return self._links

    def _context(self, start: int, end: int, window: int) -> str:
        """The folded words near the span, ``window`` on either side, each between spaces."""
        reach = window * _LONG_WORD
        before = same_words(self._text[max(start - reach, 0) : start]).split()[-window:]
        behind = same_words(self._text[end : end + reach]).split()[:window]
        return f" {' '.join(before)} \n {' '.join(behind)} "


def _inside(zones: list[tuple[int, int]], start: int, end: int) -> bool:
    """Whether one of the zones, which are in order and apart, holds all of the span."""
    if not zones:
        return False
    i = bisect_right(zones, (start, zones[-1][1])) - 1
    return i >= 0 and end <= zones[i][1]
