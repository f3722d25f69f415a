"""The language of a post: the platform's own word first, else what CLD2 reads in the text.

CLD2 counts four-letter sequences; it tells languages apart in a few words, or says that it cannot.
Names, links and tags are taken out beforehand: they are spelt alike in all languages.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.metadata import version
from typing import Annotated, Any, ClassVar, Literal

import pycld2
from msgspec import Meta, Struct

from pipeline.core.event import Language
from pipeline.core.post import Post

REVISION = 1
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

_LINK = re.compile(r"https?://\S+")
_TAG = re.compile(r"[@#＠＃]\w+")
# The characters for which pycld2 raises "input contains invalid UTF-8": controls, noncharacters, lone
# surrogates; and pictures, which are the same in all languages.
_CONTROL = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]")
_NO_LETTER = re.compile(
    "[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\u200d\u2190-\u2bff\ud800-\udfff\ufdd0-\ufdef\ufe0f\ufffe\uffff\U0001f000-\U0001faff"
    + "".join(chr(plane << 16 | last) for plane in range(1, 17) for last in (0xFFFE, 0xFFFF))
    + "]+"
)
_BETWEEN = "\f"
"""White space that stands between texts, being in hardly any."""

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
        self.version = f"pycld2-{version('pycld2')}+{REVISION}" + ("" if settings.trust_platform else ".text")

    def enrich(self, columns: Mapping[str, Sequence[Any]]) -> list[Language]:
        """One Language a post: confidence 1 where the platform says it, else see `detected`."""
        posts: Sequence[Post] = columns["post"]
        found = [
            platform_language(post.lang) if self._trust_platform and post.lang else None for post in posts
        ]
        read = iter(
            map(
                _detected,
                _all_without_names([p.text for p, said in zip(posts, found, strict=True) if not said]),
            )
        )
        return [said or next(read) for said in found]

    def decided_by(self, post: Post) -> Literal["platform", "text"]:
        """Whose word the language of the post is."""
        return "platform" if self._trust_platform and platform_language(post.lang) else "text"


@lru_cache(1024)
def platform_language(tag: str) -> Language | None:
    """The platform's word as BCP 47's primary subtag, in lower case; None where it names no language."""
    code = _primary(tag)
    return Language(code, 1.0) if code else None


def detected(text: str) -> Language:
    """What CLD2 reads in the text, or ``und`` with confidence 0 where it calls its own guess unreliable.

    ``confidence`` is the share of the text's bytes in that language, so a text in two languages has
    less; it is no calibrated probability. Only the first 4,000 characters count.
    """
    return _detected(_without_names(text[:_ENOUGH]))


def _detected(clean: str) -> Language:
    """The language of a text without names."""
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


def _all_without_names(texts: list[str]) -> list[str]:
    """Each text as `_without_names` leaves it: those in ASCII as one, for a call costs more than a search."""
    texts = [text[:_ENOUGH] for text in texts]
    plain = [text for text in texts if text.isascii() and _BETWEEN not in text]
    # White space ends links and names, so that none of them reaches from one text into the next.
    joined = _TAG.sub(" ", _LINK.sub(" ", _BETWEEN.join(plain)))
    cleaned = iter(joined.split(_BETWEEN))
    return [
        _without_controls(next(cleaned)) if text.isascii() and _BETWEEN not in text else _without_names(text)
        for text in texts
    ]


def _without_names(text: str) -> str:
    """The text without links, mentions, tags, pictures and what pycld2 refuses."""
    # Each pattern starts with a fixed character, which `re` finds far faster than any of several.
    if "://" in text:
        text = _LINK.sub(" ", text)
    if not text.isascii():
        return _TAG.sub(" ", _NO_LETTER.sub(" ", text))
    if "@" in text or "#" in text:
        text = _TAG.sub(" ", text)
    return _without_controls(text)


def _without_controls(text: str) -> str:
    return text if text.isprintable() else _CONTROL.sub(" ", text)


@lru_cache(1024)
def _primary(tag: str) -> str:
    """The primary subtag in its preferred form; empty where the tag names no language."""
    found = _SUBTAG.match(tag.strip().replace("_", "-").lower())
    if not found:
        return ""
    code = _PREFERRED.get(found.group(), found.group())
    return "" if code in _NO_LANGUAGE or _PRIVATE.fullmatch(code) else code
