"""Telephone numbers: one in E.164, and those that a text shows.

A number is taken when it is possible, not only when it is given out: ranges change faster than tables,
and the numbers of fiction (555-01xx) are what people test with. Knows nothing of customers.
"""

from __future__ import annotations

import re
from functools import cache

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat, ValidationResult

MOST = 20
"""Numbers of one text that are given; whoever lists more lists other people's."""

MAX_WRITTEN = 60
"""Characters of one number as people write it."""

_TRIED = 100
"""Rows of digits of one text that are looked at closely."""

_STRAY = 4
"""Digits beside a number that are no part of it, at most."""

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_NATIONAL_OF_NANP = re.compile(r"(?:\+?1[ .-]?)?(?:\([0-9]{3}\) ?|[0-9]{3}[ .-]?)[0-9]{3}[ .-]?[0-9]{4}")
_MARKS = " .()/\u00a0\u2009\u202f\u2010-\u2014-"
# A whole row of digits with what people put between them: searched once, never from its middle again.
_ROW = re.compile(rf"(?:\+[(]?|[(])?[0-9](?:[{_MARKS}]{{0,3}}[0-9])*")
_LONG_ENOUGH = re.compile(rf"[0-9](?:[{_MARKS}]{{0,3}}[0-9]){{6}}")
_DATE = re.compile(
    r"(?:(?:19|20)[0-9]{2}([-./ ])[01]?[0-9]\1[0-3]?[0-9]|[0-3]?[0-9]([-./ ])[0-3]?[0-9]\2(?:19|20)[0-9]{2})"
    r"(?:[ -][0-9]{1,2})?"
)
_YEARS = re.compile(rf"(?:(?:19|20)[0-9]{{2}}[{_MARKS}]{{1,3}})*(?:19|20)[0-9]{{2}}")
_EXTENSION = re.compile(r"(?:x|ext\.?) ?[0-9]", re.I)
_IP = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")
_CURRENCIES = ("$", "€", "£", "¥", "₹")
_MONEY = re.compile(
    r"\s?(?:[€$£¥%°]|(?:usd|eur|gbp|dollars?|euros?|pounds?|bucks|miles|points|km|kg)\b)", re.I
)
_NAMED_OTHERWISE = re.compile(
    r"(?:order|bestellung|ref(?:erence)?|booking|buchung|ticket|confirmation|case|account|konto|invoice|rechnung"
    r"|tracking|shipment|parcel|reservation|flight|flug|pnr|record|claim|serial|imei|iban|id|isbn|card)"
    r"\b[^0-9\n]{0,12}$",
    re.I,
)
_NAMED = re.compile(
    r"\b(?:call|calls|called|phone|phoned|telephone|tel|mobile|mob|cell|text|whats?app|sms|ring|reach|dial|fax"
    r"|hotline|telefon|telefonnummer|handy|handynummer|mobil|rufnummer|anruf|tel[eé]fono|m[oó]vil|llama\w*"
    r"|t[eé]l[eé]phone|portable|appele\w*|cellulare|celular)\b|[☎☏✆📞📱📲]",
    re.I,
)


def e164(written: str, region: str) -> str:
    """A number in E.164, `+12025550104`; empty when it is no possible one.

    ``region`` is that of numbers without a country's code, in two letters (`US`); empty: there are none.
    """
    text = written.strip()
    if len(text) > MAX_WRITTEN:
        return ""
    if _E164.fullmatch(text):
        if text.startswith("+1"):
            return text if len(text) == 12 else ""
        if "0" not in text[1:5]:  # else the 0 of a national number may have stayed behind the country's code
            return text
    elif _trunk(region) == "1" and _NATIONAL_OF_NANP.fullmatch(text):
        return f"+1{_digits(text)[-10:]}"
    return _parsed(text, region)


def _parsed(text: str, region: str) -> str:
    try:
        number = phonenumbers.parse(text, region or None)
    except NumberParseException:
        return ""
    if phonenumbers.is_possible_number_with_reason(number) != ValidationResult.IS_POSSIBLE:
        return ""
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def _digits(text: str) -> str:
    return "".join(filter(str.isdigit, text))


