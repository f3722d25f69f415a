"""The sentiment of a post by VADER, a lexicon and rules for English (Hutto & Gilbert 2014).

The text is first brought into typed characters (``_typed``), then scored (``_vader``). VADER knows no
language but English, and finds its words in others: "die" is death, "no" a refusal. So a post whose
language is known and not among ``languages`` gets no sentiment rather than a wrong one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta, Struct

from enrichers._codes import FEW
from enrichers._typed import Typist
from enrichers._vader import NO_VALENCE, Score, Vader
from enrichers._vader_batch import BatchVader
from enrichers._vader_trace import Trace, trace
from pipeline.core.event import Language, Sentiment
from pipeline.core.post import Post
from pipeline.core.reading import reading_of

REVISION = 1
"""Goes up with every change here, in ``_typed`` or in ``_vader`` that may change a result."""

# The thresholds of the paper's authors, applied as they do to the compound rounded to four places.
POSITIVE = 0.05
NEGATIVE = -0.05

SILENT = Sentiment(compound=0.0, label="neutral", positive=0.0, neutral=1.0, negative=0.0)
"""Of a text without words. VADER gives shares of 0, 0, 0; ours sum to 1, and nothing said is neutral."""

_FLAT = Sentiment(compound=0.0, label="neutral", positive=0.0, neutral=1.0, negative=0.0)
_SPACE = "\u205f"
"""The one kind of white space that ``_typed`` takes for a picture: it may join what it should part."""


class SETTINGS(Struct, frozen=True, forbid_unknown_fields=True):
    """What ``[enrichers.sentiment]`` may say."""

    normalise: Annotated[
        bool, Meta(description="bring curly quotes, emoji, entities and the like into typed characters first")
    ] = True
    languages: Annotated[
        tuple[str, ...],
        Meta(description="languages to score, `und` where none could be told; empty: score every post"),
    ] = ("en", "und")


def build(settings: SETTINGS) -> SentimentEnricher:
    """The step; reads the lexicon of the installed vaderSentiment (20 ms)."""
    return SentimentEnricher(settings)


class SentimentEnricher:
    """Assigns ``sentiment`` from posts and their language. See :class:`pipeline.core.protocols.Enricher`."""

    requires: ClassVar[tuple[str, ...]] = ("post", "language")
    assigns: ClassVar[str] = "sentiment"

    def __init__(self, settings: SETTINGS) -> None:
        self.version = _version(settings)
        self._languages = frozenset(settings.languages)
        self._vader = Vader()
        self._typist = Typist(self._vader.emojis) if settings.normalise else None
        self._batches = BatchVader(self._vader, self._typed)

    def enrich(self, columns: Mapping[str, Sequence[Any]]) -> list[Sentiment | None]:
        """One Sentiment a post, None where its language is not scored."""
        texts = [post.text for post in columns["post"]]
        scores: list[Score | None] = [None] * len(texts)
        if len(texts) >= FEW:
            scores = self._batches.scores(reading_of(columns), texts)
        if None in scores or _SPACE in "".join(texts):
            for i, text in enumerate(texts):
                if scores[i] is None or _SPACE in text:
                    scores[i] = self._vader.score(self._typed(text))
        every, wanted = not self._languages, self._languages
        return [
            (_FLAT if score is NO_VALENCE else _labelled(score))
            if score and (every or language is None or language.code in wanted)
            else None
            for score, language in zip(scores, columns["language"], strict=True)
        ]

    def _scores(self, language: Language | None) -> bool:
        return not self._languages or language is None or language.code in self._languages

    def judge(self, text: str) -> Sentiment:
        """The sentiment of one text, in time linear in its length.

        ``compound`` is rounded to 4 places; the shares to 3, so that they sum to 1 within 0.002.
        """
        return _labelled(self._vader.score(self._typed(text)))

    def explain(self, post: Post, language: Language | None) -> Trace | None:
        """The words that moved the sentiment of a post, and how; None where `enrich` gives none."""
        return trace(self._vader, self._typed(post.text)) if self._scores(language) else None

    def emoji_of(self, text: str, word: str) -> str:
        """The emoji of the text that a word of the explanation comes from; empty where it was typed."""
        if word.lower() in text.lower():
            return ""
        emojis = self._vader.emojis
        return max((e for e in emojis if e in text and word in emojis[e].split()), key=len, default="")

    def _typed(self, text: str) -> str:
        return self._typist.typed(text) if self._typist else text


def _labelled(score: Score) -> Sentiment:
    compound, positive, neutral, negative = score
    if not (positive or neutral or negative):
        return SILENT
    label = "positive" if compound >= POSITIVE else "negative" if compound <= NEGATIVE else "neutral"
    # VADER says -0.0 of a share that is none; adding 0.0 takes the sign off and changes nothing else.
    return Sentiment(compound + 0.0, label, positive + 0.0, neutral + 0.0, negative + 0.0)


def _version(settings: SETTINGS) -> str:
    """Package, revision and, where they are not the default ones, a digest of the settings."""
    name = f"vaderSentiment-{version('vaderSentiment')}+{REVISION}"
    if settings == SETTINGS():
        return name
    return f"{name}.{hashlib.sha256(msgspec.json.encode(settings)).hexdigest()[:8]}"
