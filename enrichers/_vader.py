"""VADER's score of a text (Hutto & Gilbert 2014), equal to vaderSentiment's, in linear time.

vaderSentiment lowers the whole list of words at every word that carries a valence, so its time
grows with the square of the text. Here the text is cut and lowered once, each word is looked up
once, and only the neighbours of words with a valence are looked at. The lexicon and the lists of words
are those of the installed package. Equal means to the last digit, as a property test holds. What
vaderSentiment gets wrong is wrong here in the same way: mending belongs in front of it, see ``_typed``.

Paper: C.J. Hutto, E.E. Gilbert, VADER: A Parsimonious Rule-based Model for Sentiment Analysis of
Social Media Text, ICWSM 2014.
"""

from __future__ import annotations

import math
import re
import string
from collections.abc import Callable, Iterable, Mapping
from heapq import heappop, heappush
from typing import NamedTuple

from vaderSentiment.vaderSentiment import (
    BOOSTER_DICT,
    C_INCR,
    N_SCALAR,
    NEGATE,
    SPECIAL_CASES,
    SentimentIntensityAnalyzer,
)

from enrichers._rounding import rounded_3, rounded_4

# Empirical constants of the paper and of the package that the package keeps inside its functions.
_DAMPING = (1.0, 0.95, 0.9)  # of a booster one, two, three words before
_NEVER_SO = 1.25
_BEFORE_BUT = 0.5
_AFTER_BUT = 1.5
_EXCLAMATION = 0.292  # each, up to four
_QUESTION = 0.18  # each, for two or three
_QUESTIONS = 0.96  # four and more
ALPHA = 15  # the compound is x / sqrt(x² + alpha)

# Stands for the words before the first and after the last. No word holds a line feed, so it is never
# mistaken for one; being in ``_opaque`` it also ends a window as the beginning of a text does.
EDGE = "\n"
_HEAD, _TAIL = [EDGE] * 3, [EDGE] * 2
# Why a valence changes.
NEGATION, BOOSTER, CAPITALS, NEVER_SO, PHRASE = "negation", "booster", "capitals", "never so", "phrase"
_SO = frozenset(("so", "this"))
_OR = frozenset(("or", "nor"))
_AT_VERY = frozenset(("at", "very"))
_OTHERS = _SO | _OR | _AT_VERY | {"never", "without", "doubt", "no", "least", "but"}
"""Words that change a valence in a way of their own."""


class Score(NamedTuple):
    """``compound`` is -1 to 1, rounded to 4 places; the shares are 0 to 1, rounded to 3 places.

    The shares sum to 1 but for the rounding, or are all 0 for a text without any word.
    """

    compound: float
    positive: float
    neutral: float
    negative: float


NO_WORDS = Score(0.0, 0.0, 0.0, 0.0)
NO_VALENCE = Score(0.0, 0.0, 1.0, 0.0)


class Vader:
    """The scorer; immutable once made, so one may be shared. Making one reads the lexicon (20 ms)."""

    def __init__(self) -> None:
        analyzer = SentimentIntensityAnalyzer()
        self.lexicon: Mapping[str, float] = analyzer.lexicon
        self.emojis: Mapping[str, str] = analyzer.emojis
        self._boosters: Mapping[str, float] = BOOSTER_DICT
        self._negations = frozenset(NEGATE)
        self._capitals: float = C_INCR
        self._negate: float = N_SCALAR
        self._phrases: Mapping[str, float] = SPECIAL_CASES
        # Words that may carry a valence, and words that change that of the words after them.
        self._scored = frozenset(self.lexicon) - frozenset(self._boosters)
        self._opaque = frozenset(self.lexicon) | {EDGE}
        self._modifiers = self._negations | frozenset(self._boosters) | _SO | {"no", "least"}
        # One telling word of each phrase: where none of them is in a text, no phrase is.
        phrases = [p.split(" ") for p in (*self._phrases, *self._boosters) if " " in p]
        self._telling = frozenset(max(words, key=len) for words in phrases)
        self.words_of_phrases = frozenset(word for words in phrases for word in words)
        # Where none of these is a word with a valence or one of the three before it, neither the words behind
        # count nor any phrase.
        self.wide = self._telling | {"no"} | (self.words_of_phrases & self._scored)
        # Only emoji of one character are ever found by vaderSentiment.
        self._emoji = _coarse_class(e for e in self.emojis if len(e) == 1)

    @property
    def scored(self) -> frozenset[str]:
        """Words that may carry a valence."""
        return self._scored

    @property
    def words_that_count(self) -> frozenset[str]:
        """Words, in small letters, with a valence, and those that may change that of another in a way of
        their own; beside them does any with "n't" in it."""
        return self._opaque | self._modifiers | self.words_of_phrases | _OTHERS

    def effect_of(self, word: str) -> str:
        """What a word, in small letters, does to others near it, phrases aside: those with the same effect
        do the same. Empty for none."""
        if word in _OTHERS or word in self.wide:
            return word
        if word in self._boosters:
            return f"{BOOSTER} {self._boosters[word]}"
        return NEGATION if word in self._negations or "n't" in word else ""

    def score(self, text: str, look: Look | None = None) -> Score:
        """The four scores of one text; never raises for a str. Time is linear in its length.

        ``look`` makes the window through which a text with valences is seen: one that takes notes, say.
        """
        text = self.spelt(text)
        punctuation = string.punctuation
        # Two characters or fewer inside the punctuation: taken for an emoticon, and left whole.
        tokens = [s if len(s := t.strip(punctuation)) > 2 else t for t in text.split()]
        if not tokens:
            return NO_WORDS
        joined = " ".join(tokens).lower()
        words = joined.split(" ")
        scored = self._scored
        hits = [i for i, word in enumerate(words, 3) if word in scored]
        if not hits:
            return NO_VALENCE
        window = (look or Window)(self, tokens, words, joined)
        valences = window.valences(hits)
        if "but" in joined and "but" in words:
            valences = window.contrasted(valences, words.index("but") + 3)
        return window.summed(valences, len(words), emphasis_of(text))

    def spelt(self, text: str) -> str:
        """The text with words for its emoji."""
        return text if text.isascii() else self._emoji.sub(self._spell, text)

    def _spell(self, match: re.Match[str]) -> str:
        """The words of an emoji. The next character follows without a space, as vaderSentiment has it."""
        words = self.emojis.get(match.group())
        if words is None:
            return match.group()
        start = match.start()
        return words if start == 0 or match.string[start - 1] == " " else " " + words


