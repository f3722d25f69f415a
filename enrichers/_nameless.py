"""The letters of texts: what is left without links, mentions, tags, pictures, and what pycld2 refuses.

Names, links and tags are taken out of what is read for its language: they are spelt alike in all of them.
"""

from __future__ import annotations

import re

from enrichers._markup import LINK

_TAG = re.compile(r"[@#＠＃]\w+")
# The characters for which pycld2 raises "input contains invalid UTF-8": controls, noncharacters, lone
# surrogates; and pictures, which are the same in all languages.
_CONTROL = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]")
_NO_LETTER = re.compile(
    "[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\u200d\u2190-\u2bff\ud800-\udfff\ufdd0-\ufdef\ufe0f\ufffe\uffff\U0001f000-\U0001faff"
    + "".join(chr(plane << 16 | last) for plane in range(1, 17) for last in (0xFFFE, 0xFFFF))
    + "]+"
)


def without_names(text: str) -> str:
    """The text without links, mentions, tags, pictures and what pycld2 refuses."""
    # Each pattern starts with a fixed character, which `re` finds far faster than any of several.
    if "://" in text:
        text = LINK.sub(" ", text)
    if not text.isascii():
        return _TAG.sub(" ", _NO_LETTER.sub(" ", text))
    if "@" in text or "#" in text:
        text = _TAG.sub(" ", text)
    return _without_controls(text)


def _without_controls(text: str) -> str:
    return text if text.isprintable() else _CONTROL.sub(" ", text)
