"""The signs of the texts of a whole batch, told by those of their tokens; see `pipeline.core.signs`."""

from __future__ import annotations

from enrichers._codes import Coded
from pipeline.core.reading import START, UNREAD, Reading
from pipeline.core.signs import NO_SIGNS, Signs, SignWatch

_START, _UNREAD = Signs((START,)), Signs((UNREAD,))


class TextSigns(Coded):
    """Reads texts for one watch."""

    def __init__(self, watch: SignWatch) -> None:
        super().__init__()
        self._watch = watch

    def forget(self) -> None:
        """Drops all judgements."""
        super().forget()
        self._told = [NO_SIGNS, _START, _UNREAD]
        self._codes = {signs: code for code, signs in enumerate(self._told)}

    def judged(self, tokens: list[str]) -> list[int]:
        """Tokens with the same signs have the same code."""
        found = self._watch.of_tokens(tokens)
        fresh = [signs for signs in dict.fromkeys(filter(None, found)) if signs not in self._codes]
        self._codes |= {signs: code for code, signs in enumerate(fresh, len(self._told))}
        self._told += fresh
        return [self._codes[signs] if signs else 0 for signs in found]

    def all_of(self, reading: Reading) -> list[Signs | None]:
        """The signs of each text of the reading; None for a text with a token too long to remember."""
        found: list[Signs | None] = []
        codes = self.codes(reading)
        for signs in map(self._told.__getitem__, codes[codes != 0].tolist()):
            if signs is _START:
                found.append(NO_SIGNS)
            elif signs is _UNREAD:
                found[-1] = None
            elif (before := found[-1]) is not None:
                found[-1] = before | signs if before else signs
        del found[-1]
        return found
