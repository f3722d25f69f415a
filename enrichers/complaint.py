"""Whether a post is a complaint, about what, and how urgent: by rules over cue words and the sentiment.

Each cue belongs to a family with a weight; the weights, the sentiment and the shape of the post add up to
log-odds (``_complaint_rules``). The cues are tables of words, one a language. Nothing is fitted to data.
Our own accounts do not complain: their posts get no judgement. docs/complaint.md has the figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import compress, count
from typing import Annotated, Any, ClassVar

from msgspec import Meta, Struct

from enrichers._codes import FEW
from enrichers._complaint_batch import BatchScanner
from enrichers._complaint_rules import Shape, Verdict, shares, weigh
from enrichers._complaint_scan import LANGUAGES, Hit, Scanner, link_and_question, table_of
from enrichers._complaint_sums import Shapes, Weighing
from pipeline.core.event import Complaint, Language, Sentiment
from pipeline.core.post import Post
from pipeline.core.reading import reading_of

REVISION = 1
"""Goes up with every change here, in the rules, the scan or the words that may change a result."""

_UNKNOWN = ("und", "")
"""Codes that name no language. English is sought then: short posts have none, and most are English."""


class SETTINGS(Struct, frozen=True, forbid_unknown_fields=True):
    """What ``[enrichers.complaint]`` may say."""

    threshold: Annotated[
        float, Meta(gt=0, lt=1, description="probability from which a post is taken for a complaint")
    ] = 0.5


class Found(Struct, frozen=True):
    """One cue in a text: ``start`` and ``end`` count characters of the original text.

    ``weight`` is what it adds to the log-odds: 0 where its family had its due from cues before it.
    """

    text: str
    start: int
    end: int
    cue: str
    family: str
    category: str
    weight: float


class Explanation(Struct, frozen=True):
    """A judgement with all that led to it; ``category`` is told even where the post is no complaint.

    The ``parts``, addends of the log-odds by name in order, give the probability; the weights of the
    ``cues`` of a family sum to the part of its name.
    """

    probability: float
    threshold: float
    category: str
    urgency: float
    parts: tuple[tuple[str, float], ...]
    cues: tuple[Found, ...]


def build(settings: SETTINGS) -> ComplaintEnricher:
    """The step; reads the tables of words beside it."""
    return ComplaintEnricher(settings)


class ComplaintEnricher:
    """Assigns ``complaint`` from posts, language and sentiment; an Enricher of `pipeline.core.protocols`."""

    requires: ClassVar[tuple[str, ...]] = ("post", "language", "sentiment")
    assigns: ClassVar[str] = "complaint"

    def __init__(self, settings: SETTINGS) -> None:
        self._threshold = settings.threshold
        self.version = f"rules+{REVISION}" + ("" if settings == SETTINGS() else f".{settings.threshold}")
        self._scanners = {code: Scanner(table_of(code)) for code in LANGUAGES}
        english = self._scanners["en"]
        for code in _UNKNOWN:
            self._scanners[code] = english
        # The other languages' posts are too few in most batches to be worth it.
        self._batched = {code for code, scanner in self._scanners.items() if scanner is english}
        self._scanner_of_batches = BatchScanner(english)
        self._weighing = Weighing(english.cues)

    def enrich(self, columns: Mapping[str, Sequence[Any]]) -> list[Complaint | None]:
        """One Complaint a post; None for our own posts and for languages without a table of words."""
        posts, languages, sentiments = columns["post"], columns["language"], columns["sentiment"]
        if len(posts) < FEW:
            return list(map(self.judge, posts, languages, sentiments))
        texts = [post.text for post in posts]
        cues = self._scanner_of_batches.cues(reading_of(columns))
        shapes = _shapes(posts, texts, sentiments)
        rows = zip(*self._weighing.judgements(cues.numbers, cues.owners, shapes), strict=True)
        least = self._threshold
        found: list[Complaint | None] = [
            Complaint(share, share >= least, category if share >= least else "", urgency)
            for share, category, urgency in rows
        ]
        for i, (post, language) in enumerate(zip(posts, languages, strict=True)):
            if (
                (language.code if language else "") not in self._batched
                or "\n" in post.text
                or post.direction == "outbound"
                or i in cues.unread
            ):
                found[i] = self.judge(post, language, sentiments[i])
        return found

    def judge(self, post: Post, language: Language | None, sentiment: Sentiment | None) -> Complaint | None:
        """The judgement of one post in time linear in its text; None as for `enrich`.

        Without a sentiment the words alone decide. ``category`` is empty where the post is no complaint;
        ``urgency`` is told of every post, for a question may be urgent.
        """
        scanner = self._scanner(post, language)
        if scanner is None:
            return None
        return self._complaint(_judged(scanner, post, sentiment)[0])

    def _complaint(self, verdict: Verdict) -> Complaint:
        is_complaint = verdict.probability >= self._threshold
        return Complaint(
            verdict.probability, is_complaint, verdict.category if is_complaint else "", verdict.urgency
        )

    def explain(
        self, post: Post, language: Language | None, sentiment: Sentiment | None
    ) -> Explanation | None:
        """Why `judge` says what it says of the same arguments; None where it says nothing."""
        scanner = self._scanner(post, language)
        if scanner is None:
            return None
        verdict, hits = _judged(scanner, post, sentiment)
        return Explanation(
            verdict.probability,
            self._threshold,
            verdict.category,
            verdict.urgency,
            verdict.parts,
            _found(scanner, post.text, hits, verdict),
        )

    def _scanner(self, post: Post, language: Language | None) -> Scanner | None:
        if post.direction == "outbound":
            return None
        return self._scanners.get(language.code if language else "")


def _judged(scanner: Scanner, post: Post, sentiment: Sentiment | None) -> tuple[Verdict, list[Hit]]:
    hits = scanner.hits(scanner.read(post.text).words)
    return weigh([hit.cue for hit in hits], _shape(post, sentiment)), hits


def _shape(post: Post, sentiment: Sentiment | None) -> Shape:
    of = _shapes([post], [post.text], [sentiment])
    return Shape(of.compounds[0], of.addressed[0], of.asks[0], of.links[0], of.articles[0], of.stars[0])


def _shapes(posts: Sequence[Post], texts: Sequence[str], sentiments: Sequence[Sentiment | None]) -> Shapes:
    links = ["://" in text for text in texts]
    asks = ["?" in text or "？" in text for text in texts]
    for i in compress(count(), links):
        asks[i] = asks[i] and link_and_question(texts[i])[1]
    return Shapes(
        [sentiment.compound if sentiment else 0.0 for sentiment in sentiments],
        [text.startswith("@") or " @" in text for text in texts],
        asks,
        links,
        [post.kind == "article" for post in posts],
        [_stars(post) if post.metrics else 0 for post in posts],
    )


def _stars(post: Post) -> int:
    """The stars of a review, 1 to 5; 0 where there are none, or they count otherwise."""
    stars = post.metrics.get("rating", 0)
    return stars if post.kind == "review" and 1 <= stars <= 5 else 0


def _found(scanner: Scanner, text: str, hits: Sequence[Hit], verdict: Verdict) -> tuple[Found, ...]:
    spans = scanner.spans(text) if hits else []
    found = []
    for hit, weight in zip(hits, shares([hit.cue for hit in hits], verdict), strict=True):
        start, end = spans[hit.first][0], spans[hit.end - 1][1]
        cue = hit.cue
        words = ("not " if cue.negation == "required" else "") + " ".join(cue.words)
        found.append(Found(text[start:end], start, end, words, cue.family, cue.category, weight))
    return tuple(found)
