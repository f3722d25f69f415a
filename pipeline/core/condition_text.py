"""The words in which a condition is written, read into a tree; docs/routing.md is its grammar for people.

Only the form is judged here: whether there is such a field, and whether a value suits it, is for
:mod:`pipeline.core.conditions`.
"""

from __future__ import annotations

import re
from typing import NoReturn

from msgspec import Struct

from pipeline.core.errors import ConfigError

Value = str | int | float | bool

MAX_DEPTH = 40
"""Parentheses within parentheses beyond this are no condition that a person wrote."""

_GAP = re.compile(r"(?:\s|#[^\n]*)*")
_TOKEN = re.compile(
    r"""(?P<text>'[^']*'|"[^"]*")|(?P<number>-?\d+(?:\.\d+)?)(?![\w.])"""
    r"""|(?P<word>[A-Za-z_][\w-]*(?:\.[\w-]+)*)|(?P<sign>==|!=|<=|>=|[=<>()\[\],])"""
)
_COMPARISONS = ("=", "==", "!=", "<", "<=", ">", ">=")
KEYWORDS = frozenset(
    [
        "and",
        "or",
        "not",
        "in",
        "any",
        "all",
        "of",
        "contains",
        "matches",
        "exists",
        "missing",
        "is",
        "within",
        "posted",
        "true",
        "false",
    ]
)


class Test(Struct, frozen=True):
    """One look at one field. ``source`` is as the person wrote it, ``at`` where, in characters from 0.

    ``operator`` is one of ``= < <= > >=``, ``any of``, ``all of``, ``contains any of``, ``contains all
    of``, ``matches``, ``exists``, ``yes`` and, for ``posted``, ``within``.
    """

    field: str
    operator: str
    values: tuple[Value, ...]
    source: str
    at: int


class Every(Struct, frozen=True):
    """All of the parts hold."""

    parts: tuple[Node, ...]


class Either(Struct, frozen=True):
    """At least one of the parts holds."""

    parts: tuple[Node, ...]


class Not(Struct, frozen=True):
    """The part does not hold."""

    part: Node


class Element(Struct, frozen=True):
    """Some element of a list of tables for which the part holds, whose fields are the element's own."""

    field: str
    part: Node
    source: str
    at: int


class Named(Struct, frozen=True):
    """A condition by its name, or a field that is a yes or no by itself."""

    name: str
    at: int


Node = Test | Every | Either | Not | Element | Named


class _Token(Struct, frozen=True):
    kind: str
    text: str
    at: int
    end: int


def parse_condition(text: str) -> Node:
    """The tree of a condition. Raises ConfigError with line, column and what was expected there."""
    parser = _Parser(text)
    node = parser.either(0)
    parser.expect_end()
    return node


def place(text: str, at: int) -> str:
    """Where character ``at`` is, as people count: "line 2, column 5", or only the column of a single line."""
    line, column = text.count("\n", 0, at) + 1, at - (text.rfind("\n", 0, at) + 1) + 1
    return f"line {line}, column {column}" if "\n" in text.strip() else f"column {column}"


