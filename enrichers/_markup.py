"""What the web puts among an author's words: links, and characters written as HTML entities."""

from __future__ import annotations

import html
import re
from html.entities import html5

LINK = re.compile(r"https?://\S+")
ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z]{2,31}\d{0,2});")


def unescaped(entity: re.Match[str]) -> str:
    """What a match of ``ENTITY`` stands for; itself where nobody knows it."""
    text = entity.group()
    if text[1] == "#":
        return html.unescape(text)
    # Not by html.unescape: of an unknown "&notable;" it would make "¬able;".
    return html5.get(text[1:], text)
