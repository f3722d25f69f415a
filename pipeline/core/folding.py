"""Texts and names brought into one form, so that equal names compare equal, and the way back from it.

*Folded* means: letters without case, compatibility forms as plain ones (NFKC of letters and digits),
typed apostrophes, one space for each run of white space, no invisible characters, the five characters that
HTML escapes as themselves. Lengths change on the way ("ß", "İ", "ﬁ", a letter and its accent), so a
:class:`Folded` keeps the places: any span of it leads back to a span of the original.

Words are parted where their scripts say so, by a mark of our own (``PARTING``): between letters of two
scripts, and around every character of a script that writes without spaces. Names are folded the same
way, so this never parts a name from itself. Knows nothing of brands.
"""

from __future__ import annotations

import html
import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from functools import lru_cache
from itertools import combinations, pairwise

PARTING = "\x1f"
"""Stands between words that no space parts; never in a folded text otherwise, being white space itself."""

Piece = tuple[int, int, int]
"""A place in the folded text, the one in the original where it begins, and where that piece ends there if
its characters do not stand for one each, else -1."""

# Where a character may be more than its casefold: marks, compatibility forms, invisible ones. Whole blocks
# where the exact ranges are many: a character too many costs time, one too few would be a wrong result, and a
# test walks through all of them.
_SPECIAL = (
    "\xaa\xad\xb4\xb5\xba\xdf\u0130\u0132\u0133\u013f\u0140\u0149\u017f\u01c4-\u01cc\u01f0-\u01f3\u02b0-\u037a"
    "\u0384-\u0390\u03b0\u03d0-\u03f9\u0483-\u0489\u0587\u0591-\u05c7\u0610-\u061c\u064b-\u065f\u0670-\u0678"
    "\u06d6-\u06ed\u0700-\u167f\u1681-\u1cff\u1d2c-\u1dff\u1e96-\u1e9e\u1f00-\u1fff\u200b-\u200f\u201b\u202a-\u202e\u2032"
    "\u2060-\u209c\u20d0-\u214f\u24b6-\u24e9\u2c7c-\u2dff\u302a-\u302f\u3099-\u309f\u30ff\u3131-\u318e"
    "\ua640-\uabff\ud7b0-\uffef\U00010000-\U0001efff\U0001f130-\U0001f149\U0001fbf0-\U0001fbf9"
    "\U0002f800-\U0002fa1f\U000e0000-\U000e0fff"
)
_ESCAPE = "&(?:amp|lt|gt|quot|apos|#39|#x27);"
_SPACE = "\t-\r\x1c-\x1f\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"  # and the plain one
# One class first: `re` then skips to the next of these characters instead of trying each alternative.
_IRREGULAR = re.compile(
    rf"[{_SPECIAL}{_SPACE}&](?:(?<=[{_SPECIAL}])[{_SPECIAL}]*|(?<=\s)\s*|(?<=&){_ESCAPE[1:]})"
)
_IRREGULAR_OR_SPACES = re.compile(
    rf"[{_SPECIAL}{_SPACE}& ](?:(?<= )\s+|(?<=[{_SPECIAL}])[{_SPECIAL}]*|(?<=[^\S ])\s*|(?<=&){_ESCAPE[1:]})"
)
_SPACES = re.compile("  +")
_INVISIBLE = re.compile(
    "[\xad\u034f\u061c\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
    "\U000e0000-\U000e0fff]"
)
_APOSTROPHES = frozenset("´ʹʻʼ‘’‛′＇")
# Vowels and last consonants of Korean syllables, the halfwidth ones, and the halfwidth marks of kana.
_JOINS = re.compile("[\u1160-\u11ff\ud7b0-\ud7ff\uff9e-\uffdc]")
# Symbols that are letters or typed signs in another dress.
_DRESSED = re.compile("[\uff00-\uffef\u24b6-\u24e9\U0001f130-\U0001f149]")
# What `\w` takes for a part of a word though it only decorates one: superscripts, fractions, circled numbers.
_DECORATION = "\xb2\xb3\xb9\xbc-\xbe\u2070-\u209c\u2150-\u218b\u2460-\u24b5\u24ea-\u24ff\u2776-\u2793"
_NO_WORD = re.compile(rf"[^\w ]|[_{_DECORATION}]")