Look = Callable[[Vader, list[str], list[str], str], "Window"]
"""Makes a window of the scorer, the words as typed, the same in lower case, and these joined by spaces."""


class Window:
    """One text, seen from its words with a valence. Positions count from 3: ``_HEAD`` comes first.

    Each change of a valence goes through `changed`, so that `_vader_trace` can tell of it and need not know
    the rules once more.
    """

    def __init__(self, vader: Vader, tokens: list[str], words: list[str], joined: str) -> None:
        self._v = vader
        self._tokens = tokens
        self._words = [*_HEAD, *words, *_TAIL]
        self._phrased = not vader._telling.isdisjoint(words)
        # A word of any spelling with n't negates, so the set of modifiers cannot rule one out.
        self._contracted = "n't" in joined
        self.mixed: bool | None = None

    def valences(self, hits: list[int]) -> dict[int, float]:
        """The valence of each hit by its position, in order."""
        words, modifiers, lexicon = self._words, self._v._modifiers, self._v.lexicon
        closely = self._phrased or self._contracted
        found = {}
        for i in hits:
            word = words[i]
            if word == "kind" and words[i + 1] == "of":
                continue
            valence = 0.0 if word == "no" and words[i + 1] in lexicon else lexicon[word]
            before = words[i - 1], words[i - 2], words[i - 3]
            if closely or not modifiers.isdisjoint(before):
                found[i] = self._modified(i, valence, *before)
            else:
                found[i] = self._shouted(i, valence)
        return found

    def changed(self, i: int, cause: str, by: str, valence: float, after: float) -> float:  # noqa: ARG002
        """What the valence of the word at ``i`` becomes for a cause and by some words: ``after``."""
        return after

    def contrasted(self, valences: dict[int, float], but: int) -> dict[int, float]:
        """The valences of a text with a "but" at that place."""
        return contrast(valences, but)

    def summed(self, valences: dict[int, float], words: int, emphasis: float) -> Score:
        """The scores of a text of so many words."""
        return summed(list(valences.values()), words, emphasis)

    def _modified(self, i: int, valence: float, one: str, two: str, three: str) -> float:
        """The valence of the word at ``i`` after the three words before it, the nearest first."""
        v = self._v
        opaque, negate = v._opaque, v._negate
        if one == "no" or two == "no" or (three == "no" and one in _OR):
            valence = self.changed(i, NEGATION, "no", valence, v.lexicon[self._words[i]] * negate)
        valence = self._shouted(i, valence)
        if one not in opaque:
            valence = self._boosted(i, 1, valence)
            if self._negated(one):
                valence = self.changed(i, NEGATION, one, valence, valence * negate)
        if two not in opaque:
            valence = self._boosted(i, 2, valence)
            if two == "never" and one in _SO:
                valence = self.changed(i, NEVER_SO, f"never {one}", valence, valence * _NEVER_SO)
            elif not (two == "without" and one == "doubt") and self._negated(two):
                valence = self.changed(i, NEGATION, two, valence, valence * negate)
        if three not in opaque:
            valence = self._boosted(i, 3, valence)
            # The package's own order of and and or: "so" or "this" just before is enough.
            if (three == "never" and two in _SO) or one in _SO:
                by = f"never {two}" if three == "never" and two in _SO else one
                valence = self.changed(i, NEVER_SO, by, valence, valence * _NEVER_SO)
            elif not (three == "without" and "doubt" in (one, two)) and self._negated(three):
                valence = self.changed(i, NEGATION, three, valence, valence * negate)
            if self._phrased:
                valence = self._in_phrase(i, valence)
        if one == "least" and one not in opaque and two not in _AT_VERY:
            valence = self.changed(i, NEGATION, "least", valence, valence * negate)
        return valence

    def _negated(self, word: str) -> bool:
        return word in self._v._negations or "n't" in word

    def _boosted(self, i: int, distance: int, valence: float) -> float:
        """The valence after the word ``distance`` places before, if that is a booster or dampener."""
        boost = self._v._boosters.get(self._words[i - distance], 0.0)
        if not boost:
            return valence
        if valence < 0:
            boost = -boost
        if self._is_shouted(i - distance):
            boost += self._v._capitals if valence > 0 else -self._v._capitals
        after = valence + boost * _DAMPING[distance - 1]
        return self.changed(i, BOOSTER, self._words[i - distance], valence, after)

    def _shouted(self, i: int, valence: float) -> float:
        if not self._is_shouted(i):
            return valence
        capitals = self._v._capitals
        after = valence + (capitals if valence > 0 else -capitals)
        return self.changed(i, CAPITALS, self._words[i], valence, after)

    def _is_shouted(self, i: int) -> bool:
        """Whether the word is in capitals while some other word of the text is not."""
        if not self._tokens[i - 3].isupper():
            return False
        if self.mixed is None:
            self.mixed = not all(token.isupper() for token in self._tokens)
        return self.mixed

    def _in_phrase(self, i: int, valence: float) -> float:
        """The valence of the first phrase around ``i``, a later one after ``i`` going before it."""
        three, two, one, word, next_one, next_two = self._words[i - 3 : i + 3]
        phrases, boosters = self._v._phrases, self._v._boosters
        before = f"{three} {two} {one}", f"{three} {two}", f"{two} {one}"
        around = f"{one} {word}", f"{two} {one} {word}", before[2], before[0], before[1]
        for phrase in around:
            if phrase in phrases:
                valence = self.changed(i, PHRASE, phrase, valence, phrases[phrase])
                break
        for phrase in (f"{word} {next_one}", f"{word} {next_one} {next_two}"):
            if phrase in phrases:
                valence = self.changed(i, PHRASE, phrase, valence, phrases[phrase])
        for phrase in before:
            if phrase in boosters:
                valence = self.changed(i, BOOSTER, phrase, valence, valence + boosters[phrase])
        return valence