def is_region(region: str) -> bool:
    """Whether telephone numbers of that region are known."""
    return region in phonenumbers.SUPPORTED_REGIONS


def find_phones(text: str, region: str) -> list[str]:
    """The telephone numbers of a text in E.164, each once, at most ``MOST``; time linear in its length.

    Without a region only those with a country's code count. What looks like a date, a price, a card or
    the number of an order is left out: a row of bare digits counts only beside a word such as "call".
    """
    if not _LONG_ENOUGH.search(text):
        return []
    found: dict[str, None] = {}
    tried = 0
    for row in _ROW.finditer(text):
        if row.end() - row.start() < 7:
            continue
        tried += 1
        if tried > _TRIED or len(found) >= MOST:
            break
        for number in _read(text, row.start(), row.end(), region):
            found[number] = None
    return list(found)[:MOST]


def _read(text: str, start: int, end: int, region: str) -> list[str]:
    """The numbers of a row of digits: one, or two that only a space or stroke divides, or one with a
    stray figure beside it, such as a time of day."""
    if end - start > 2 * MAX_WRITTEN or text[start - 1 : start] in _CURRENCIES or _MONEY.match(text, end):
        return []
    if number := _number(text, start, end, region):
        return [number]
    alone: list[str] = []
    for cut in (i for i in range(start + 1, end) if text[i] in " /"):
        left, right = _number(text, start, cut, region), _number(text, cut + 1, end, region)
        if left and right:
            return [left, right]
        if (left and len(_digits(text[cut:end])) <= _STRAY) or (
            right and len(_digits(text[start:cut])) <= _STRAY
        ):
            alone.append(left or right)
    return alone[:1]


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether what stands beside a row of digits lets it be a telephone number."""
    before, after = text[max(0, start - 40) : start], text[end : end + 12]
    if before:
        last, further = before[-1], before[-2:-1]
        if last.isalnum() or last in "_@#$€£¥=&?%\\":
            return False
        if last in ".,:/-" and (further.isdigit() or (last in "/-" and not further.isspace())):
            return False
    if after:
        nearest, further = after[0], after[1:2]
        if nearest.isalpha() and not _EXTENSION.match(after):
            return False
        if nearest in "_@=" or (nearest in ".,:/-" and further.isdigit()) or _MONEY.match(after):
            return False
    return text[start] == "+" or not _NAMED_OTHERWISE.search(before)


def _number(text: str, start: int, end: int, region: str) -> str:
    written = text[start:end].strip()
    digits = _digits(written)
    if not 7 <= len(digits) <= 17 or not (region or written.startswith("+")):
        return ""
    if not _stands_alone(text, start, end):
        return ""
    if not written.startswith(("+", "(+")):
        if _DATE.fullmatch(written) or _YEARS.fullmatch(written) or _IP.fullmatch(written) or _card(digits):
            return ""
        if not _national(written, digits, region, text[max(0, start - 40) : start], text[end : end + 20]):
            return ""
    return e164(written, region)


def _national(written: str, digits: str, region: str, before: str, after: str) -> bool:
    """Whether digits without a country's code are likely meant as a telephone number of the region."""
    trunk = _trunk(region)
    bare = written == digits
    if trunk == "1" and not digits.startswith("011"):
        if len(digits) != 10 and not (len(digits) == 11 and digits[0] == "1"):
            return False
    elif trunk == "0":
        return digits.startswith("0") and len(digits) >= 9
    return not bare or bool(_NAMED.search(before) or _NAMED.search(after))


@cache
def _trunk(region: str) -> str:
    """What national numbers of a region begin with, within it: `0`, `1`, or nothing."""
    return (phonenumbers.ndd_prefix_for_region(region, True) or "") if region else ""


def _card(digits: str) -> bool:
    """Whether it is the number of a payment card: 13 to 19 digits and the sum of Luhn."""
    if not 13 <= len(digits) <= 19:
        return False
    doubled = [sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2]]
    return (sum(doubled) + sum(map(int, digits[::-2]))) % 10 == 0
