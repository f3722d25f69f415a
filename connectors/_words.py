"""The words and phrases that a source is narrowed by. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipeline.core.errors import ConfigError
from pipeline.core.wording import Phrase, phrase_of, wording_of


def phrases_of(words: Iterable[str]) -> list[Phrase]:
    """What is looked for; ValueError where one holds no letter and no digit."""
    try:
        return [phrase_of(one) for one in words]
    except ConfigError as error:
        raise ValueError(str(error)) from None


def says_any(phrases: Sequence[Phrase], *texts: str) -> bool:
    """Whether one of the phrases stands in one of the texts; where there are none, always."""
    if not phrases:
        return True
    wordings = [wording_of(text) for text in texts]
    return any(phrase.is_in(wording) for wording in wordings for phrase in phrases)
