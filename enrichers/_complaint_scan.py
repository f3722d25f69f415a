"""Finds all cues of a table of words in one pass over a text (Aho-Corasick).

A text is cut into words once, and each word of any consequence stands for one character, its *sign*, so that
"refund" is never found within "refundable" and the automaton has one short string to read. It knows no
weights.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib.resources import files
from itertools import product
from operator import itemgetter
from typing import NamedTuple

import msgspec
from msgspec import Struct

from enrichers._automaton import finder
from enrichers._complaint_rules import FAMILIES, Cue, Negation
from enrichers._markup import ENTITY, LINK, unescaped

LANGUAGES = ("en", "de", "es", "fr")
"""Those with a table of words."""
NUMBER = "#"
"""In a phrase: any number, in digits or in one word."""
_PICTURES = "😡🤬😤😠👎🖕🙃🙄💩😂🤣🔴"
"""Pictures that may be cues: each is a word of its own, however it is glued to others."""
_END, _ASKS = ".", "?"
"""Words that stand for all signs which end a clause, for no "not" reaches past it; and for one that asks."""
BOUND = "\r"
"""Stands among the signs before and behind a text."""
UNTOLD, DIGITS = "x", "0"
"""The signs of words that are of no consequence, and of those of them that begin with a digit."""
PARTING = "\x01"
"""Among words: parts those of one token from the next, being its own sign."""
_FIRST_SIGN = 0x4E00
# ASCII: capitals become small, signs that end a clause the one sign, other signs a space. A space is put
# around the two signs that stay; what is between spaces is a word. Apostrophe, @, %, $, & and + are letters.
_ENDING = ",!;:\n"
_APART = '()[]{}"*/#_<>|=~-\\^'
_SMALL = bytes(
    ord(_END if chr(i) in _ENDING else " " if chr(i) in _APART else chr(i).lower()) if i < 128 else i
    for i in range(256)
)
_FOREIGN = re.compile(r"[^\x00-\x7f]+")
_APOSTROPHES = "’‘ʼ‛´′＇"
_INVISIBLE = [0xAD, 0x2060, 0xFE0E, 0xFE0F, 0xFEFF, *range(0x200B, 0x2010), *range(0x202A, 0x202F)]
_STYLED = [*range(0xFF01, 0xFF5F), *range(0x1D400, 0x1D800)]  # wide letters and mathematical ones
_ACCENTS = "áàâäãåçéèêëíìîïñóòôöõúùûüýÿ", "aaaaaaceeeeiiiinooooouuuuyy"


class Group(Struct, frozen=True, forbid_unknown_fields=True):
    """Phrases of one family and category, separated by commas; ``negation`` goes before the family's own."""

    family: str
    phrases: str
    category: str = ""
    negation: Negation | None = None


class Table(Struct, frozen=True, forbid_unknown_fields=True):
    """The words of one language. ``reach`` is how many words before a cue a negator still counts.

    ``common``: words of most texts; for speed, cues are filed under others where they have any.
    ``folds``: accents are left out on both sides, as many writers do. ``elides``: an apostrophe parts words.
    """

    groups: tuple[Group, ...]
    negators: str
    numbers: str
    common: str = ""
    reach: int = 3
    folds: bool = False
    elides: bool = False


def table_of(language: str) -> Table:
    """The table that lies beside this module; KeyError where the language has none."""
    if language not in LANGUAGES:
        raise KeyError(language)
    text = files("enrichers").joinpath(f"_complaint_{language}.toml").read_text(encoding="utf-8")
    return msgspec.toml.decode(text, type=Table)


class Hit(NamedTuple):
    """A cue at the words from ``first`` up to, not including, ``end``; with the "not" that it requires."""

    first: int
    end: int
    cue: Cue


class Row(NamedTuple):
    """A cue as it is searched. Of several rows that match the very same words the one with the least ``rank``
    goes first."""

    rank: tuple[int, bool, int]
    number: int
    cue: Cue