_UNSPACED = (
    "\u0e01-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\u1b00-\u1b7f\u3005-\u3007"
    "\u3040-\u309f\u3100-\u312f\u31a0-\u31bf\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\ua980-\ua9df\uaa60-\uaa7f"
    "\U0001aff0-\U0001b16f\U00020000-\U0003ffff"
)
_SPACED = (
    "\u0370-\u03ff\u1f00-\u1fff",  # Greek
    "\u0400-\u052f\u1c80-\u1c8f\u2de0-\u2dff\ua640-\ua69f",  # Cyrillic
    "\u0530-\u058f",  # Armenian
    "\u0590-\u05ff\ufb1d-\ufb4f",  # Hebrew
    "\u0600-\u06ff\u0750-\u077f\u0870-\u08ff\ufb50-\ufdff\ufe70-\ufefe",  # Arabic
    "\u0900-\u0dff",  # the scripts of India
    "\u10a0-\u10ff",  # Georgian
    "\u1200-\u139f",  # Ethiopic
    "\u30a0-\u30ff\u31f0-\u31ff",  # katakana, a word of which ends where another script begins
    "\u1100-\u11ff\u3130-\u318f\uac00-\ud7ff",  # Korean
)
_FOREIGN = re.compile(f"[{_UNSPACED}{''.join(_SPACED)}]")
_UNSPACED_CHARACTER = re.compile(f"[{_UNSPACED}]")
# For each script, what finds it, and the places where it meets another.
_CHANGES = [(_UNSPACED_CHARACTER, re.compile(rf"(?<=[{_UNSPACED}])(?=\w)|(?<=\w)(?=[{_UNSPACED}])"))] + [
    (
        re.compile(f"[{script}]"),
        re.compile(rf"(?<=[{script}])(?=[^\W\d_{script}])|(?<=[^\W\d_{script}])(?=[{script}])"),
    )
    for script in _SPACED
]

# A tag's words: LarkwellDown, UKLarkwell, larkwell_down, larkwell2026.
_TAG = re.compile(r"[#＃](\w+)")
_TAG_WORD = re.compile(r"[^\W_]+")
_JOINED_WORDS = 6
_LETTER_DIGIT = re.compile(r"(?<=\d)(?=[^\W\d_])|(?<=[^\W\d_])(?=\d)")
# Korean particles stand at the end of the noun they belong to, up to three of them.
_PARTICLE = re.compile(
    "(?:은|는|이|가|을|를|의|에|에서|에게|께|로|으로|와|과|랑|이랑|도|만|까지|부터|처럼|보다|한테|이나|나|라고|이라고|하고|"
    "이다|입니다|이에요|예요|이네요|인데|이라|라|야|아|요){1,3}(?![가-힣])"
)
_KOREAN = re.compile("[가-힣]{2,}")

_TYPED = bytes(code + 32 if 65 <= code <= 90 else 32 if chr(code).isspace() else code for code in range(128))
_WORDS = bytes(code if chr(code).isalnum() else 32 for code in _TYPED)
# bytes.translate wants 256; those above are never met.
_TYPED, _WORDS = _TYPED + bytes(128), _WORDS + bytes(128)


class Folded:
    """A text folded. ``text`` is exact, ``words`` has a space for every character that is of no word.

    Both are of one length and count the same places. Behind the text itself, which ends at ``length``,
    stand other readings of parts of it: the words of a tag, Korean nouns without their particles.
    """

    __slots__ = ("_outs", "_partings", "_pieces", "length", "text", "words")

    def __init__(self, text: str, words: str, pieces: list[Piece]) -> None:
        """``pieces``, in order: a place here, where it begins in the original, and where that piece ends if
        it is not made of characters that stand for one each, else -1. No pieces: the places are the same."""
        self.text = text
        self.words = words
        self.length = len(text)
        self._pieces = pieces
        self._outs: list[int] = []
        self._partings: list[int] = []

    def begin(self, place: int) -> int | None:
        """Where in the original the character at ``place`` begins; None inside of one there."""
        if not self._pieces:
            return place
        place, i = self._piece(place)
        out, origin, end = self._pieces[i]
        return origin + place - out if end < 0 or place == out else None

    def end(self, place: int) -> int | None:
        """Where in the original the character before ``place`` ends; None inside of one there."""
        if not self._pieces:
            return place
        place, i = self._piece(place - 1)
        out, origin, end = self._pieces[i]
        if end < 0:
            return origin + place + 1 - out
        beyond = self._plain_length()  # where other readings go on
        if i + 1 < len(self._pieces):
            beyond = min(beyond, self._pieces[i + 1][0])
        return end if place + 1 == beyond else None

    def read_as(self, readings: Iterable[list[tuple[int, str]]]) -> None:
        """Adds other readings: each a list of parts, as places in the original and their folded text."""
        pieces = self._pieces or [(0, 0, -1)]
        added, place = [self.words], self._plain_length()
        for reading in readings:
            added.append(PARTING)  # no name goes from one reading on into the next
            place += 2
            for origin, part in reading:
                place += 1
                added.append(part)
                pieces.append((place, origin, -1))
                place += len(part)
        self._pieces = pieces
        self.words = " ".join(added)

    def _plain_length(self) -> int:
        """The length of the text itself without its partings, as the places of pieces count."""
        return self.length - self.text.count(PARTING)

    def _piece(self, place: int) -> tuple[int, int]:
        """The place without the partings before it, and the number of the piece that it is in."""
        if not self._outs:
            self._outs = [piece[0] for piece in self._pieces]
            if PARTING in self.text:
                self._partings = [i for i, sign in enumerate(self.text) if sign == PARTING]
        place -= bisect_left(self._partings, place)
        return place, bisect_right(self._outs, place) - 1