def _coarse_class(characters: Iterable[str]) -> re.Pattern[str]:
    """A pattern of one character that matches all of these, and some more for the sake of speed.

    ``re`` tries the parts of a class one after the other: a dozen ranges take a twentieth of the time
    of a thousand emoji.
    """
    ranges: list[list[int]] = []
    for code in sorted(map(ord, characters)):
        if ranges and code - ranges[-1][1] < 0x100:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return re.compile("[" + "".join(f"\\U{low:08x}-\\U{high:08x}" for low, high in ranges) + "]")


def contrast(valences: dict[int, float], but: int) -> dict[int, float]:
    """The valences after "but" weigh more, those before it less.

    vaderSentiment walks its list and looks each value up by value, so it adjusts the first place that
    holds an equal value at that moment, not the place it stands at. That is kept, but the first place of
    each value is known from a heap instead of a search: n log n, not n².
    """
    adjusted = dict(valences)
    places: dict[float, list[int]] = {}
    for i, value in valences.items():
        if not value:
            continue
        heap = places.setdefault(value, [])
        heappush(heap, i)
        first = heappop(heap)
        # "but" itself has no valence, so ``first`` is never its place.
        changed = value * (_BEFORE_BUT if first < but else _AFTER_BUT)
        adjusted[first] = changed
        heappush(places.setdefault(changed, []), first)
    return adjusted


def emphasis_of(text: str) -> float:
    """What the exclamation and question marks of a text add to its sum."""
    if "!" not in text and "?" not in text:
        return 0.0
    exclamations = min(text.count("!"), 4) * _EXCLAMATION
    questions = text.count("?")
    if questions < 2:
        return exclamations
    return exclamations + (questions * _QUESTION if questions <= 3 else _QUESTIONS)


def summed(valences: list[float], words: int, emphasis: float) -> Score:
    """The scores of a text of so many words, some of them with a valence."""
    total = sum(valences)
    if total > 0:
        total += emphasis
    elif total < 0:
        total -= emphasis
    # One more for each, since a neutral word counts one.
    positive = negative = 0.0
    neutral = words
    for valence in valences:
        if valence > 0:
            positive += valence + 1
            neutral -= 1
        elif valence < 0:
            negative += valence - 1
            neutral -= 1
    if positive > -negative:
        positive += emphasis
    elif positive < -negative:
        negative -= emphasis
    whole = positive - negative + neutral
    return Score(
        rounded_4(total / math.sqrt(total * total + ALPHA)),
        rounded_3(positive / whole),
        rounded_3(neutral / whole),
        rounded_3(-negative / whole),
    )