Match = tuple[int, int, tuple[int, bool, int], int, Row]
"""The first word of the phrase, minus the one after its last, the row's rank, the first word with the "not"
that it requires, the row."""


class Text(NamedTuple):
    """A text as it is searched: its words in lower case, with the signs that end clauses among them.

    ``link`` and ``asks``: it holds a link, a question mark outside of links.
    """

    words: list[str]
    link: bool
    asks: bool


class Scanner:
    """Searches texts for the cues of one table; immutable once made. Making one takes some milliseconds."""

    def __init__(self, table: Table) -> None:
        """Raises ValueError for a phrase that stands in the table twice, or that no text can hold."""
        self._reach = table.reach
        self._elides = table.elides
        self._foreign = _foreign(table.folds)
        self._negators = frozenset(table.negators.split())
        self._numbers = frozenset(table.numbers.split())
        self.cues = list(self._cues(table.groups))
        phrases = frozenset(word for cue in self.cues for word in cue.words)
        telling = sorted(phrases | self._negators | self._numbers | {_END, _ASKS})
        self.signs = {word: chr(_FIRST_SIGN + n) for n, word in enumerate(telling)}
        self._own = {**self.signs, PARTING: PARTING}
        self._not = frozenset(self.signs[word] for word in self._negators)
        self._stops = frozenset((self.signs[_END], self.signs[_ASKS], BOUND))
        rows = self._rows(frozenset(table.common.split()))
        self._found = list(rows.values())
        self._search = finder(rows)

    def _cues(self, groups: Iterable[Group]) -> Iterator[Cue]:
        seen = set()
        for group in groups:
            negation = group.negation or FAMILIES[group.family].negation
            for phrase in " ".join(group.phrases.split()).split(","):
                words = tuple(self._cut(phrase.replace(NUMBER, "0")))
                words = tuple(NUMBER if word == "0" else word for word in words)
                # "impressed" may be praise, and with "not" before it a verdict.
                row = words, negation == "required"
                if set(words) <= {NUMBER} or row in seen:
                    raise ValueError(f"`{phrase.strip()}` in {group.family} is empty or stands there twice")
                seen.add(row)
                yield Cue(words, group.family, group.category, negation)

    def read(self, text: str) -> Text:
        """Cuts a text, without its links, into words."""
        link, asks = link_and_question(text)
        return Text(self._cut(LINK.sub(" ", text) if link else text), link, asks)

    def _cut(self, text: str) -> list[str]:
        return self.plain(text).split()

    def plain(self, text: str) -> str:
        """The text as words between spaces. What becomes of a character does not hang on its neighbours,
        but for the entities; `spans` rests on that."""
        if "&" in text:
            text = ENTITY.sub(unescaped, text)
        if not text.isascii():
            text = _FOREIGN.sub(self._small, text)
        # Bytes are translated ten times as fast as characters; those of other characters stay as they are.
        raw = text.encode("utf-8", "surrogatepass").translate(_SMALL).decode("utf-8", "surrogatepass")
        raw = raw.replace(_END, " . ").replace(_ASKS, " ? ")
        return raw.replace("'", " ") if self._elides else raw

    def _small(self, match: re.Match[str]) -> str:
        return match.group().lower().translate(self._foreign)

    def signs_of(self, words: Iterable[str]) -> str:
        """The signs of words, one each: their own if they are of any consequence."""
        own = self._own.get
        return "".join(
            [
                own(word) or (DIGITS if not word.isalpha() and _begins_with_digit(word) else UNTOLD)
                for word in words
            ]
        )

    def hits(self, words: list[str]) -> list[Hit]:
        """The cues among the words from left to right; of those that overlap the one that begins first, and
        of these the longest. A required "not" may serve several."""
        signs = f"{BOUND}{self.signs_of(words)}{BOUND}"
        return [Hit(start - 1, -end - 1, row.cue) for _, end, _, start, row in apart(self.matches(signs))]

    def matches(self, signs: str) -> list[Match]:
        """All matches in the words of any texts, each of which stands between ``BOUND``."""
        found = []
        all_rows, reach, no = self._found, self._reach, self._not
        for pattern, first, end in self._search(signs, True):
            for row in all_rows[pattern]:
                start, negation = first, row[2][3]
                if negation != "ignored":
                    near = signs[first - reach if first > reach else 0 : first]
                    negator = -1 if no.isdisjoint(near) else self._negated(signs, first)
                    if (negator < 0) == (negation == "required"):
                        continue
                    if negator >= 0:
                        start = negator
                found.append((first, -end, row[0], start, row))
        return found

    def _negated(self, signs: str, first: int) -> int:
        """The place of the negator that reaches ``first``, or -1."""
        for i in range(first - 1, max(first - 1 - self._reach, -1), -1):
            if signs[i] in self._not:
                return i
            if signs[i] in self._stops:
                return -1
        return -1

    def _rows(self, common: frozenset[str]) -> dict[str, list[Row]]:
        """The cues by the signs of their words, those with a number once for each sign that may be one."""
        shared = Counter(word for cue in self.cues for word in cue.words)
        numbers = [
            sign for word, sign in self.signs.items() if word in self._numbers or _begins_with_digit(word)
        ]
        rows: dict[str, list[Row]] = {}
        for number, cue in enumerate(self.cues):
            words = cue.words
            rarest = min(words, key=lambda w: (w == NUMBER, w in common, shared[w], -len(w)))
            # Before a phrase with any number the one that names it: "1st time" is none of "# time".
            row = Row((words.index(rarest), NUMBER in words, number), number, cue)
            for signs in product(*([*numbers, DIGITS] if w == NUMBER else self.signs[w] for w in words)):
                rows.setdefault("".join(signs), []).append(row)
        return rows

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where each word that `read` gives stands in the text: first character, and the first after it."""
        if "://" in text:
            text = LINK.sub(lambda link: " " * len(link.group()), text)
        pieces, origin = [], []
        # Whatever becomes of a character or an entity, it becomes of it alone.
        for piece in _pieces(text):
            plain = self.plain(piece.group())
            pieces.append(plain)
            origin += [piece.span()] * len(plain)
        joined = "".join(pieces)
        return [(origin[m.start()][0], origin[m.end() - 1][1]) for m in re.finditer(r"\S+", joined)]


def link_and_question(text: str) -> tuple[bool, bool]:
    """Whether it holds a link, and a question mark outside of links."""
    link = "://" in text
    if link:
        text = LINK.sub(" ", text)
    return link, "?" in text or "？" in text


def _begins_with_digit(word: str) -> bool:
    return word.lstrip("£$€")[:1].isdigit()


def _pieces(text: str) -> Iterator[re.Match[str]]:
    return re.finditer(rf"{ENTITY.pattern}|.", text, re.DOTALL)


def apart(found: list[Match]) -> list[Match]:
    """Those that stay of some matches in one text, from left to right."""
    if len(found) < 2:
        return found
    found.sort(key=itemgetter(0, 1, 2))
    left, taken = [], 0
    for match in found:
        if match[0] >= taken:
            taken = -match[1]
            left.append(match)
    return left


def _foreign(folds: bool) -> dict[int, str]:
    """What other characters than ASCII become once they are small; those left out stay."""
    plain: dict[int, str] = {code: unicodedata.normalize("NFKC", chr(code)).lower() for code in _STYLED}
    plain |= dict.fromkeys(map(ord, _APOSTROPHES), "'") | dict.fromkeys(_INVISIBLE, "")
    plain |= (
        dict.fromkeys(map(ord, "“”„«»–—―·•"), " ") | dict.fromkeys(map(ord, "…¡"), _END) | {ord("¿"): _ASKS}
    )
    plain |= {ord(sign): f" {sign} " for sign in _PICTURES}
    if folds:
        plain |= {ord(letter): base for letter, base in zip(*_ACCENTS, strict=True)}
    return plain