def plain_words(text: str) -> str | None:
    """The ``words`` of a text that needs no more than a look at each character; None for any other.

    The places are those of the text, whose tags are not read word by word. Most texts are plain: ASCII
    without runs of white space and escapes. Takes half a microsecond.
    """
    if not text.isascii() or "&" in text:
        return None
    typed = text.encode().translate(_TYPED)
    return None if b"  " in typed else typed.translate(_WORDS).decode()


def fold_plain(text: str, words: str) -> Folded:
    """The text, of which `plain_words` gave the ``words``, folded."""
    return Folded(text.encode().translate(_TYPED).decode(), words, [])


def fold(text: str) -> Folded:
    """The text folded, in time linear in its length."""
    if text.isascii() and "&" not in text:
        typed = text.encode().translate(_TYPED).decode()
        pieces: list[Piece] = []
        if "  " in typed:
            typed, pieces = _single_spaced(text, typed)
        return Folded(typed, typed.encode().translate(_WORDS).decode(), pieces)
    folded, pieces = _pieces(text)
    if not folded.isascii() and _FOREIGN.search(folded):
        for script, change in _CHANGES:
            if script.search(folded):
                folded = change.sub(PARTING, folded)
    return Folded(folded, _NO_WORD.sub(" ", folded), pieces)


def fold_all_readings(text: str) -> Folded:
    """The text folded, with the words of its tags and with Korean nouns without particles behind it."""
    folded = fold(text)
    readings = _tag_readings(text) if "#" in text or "＃" in text else []
    if not text.isascii():
        readings += _korean_readings(text)
    if readings:
        folded.read_as(readings)
    return folded


def same_words(text: str) -> str:
    """The words of a text alone, folded, with one space between: to look for words near a name."""
    if text.isascii() and "&" not in text:
        return " ".join(text.encode().translate(_WORDS).decode().split())
    return " ".join(fold(text).words.split())


def is_word(character: str) -> bool:
    """Whether a character of an original text is a part of a word: a letter, a digit, a mark or `_`."""
    if character.isascii():
        return character.isalnum() or character == "_"
    kind = unicodedata.category(character)
    return (kind[0] in "LM" or kind == "Nd") and character not in _APOSTROPHES


def is_mark(character: str) -> bool:
    """Whether it changes the character before it."""
    return unicodedata.category(character)[0] == "M" and not _INVISIBLE.match(character)


def is_unspaced(character: str) -> bool:
    """Whether it belongs to a script that writes without spaces between words."""
    return bool(_UNSPACED_CHARACTER.match(character))


def is_invisible(character: str) -> bool:
    """Whether it neither shows nor parts words: zero-width marks, soft hyphens, selectors of a glyph."""
    return bool(_INVISIBLE.match(character))


def _single_spaced(text: str, typed: str) -> tuple[str, list[Piece]]:
    """``typed``, as long as the text, with one space for each run, and its pieces."""
    out: list[str] = []
    pieces: list[Piece] = []
    place = after = 0
    for match in _SPACES.finditer(typed):
        start, end = match.span()
        out.append(typed[after:start])
        out.append(_space(text[start:end]))
        pieces.append((place, after, -1))
        place += start - after
        pieces.append((place, start, end))
        place += 1
        after = end
    out.append(typed[after:])
    pieces.append((place, after, -1))
    return "".join(out), pieces


