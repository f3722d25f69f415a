"""Texts that are English beyond doubt, told by their function words: most posts, and CLD2 need not be asked.

What a token says hangs on the token alone, so each is judged once, and remembered by how many bytes of
letters CLD2 counts in it and by what they tell. Those of all texts of a batch are added up at once.
"""

from __future__ import annotations

import re

import numpy as np

from enrichers._codes import Coded, starts_of
from enrichers._markup import LINK
from pipeline.core.event import Language
from pipeline.core.reading import Reading
from pipeline.core.stop_words import ENGLISH_STOP_WORDS, OTHER_STOP_WORDS

# More function words of English, and such as are frequent in posts.
_ENGLISH = """
again always another anything aren't being can't couldn't didn't doesn't don't even ever every everyone
everything getting hasn't haven't having he's here's how's i'd i'll i'm i've isn't it'll it's let let's
made make makes many might must myself never nobody nothing off please really she's shouldn't since
someone something still such thank thanks that's there's they'll they're they've things think those
through tried try trying until wasn't we'd we'll we're we've weren't what's while who's whose without
won't wouldn't yet you'd you'll you're you've yours yourself"""
_BEYOND_ENGLISH = {"a", "all", "go", "good", "he", "like", "new", "one", "time"}
"""Stop words of English that are found in texts of other languages, too."""

# Of Danish, Norwegian and Swedish; Polish and Czech; Turkish; Indonesian and Malay; Tagalog; and more of
# Spanish and Portuguese.
_OTHERS = """
af att av bara blev blir blive det deg dere detta efter eller etter fra hade hvad hvor ikke inte jag jeg
kunne mycket noe och og sig skal som takk tack til var vara ved vil
albo ale bardzo czy dla dzie jak jako jen jest jsem jsme kdy mnie nebo nie niego przez tego tylko
ama ben benim bir bu daha gibi icin kadar neden olarak sen yok
ada aja aku anda apa banyak belum bisa buat dalam dan dari dengan di dong gak gue ini itu jangan juga kak
kalau kalo kamu karena kita lagi lah mau nak nggak nih oleh orang pada saja sama sampai saya sih sudah
tak tapi tidak udah untuk yang
akin ako ang hindi ikaw kasi kayo lang mga naman ngayon nila niya nung pag siya yung
agora ainda algo ahora bem bien boa bom buen buenas bueno buenos estoy gracias hace hasta hola hoy gente
jaja kkk meu mucho muchas mucha muy nada noche noches nossa nunca obrigado obrigada povo puede puedo
quiero siempre tengo tudo vai vou"""
_IN_ENGLISH = {"door", "hat", "im", "man", "men", "met", "non", "plus", "sea", "son", "u", "war", "y"}
"""Stop words of others that are found in English, too."""

# The codes of tokens: the letters, and one more for what parts words; with them, that these are of a word of
# English, or that there is a reason to ask CLD2.
_TELLING, _ASK, _BEGINS = 1 << 8, 1 << 9, 1 << 10
_LETTERS = _TELLING - 1
_TOLD_BY = {
    **{
        word.replace("'", " "): _TELLING + len(word) + 1
        for word in (ENGLISH_STOP_WORDS - OTHER_STOP_WORDS - _BEYOND_ENGLISH).union(_ENGLISH.split())
    },
    **dict.fromkeys((OTHER_STOP_WORDS - ENGLISH_STOP_WORDS - _IN_ENGLISH).union(_OTHERS.split()), _ASK),
}

_TAG = re.compile(rb"[@#]\w+")
_ENTITIES = (b"&amp;", b"&lt;", b"&gt;")
# What CLD2 may read otherwise than as letters of ASCII: mark-up, and other letters. Pictures are taken out.
_OTHERWISE = re.compile(
    "<|&(?!(?:amp|lt|gt);)|[^\x00-\x7f\u2019…“”‘–—•£\u200d\ufe0f\u2190-\u2bff\U0001f000-\U0001faff]"
)
# Letters of ASCII become small, all else but the ends of lines a space.
_SMALL = bytes(
    ord(chr(i).lower()) if i < 128 and chr(i).isalpha() else i if chr(i) == "\n" else 32 for i in range(256)
)

_ENOUGH = 30
"""Letters. Of shorter texts CLD2, too, is often unsure."""
_TOLD, _SHARE = 8, 8
"""So many letters, and one in so many, must be those of telling words."""
_MANY = 100
_BY_LETTERS = [Language("en", 100 * letters // (letters + 1) / 100) for letters in range(_MANY)]
"""The share that CLD2 tells of a text of one language: it counts one byte more than there are letters."""


class English(Coded):
    """Judges texts."""

    MARKS = (0, _BEGINS, _ASK)

    def judged(self, tokens: list[str]) -> list[int]:
        """Counts letters: those of all tokens in one text, a line each."""
        text = LINK.sub(" ", "\n".join(tokens)).replace("’", "'").encode("utf-8", "surrogatepass")
        for entity in _ENTITIES:
            text = text.replace(entity, b" ")
        lines = _TAG.sub(b" ", text).translate(_SMALL).decode().split("\n")
        signs = []
        for token, line in zip(tokens, lines):  # noqa: B905 - of no token is one line, too
            word = line.strip()
            if ("<" in token or "&" in token or not token.isascii()) and _OTHERWISE.search(token):
                signs.append(_ASK)
                continue
            if "  " in word:
                word = " ".join(word.split())
            signs.append(_TOLD_BY.get(word) or (len(word) + 1 if word else 0))
        return signs

    def languages(self, reading: Reading) -> list[Language | None]:
        """English, with CLD2's own confidence, for each text that is so beyond doubt; None for others."""
        codes = self.codes(reading)
        starts = starts_of(codes, _BEGINS)
        if len(starts) < 2:
            return []
        counted = codes & _LETTERS
        letters, told, reasons = (
            np.add.reduceat(some, starts[:-1], dtype=np.intp)
            for some in (counted, counted * (codes >= _TELLING), codes & _ASK)
        )
        sure = (letters >= _ENOUGH) & (reasons == 0) & (told >= _TOLD) & (told * _SHARE >= letters)
        shares = np.minimum(letters, _MANY - 1)
        return [_BY_LETTERS[n] if n else None for n in (shares * sure).tolist()]
