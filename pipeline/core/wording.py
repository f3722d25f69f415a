"""Words and phrases in the texts of strangers: case, punctuation and line breaks do not count.

A phrase is found where its words stand next to each other as whole words. A `*` at its end lets the
last word go on (``cancel*`` finds "cancelled"). Scripts that put no spaces between words (Chinese,
Japanese, Thai and others) have no whole words to find: there the characters alone must be there.
"""

from __future__ import annotations

import re
import unicodedata

from msgspec import Struct

from pipeline.core.errors import ConfigError

# Letters, digits and the marks that Python's \w leaves out, without which the vowels of Indic scripts and
# of Hebrew and Arabic would be taken for spaces. All else, apostrophes too, stands between words.
_MARKS = "\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u0669\u0900-\u0963\u0966-\u109f\u200c\u200d"
_WORD = re.compile(rf"[\w{_MARKS}]+")
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
# All that keeps most English texts from being ASCII.
_TYPOGRAPHIC = re.compile("[’‘“”…–—£€]")
# The same cut for ASCII, several times as fast.
_SPACES = {code: " " for code in range(128) if not (chr(code).isalnum() or chr(code) == "_")}


class Wording(Struct, frozen=True):
    """A text made ready once for any number of phrases."""

    words: frozenset[str]
    line: str
    """The words with one space between, before and behind them."""
    run: str
    """The same without any space, for the scripts that have none."""


OPEN_END = "*"
"""Behind a sign: the word may go on."""


class Phrase(Struct, frozen=True):
    """``key`` is a word that must be in a text for the phrase to be; empty where no whole word must.

    ``sign`` is the key, or the beginning of a word with ``OPEN_END``; empty where words tell nothing. With
    ``alone`` nothing but the sign need be there.
    """

    line: str
    spaced: bool
    key: str
    sign: str = ""
    alone: bool = False

    def is_in(self, text: Wording) -> bool:
        """Whether the text has the phrase."""
        return self.line in (text.line if self.spaced else text.run)

    def may_be_in(self, text: str) -> bool:
        """Whether all words of the phrase are in a text as it came. Where not, it does not have the phrase;
        to know that takes a tenth of the time of cutting it into words."""
        return not text.isascii() or all(map(text.lower().__contains__, self.line.split()))


def wording_of(text: str) -> Wording:
    """The words of a text; time is linear in its length."""
    words = words_of(text)
    return Wording(frozenset(words), f" {' '.join(words)} ", "" if text.isascii() else "".join(words))


def spaced(text: str) -> str:
    """An ASCII text with its words where they were, in lower case, and spaces for all else."""
    return text.lower().translate(_SPACES)


def phrase_of(text: str) -> Phrase:
    """The phrase that a person wrote; ConfigError where it holds no letter and no digit."""
    open_end = text.rstrip().endswith("*")
    words = words_of(text)
    if not words:
        raise ConfigError(f"`{text}` has no letter or digit to look for: use `matches` for signs")
    if _UNSPACED.search(text):
        return Phrase("".join(words), False, "")
    whole = words[:-1] if open_end else words
    line = f" {' '.join(words)}" if open_end else f" {' '.join(words)} "
    key = max(whole, key=len, default="")
    return Phrase(line, True, key, key or words[0] + OPEN_END, alone=len(words) == 1)


def words_of(text: str) -> list[str]:
    """The words of a text in lower case and one spelling of each character."""
    if not text.isascii():
        text = _TYPOGRAPHIC.sub(" ", text)
    if text.isascii():
        return spaced(text).split()
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