def _pieces(text: str) -> tuple[str, list[Piece]]:
    """The folded text without partings, and its pieces as Folded wants them."""
    regular = _regular(text)
    whole = len(regular) == len(text)
    out: list[str] = []
    pieces: list[Piece] = []
    place = after = 0
    for match in (_IRREGULAR_OR_SPACES if "  " in text else _IRREGULAR).finditer(text):
        start, end = _widened(text, *match.span(), after)
        if start > after:
            pieces.append((place, after, -1))
            out.append(regular[after:start] if whole else _regular(text[after:start]))
            place += start - after
        after = end
        for begin, finish, folded in _characters(text[start:end], start):
            if folded:
                pieces.append((place, begin, finish))
                out.append(folded)
                place += len(folded)
    if after < len(text):
        pieces.append((place, after, -1))
        out.append(regular[after:] if whole else _regular(text[after:]))
    return "".join(out), pieces


def _regular(text: str) -> str:
    return text.replace("’", "'").replace("‘", "'").casefold()


def _widened(text: str, start: int, end: int, after: int) -> tuple[int, int]:
    """The span of what is irregular with what goes with it: the letter that a mark belongs to, spaces before
    other white space."""
    if text[start].isspace():
        while start > after and text[start - 1] == " ":
            start -= 1
    elif start > after and text[start] != "&" and not text[start - 1].isspace():
        start -= 1
    return start, end


def _characters(run: str, start: int) -> Iterable[tuple[int, int, str]]:
    """What a person sees as one character, one by one: where it is in the original, and its folded form."""
    if run.isspace():
        return [(start, start + len(run), _space(run))]
    if run[0] == "&" and run.endswith(";"):
        return [(start, start + len(run), html.unescape(run))]
    found = []
    i = 0
    while i < len(run):
        j = i + 1
        if not _INVISIBLE.match(run[i]):
            while j < len(run) and (_JOINS.match(run[j]) or is_mark(run[j])):
                j += 1
        found.append((start + i, start + j, _folded(run[i:j])))
        i = j
    return found


def _space(run: str) -> str:
    """One space; a line left empty parts words like a full stop, so that stays."""
    return "\n" if run.count("\n") > 1 else " "


@lru_cache(1 << 16)
def _folded(character: str) -> str:
    """One character with its marks, folded."""
    first = character[0]
    if _INVISIBLE.match(first):
        return ""
    if first in _APOSTROPHES:
        return "'"
    kind = unicodedata.category(first)
    if kind == "Cs":
        return "\ufffd"
    if kind[0] in "LM" or kind == "Nd" or len(character) > 1 or _DRESSED.match(first):
        plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", character).casefold())
        # Turkish capitals keep their dot, which the small letter has anyway.
        return plain.replace("i\u0307", "i")
    return character.casefold()


def _tag_readings(text: str) -> list[list[tuple[int, str]]]:
    readings = []
    for tag in _TAG.finditer(text):
        if tag[1].isascii() and (tag[1].islower() or tag[1].isupper()) and tag[1].isalpha():
            continue  # one word, or none that can be told apart
        cuts = [cut for word in _TAG_WORD.finditer(tag[1]) for cut in _tag_words(word.group(), word.start())]
        if len(cuts) < 2:
            continue
        begin = tag.start(1)
        readings.append(_parts(text, [(begin + i, begin + j) for i, j in cuts]))
        if len(cuts) <= _JOINED_WORDS:
            # A name may have capitals within, as in #YouTubeDown.
            for (i, _), (_, j) in combinations(cuts, 2):
                readings.append(_parts(text, [(begin + i, begin + j)]))
    return readings


def _tag_words(word: str, start: int) -> list[tuple[int, int]]:
    """The spans of the words that capitals and digits show in a tag."""
    cuts = {match.start() for match in _LETTER_DIGIT.finditer(word)}
    for i in range(1, len(word)):
        if word[i].isupper() and (word[i - 1].islower() or word[i + 1 : i + 2].islower()):
            cuts.add(i)
    edges = [0, *sorted(cuts), len(word)]
    return [(start + i, start + j) for i, j in pairwise(edges)]


def _korean_readings(text: str) -> list[list[tuple[int, str]]]:
    readings = []
    for word in _KOREAN.finditer(text):
        for cut in range(word.start() + 1, word.end()):
            if _PARTICLE.match(text, cut):
                readings.append(_parts(text, [(word.start(), cut), (cut, word.end())]))
    return readings


def _parts(text: str, spans: list[tuple[int, int]]) -> list[tuple[int, str]]:
    """Parts as `Folded.read_as` takes them; those that do not keep their length are left out."""
    parts = []
    for i, j in spans:
        part = text[i:j]
        # As below, for nearly all tags.
        plain = part.isascii() and part.isalnum()
        folded = part.lower() if plain else _NO_WORD.sub(" ", fold(part).text)
        if len(folded) == j - i:
            parts.append((i, folded))
    return parts
