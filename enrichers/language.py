"""The language of a post: the platform's own word first, else what CLD2 reads in the text.

CLD2 counts four-letter sequences; it tells languages apart in a few words, or says that it cannot. Most
posts are English beyond doubt (``_english``), and cost less than asking it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.metadata import version
from typing import Annotated, Any, ClassVar, Literal

import pycld2
from msgspec import Meta, Struct

from enrichers._english import English
from enrichers._nameless import without_names
from pipeline.core.event import Language
from pipeline.core.post import Post
from pipeline.core.reading import Reading, reading_of

REVISION = 2
"""Goes up with every change here that may change a result."""

UNDETERMINED = Language("und", 0.0)

# Codes that say that there is no language to name: ISO 639-2's own. X adds qam (mentions only), qct
# (cashtags), qht (hashtags), qme (media), qst (short text), of the private range qaa to qtz, and art (emoji).
_NO_LANGUAGE = frozenset(("art", "mis", "mul", "und", "un", "zxx"))
# Deprecated codes that X (in, iw) and CLD2 (iw, jw) still use, each with the registry's preferred value,
# and the longer codes that X and some feeds give where BCP 47 asks for the shorter.
_PREFERRED = {
    "in": "id",
    "iw": "he",
    "ji": "yi",
    "jw": "jv",
    "mo": "ro",
    "cmn": "zh",
    "deu": "de",
    "eng": "en",
    "fra": "fr",
    "msa": "ms",
    "por": "pt",
    "spa": "es",
    "tgl": "tl",
}
_SUBTAG = re.compile(r"[a-z]{2,3}(?![a-z0-9])")
_PRIVATE = re.compile(r"q[a-t][a-z]")

# CLD2 needs no more to be as sure as it gets, and the cost of a text stays bounded.
_ENOUGH = 4000


class SETTINGS(Struct, frozen=True, forbid_unknown_fields=True):
    """What ``[enrichers.language]`` may say."""

    trust_platform: Annotated[
        bool, Meta(description="take the platform's word for the language where it gives one")
    ] = True


def build(settings: SETTINGS) -> LanguageEnricher:
    """The step; needs no file and no network."""
    return LanguageEnricher(settings)


class LanguageEnricher:
    """Assigns ``language`` from the posts alone. See :class:`pipeline.core.protocols.Enricher`."""

    requires: ClassVar[tuple[str, ...]] = ("post",)
    assigns: ClassVar[str] = "language"

    def __init__(self, settings: SETTINGS) -> None:
        self._trust_platform = settings.trust_platform
        self._english = English()
        self.version = f"pycld2-{version('pycld2')}+{REVISION}" + ("" if settings.trust_platform else ".text")

    def enrich(self, columns: Mapping[str, Sequence[Any]]) -> list[Language]:
        """One Language a post: confidence 1 where the platform says it, else see `by_cld2`."""
        posts: Sequence[Post] = columns["post"]
        found: list[Any] = [
            platform_language(post.lang) if self._trust_platform and post.lang else None for post in posts
        ]
        open_ones = [i for i, language in enumerate(found) if not language]
        if 2 * len(open_ones) > len(posts):
            every = self._english.languages(reading_of(columns))
            sure = [every[i] for i in open_ones]
        else:
            # By themselves, for then the words of all the others need not be judged.
            sure = self._english.languages(Reading([posts[i].text for i in open_ones]))
        for i, language in zip(open_ones, sure, strict=True):
            found[i] = language or by_cld2(posts[i].text)
        return found

    def decided_by(self, post: Post) -> Literal["platform", "text"]:
        """Whose word the language of the post is."""
        return "platform" if self._trust_platform and platform_language(post.lang) else "text"


@lru_cache(1024)
def platform_language(tag: str) -> Language | None:
    """The platform's word as BCP 47's primary subtag, in lower case; None where it names no language."""
    code = _primary(tag)
    return Language(code, 1.0) if code else None


def by_cld2(text: str) -> Language:
    """What CLD2 reads in the text, be it English beyond doubt or not; ``und`` with confidence 0 where it
    calls its own guess unreliable.

    ``confidence`` is the share of the text's bytes in that language, so a text in two languages has
    less; it is no calibrated probability. CLD2 reads the first 4,000 characters.
    """
    clean = without_names(text[:_ENOUGH])
    if clean.isspace() or not clean:
        return UNDETERMINED
    reliable, _, guesses = pycld2.detect(clean)
    _, tag, percent, _ = guesses[0]
    return _guess(tag, percent) if reliable else UNDETERMINED


@lru_cache(1 << 14)
def _guess(tag: str, percent: int) -> Language:
    """One object for all posts of which CLD2 says the same."""
    code = _primary(tag)
    return Language(code, percent / 100) if code else UNDETERMINED


@lru_cache(1024)
def _primary(tag: str) -> str:
    """The primary subtag in its preferred form; empty where the tag names no language."""
    found = _SUBTAG.match(tag.strip().replace("_", "-").lower())
    if not found:
        return ""
    code = _PREFERRED.get(found.group(), found.group())
    return "" if code in _NO_LANGUAGE or _PRIVATE.fullmatch(code) else code
