"""The text as its author would have typed it on a plain keyboard, so that a lexicon finds its words.

Phones, platforms and word processors put other characters in the place of the typed ones. A scorer
that looks words up in a list of plain spellings then misses the word, or worse, its "not". What is
mended here is the spelling only: no word is added, left out, moved or judged.

==================================  =============================  ==========================
what comes                          what VADER makes of it         what it becomes
==================================  =============================  ==========================
don’t, don´t, don`t                 no negation: the sign flips    don't
“great”, great…, great—thanks       unknown word, scores 0         "great", great..., great - thanks
&lt;3, don&#39;t                    unknown word, no negation      <3, don't
@united, @love                      the words united and love      someone
https://…?a, https://…?b            question marks, emphasis       link
good + zero-width, control mark     unknown word                   good
𝗴𝗼𝗼𝗱, ｇｏｏｄ (NFKC)               unknown word                   good
😂lol                               "joylol", an unknown word      face with tears of joy lol
❤ + U+FE0F, 👋 + skin tone          words stuck to what follows    red heart, waving hand
❤ + ZWJ + 🔥, 🤷 + ZWJ + ♀          "red heart" and "fire"         its own words, or its first part's
==================================  =============================  ==========================

An unknown word also takes one of the three places before the next word in which a negation counts.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping

from enrichers._markup import ENTITY, LINK, unescaped

# They keep the place, and so the distances, of what is a name and no word of the author. A lone "@" would
# not do: "@:" is an emoticon of the lexicon.
_SOMEONE = "someone"
_SOMEWHERE = "link"
_CONTROL = "\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f"  # those that str.split does not take for a space
_MENTION = re.compile(r"@\w+")
_GRAVE = re.compile(r"(?<=\w)`(?=\w)")
_CONTROLS = re.compile(f"[{_CONTROL}]")

_TYPED = {
    **dict.fromkeys("’‘ʼ‛´ʹ′＇՚", "'"),
    **dict.fromkeys("“”„‟«»″〝〞〟＂", '"'),
    "—": " - ",
    "―": " - ",
    "–": "-",
    "‐": "-",
    "‑": "-",
    # Emoji to the lexicon, but they mean the emphasis that the typed signs have.
    "‼": "!!",
    "⁉": "!?",
}
# Invisible, and never a part of an English word: soft hyphen, zero-width marks, direction marks,
# selectors of a glyph, tags. The zero-width joiner here is one outside a sequence of emoji.
_INVISIBLE = (
    "\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f"
    "\ufe00-\ufe0f\ufeff\U000e0001-\U000e007f"
)
_SKIN = re.compile("[\U0001f3fb-\U0001f3ff\ufe0e\ufe0f]")
_EMOJI = "[\xa9\xae\u203c-\u2bff\u3030-\u3299\U0001f000-\U0001faff]"  # and some characters that are none
_JOINED = f"{_EMOJI}\ufe0f?[\U0001f3fb-\U0001f3ff]?"
_SPECIAL = re.compile(
    f"(?P<emoji>{_JOINED}(?:\u200d{_JOINED})*)"
    f"|(?P<invisible>[{_INVISIBLE}])|[{_CONTROL}{re.escape(''.join(_TYPED))}]"
)


class Typist:
    """Rewrites texts; immutable. ``emojis`` gives the words of each emoji and sequence of emoji."""

    def __init__(self, emojis: Mapping[str, str]) -> None:
        self._words: dict[str, str] = {}
        for emoji in sorted(emojis, key=len):  # the plain form before those with skin tones
            self._words.setdefault(_SKIN.sub("", emoji), emojis[emoji])
        self._replace: Callable[[re.Match[str]], str] = self._replacement

    def typed(self, text: str) -> str:
        """The text in typed characters, in time linear in its length; see the table above."""
        if "&" in text:
            text = ENTITY.sub(unescaped, text)
        if "@" in text:
            text = _MENTION.sub(_SOMEONE, text)
        if "://" in text:
            text = LINK.sub(_SOMEWHERE, text)
        if "`" in text:
            text = _GRAVE.sub("'", text)
        if text.isascii():
            return text if text.isprintable() else _CONTROLS.sub(" ", text)
        return unicodedata.normalize("NFKC", _SPECIAL.sub(self._replace, text))

    def _replacement(self, match: re.Match[str]) -> str:
        if match["invisible"]:
            return ""
        if not match["emoji"]:
            return _TYPED.get(match.group(), " ")
        if match.group() in _TYPED:
            return _TYPED[match.group()]
        return self._spoken(_SKIN.sub("", match.group()))

    def _spoken(self, sequence: str) -> str:
        """The words of one emoji or sequence; of its first part where the whole has none."""
        if not sequence:
            return ""
        words = self._words.get(sequence) or self._words.get(sequence.partition("\u200d")[0])
        return sequence if words is None else f" {words} "
