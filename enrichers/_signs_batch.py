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
        self._codes = {NO_SIGNS: 0, _START: 1, _UNREAD: 2}

    def judged(self, tokens: list[str]) -> list[int]:
        """Tokens with the same signs have the same code."""
        codes = self._codes
        return [codes.setdefault(signs, len(codes)) for signs in self._watch.of_tokens(tokens)]

    def all_of(self, reading: Reading) -> list[Signs | None]:
        """The signs of each text of the reading; None for a text with a token too long to remember."""
        found: list[Signs | None] = []
        codes = self.codes(reading)
        told = [*self._codes]
        for signs in map(told.__getitem__, codes[codes != 0].tolist()):
            if signs is _START:
                found.append(NO_SIGNS)
            elif signs is _UNREAD:
                found[-1] = None
            elif (before := found[-1]) is not None:
                found[-1] = before | signs if before else signs
        del found[-1]
        return found
