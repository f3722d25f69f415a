"""The values of single cells in their normal form, or the reason why there is none.

A value that may mean two things is refused: `1.056` is a thousand in one country and one in another.
"""

from __future__ import annotations

import math
import re
import unicodedata
from datetime import date

from pipeline.core.linking import normal_email

MOST_BYTES_OF_ID = 512
"""The index takes no longer ids."""

_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[T ]\d{2}:\d{2}.*)?", re.ASCII | re.DOTALL)
_CURRENCY = re.compile(r"^[A-Z]{3}\s*(?=[-+.,\d])|(?<=[\d.,])\s*[A-Z]{3}$")
_USUAL = re.compile(r"[0-9]+(?:\.[0-9]{1,2})?")
_PLAIN = re.compile(r"[-+]?[0-9]+")
_DECIMAL = re.compile(r"([-+]?)([0-9]*)[.,]([0-9]+)")
_GROUPED = re.compile(r"([-+]?[0-9]{1,3}(?:([.,'’ ])[0-9]{3})(?:\2[0-9]{3})*)(?:([.,])([0-9]+))?")
_SPACES = re.compile(r"\s")
_YES = frozenset(("yes", "true", "1", "y", "t"))
_NO = frozenset(("no", "false", "0", "n", "f"))


class Unreadable(Exception):
    """The cell's value is none; the message says why, after the value."""


def id_of(written: object) -> str:
    """A customer's id: text of 1 to 200 characters, none of them a control character."""
    found = text_of(written)
    if not found:
        raise Unreadable("the row has no customer id")
    if len(found) > 200 or len(found.encode()) > MOST_BYTES_OF_ID:
        raise Unreadable(f"an id has at most 200 characters and {MOST_BYTES_OF_ID} bytes")
    if not found.isprintable():
        raise Unreadable("an id has no control characters")
    return found


def text_of(written: object) -> str:
    """Text without the blanks around it; numbers as they are counted, so that 7 and 7.0 are `7`."""
    if isinstance(written, str):
        return written.strip()
    if isinstance(written, bool) or not isinstance(written, int | float):
        raise Unreadable("is no text")
    return str(int(written)) if isinstance(written, int) or written.is_integer() else str(written)


def email_of(written: str) -> str:
    """An address in its normal form."""
    found = normal_email(written.strip().removeprefix("mailto:"))
    if not found:
        raise Unreadable("is no e-mail address")
    return found


def value_of(written: object) -> float:
    """A number as either half of the world writes it, with or without a currency."""
    if isinstance(written, int | float) and not isinstance(written, bool):
        return _finite(float(written))
    if isinstance(written, str) and _USUAL.fullmatch(written):
        return _finite(float(written))
    text = "".join(" " if _SPACES.match(sign) else sign for sign in text_of(written))
    text = text.replace("−", "-")
    text = "".join(sign for sign in text if unicodedata.category(sign) != "Sc").strip()
    text = _CURRENCY.sub("", text).strip()
    if _PLAIN.fullmatch(text):
        return _finite(float(text))
    if decimal := _DECIMAL.fullmatch(text):
        sign, whole, part = decimal.groups()
        if len(part) == 3 and 1 <= len(whole) <= 3 and whole[0] != "0":
            raise Unreadable(
                f"may mean {sign}{whole}{part} or {sign}{whole}.{part}: write {sign}{whole}{part}.00"
            )
        return _finite(float(f"{sign}{whole}.{part}"))
    grouped = _GROUPED.fullmatch(text)
    if grouped is None or grouped[2] == grouped[3]:
        raise Unreadable("is no number")
    return _finite(float(f"{re.sub('[^0-9+-]', '', grouped[1])}.{grouped[4] or 0}"))


def _finite(number: float) -> float:
    if not math.isfinite(number) or abs(number) >= 1e15:
        raise Unreadable("is no amount")
    return number


def since_of(written: object) -> date:
    """A day; of a time, its day as written."""
    found = _DATE.fullmatch(text_of(written))
    try:
        if found:
            return date.fromisoformat(found[1])
    except ValueError:
        pass
    raise Unreadable("is no date: write 2021-03-15")


def yes_or_no(written: object) -> bool | None:
    """None where nothing is said."""
    if isinstance(written, bool):
        return written
    found = text_of(written).lower()
    if found in _YES:
        return True
    if found in _NO:
        return False
    if found:
        raise Unreadable("is neither yes nor no")
    return None