class _Parser:
    """Recursive descent over the tokens of one condition."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._cut()
        self._next = 0

    def _cut(self) -> list[_Token]:
        tokens, at = [], 0
        while (at := _GAP.match(self._text, at).end()) < len(self._text):  # type: ignore[union-attr]
            found = _TOKEN.match(self._text, at)
            if not found:
                self._refuse(at, _unreadable(self._text[at]))
            kind = found.lastgroup or ""
            tokens.append(_Token(kind, found.group(), at, found.end()))
            at = found.end()
        return [*tokens, _Token("end", "", len(self._text.rstrip()), len(self._text))]

    def _refuse(self, at: int, message: str) -> NoReturn:
        raise ConfigError(f"{place(self._text, at)}: {message}")

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next]

    def _expected(self, what: str) -> NoReturn:
        token = self._token
        got = f"`{token.text}`" if token.text else "nothing more"
        self._refuse(token.at, f"expected {what}, got {got}")

    def _take(self, *words: str) -> bool:
        """Passes over these words or signs, if they come next."""
        ahead = self._tokens[self._next : self._next + len(words)]
        if [token.text.lower() for token in ahead if token.kind != "text"] != list(words):
            return False
        self._next += len(words)
        return True

    def expect_end(self) -> None:
        if self._token.kind != "end":
            self._expected("`and`, `or` or the end")

    def either(self, depth: int) -> Node:
        if depth > MAX_DEPTH:
            self._refuse(self._token.at, f"more than {MAX_DEPTH} parentheses within each other")
        parts = [self._every(depth)]
        while self._take("or"):
            parts.append(self._every(depth))
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def _every(self, depth: int) -> Node:
        parts = [self._one(depth)]
        while self._take("and"):
            parts.append(self._one(depth))
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def _one(self, depth: int) -> Node:
        denied = False
        while self._take("not"):
            denied = not denied
        node = self._plain(depth)
        return Not(node) if denied else node

    def _plain(self, depth: int) -> Node:
        if self._take("("):
            node = self.either(depth + 1)
            self._close()
            return node
        start = self._token
        if self._take("any"):
            field = self._word("the name of a list, such as `entities`")
            if not self._take("("):
                self._expected(f"`(` and a condition on one of `{field.text}`")
            part = self.either(depth + 1)
            self._close()
            return Element(field.text, part, self._since(start), field.at)
        if self._take("posted"):
            if not self._take("within"):
                self._expected("`within` and a time of week")
            return Test("posted", "within", (self._string(),), self._since(start), start.at)
        return self._test(self._word("a field, such as `complaint.category`"))

    def _test(self, field: _Token) -> Node:
        def test(operator: str, *values: Value) -> Test:
            return Test(field.text, operator, values, self._since(field), field.at)

        sign = self._token
        if sign.kind == "sign" and sign.text in _COMPARISONS:
            self._next += 1
            operator = {"==": "=", "!=": "="}.get(sign.text, sign.text)
            node = test(operator, self._value())
            return Not(node) if sign.text == "!=" else node
        for words, operator, wants, denied in _OPERATORS:
            if self._take(*words):
                values = self._list() if wants == "list" else [self._string()] if wants == "text" else []
                node = test(operator, *values)
                return Not(node) if denied else node
        return Named(field.text, field.at)

    def _word(self, what: str) -> _Token:
        token = self._token
        if token.kind != "word" or token.text.lower() in KEYWORDS:
            self._expected(what)
        self._next += 1
        return token

    def _close(self) -> None:
        if not self._take(")"):
            self._expected("`and`, `or` or `)`")

    def _string(self) -> str:
        if self._token.kind != "text":
            self._expected("a text in quotes")
        return str(self._value())

    def _value(self) -> Value:
        token = self._token
        self._next += 1
        if token.kind == "text":
            return token.text[1:-1]
        if token.kind == "number":
            return float(token.text) if "." in token.text else int(token.text)
        if token.text.lower() in ("true", "false"):
            return token.text.lower() == "true"
        self._next -= 1
        if token.kind == "word":
            self._refuse(token.at, f'a text stands in quotes: write "{token.text}"')
        return self._expected('a value: a text in quotes such as "outage", a number, true or false')

    def _list(self) -> list[Value]:
        opened = self._token.text
        if not (self._take("(") or self._take("[")):
            self._expected('a list in parentheses, such as ("a", "b")')
        closing = ")" if opened == "(" else "]"
        values = [self._value()]
        while self._take(","):
            if self._token.text == closing:
                break
            values.append(self._value())
        if not self._take(closing):
            self._expected(f"`,` or `{closing}`")
        return values

    def _since(self, start: _Token) -> str:
        """What the person wrote from a token up to here, on one line."""
        return " ".join(self._text[start.at : self._tokens[self._next - 1].end].split())


_OPERATORS: tuple[tuple[tuple[str, ...], str, str, bool], ...] = (
    (("in",), "any of", "list", False),
    (("not", "in"), "any of", "list", True),
    (("any", "of"), "any of", "list", False),
    (("all", "of"), "all of", "list", False),
    (("contains", "any", "of"), "contains any of", "list", False),
    (("contains", "all", "of"), "contains all of", "list", False),
    (("contains",), "contains any of", "text", False),
    (("matches",), "matches", "text", False),
    (("exists",), "exists", "", False),
    (("is", "missing"), "exists", "", True),
    (("missing",), "exists", "", True),
)
"""The words of each operator, its name in the tree, what must follow, and whether it denies."""


def _unreadable(sign: str) -> str:
    if sign in "'\"":
        return f"the quote {sign} is not closed"
    if sign in "“”„«»‘’":
        return f"`{sign}` is no quote here: use \" or '"
    if sign.isdigit() or sign == "-":
        return "a number ends in letters: put it in quotes if it is a text"
    return f"`{sign}` means nothing here"
