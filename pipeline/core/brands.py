"""The brands file: who and what posts are searched for, by which names, and which accounts are our own.

Owns the form of the file and its strict reading: every problem at once, with its path, and never a name
that would match at random. It does not search; :mod:`enrichers.entities` does. docs/brands.md is the page
for those who write the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from pipeline.core.conversion import Reading
from pipeline.core.errors import raise_problems
from pipeline.core.folding import fold, same_words
from pipeline.core.post import Author
from pipeline.core.schema import suggestion
from pipeline.core.settings import form
from pipeline.core.stop_words import STOP_WORDS
from pipeline.core.toml_text import read_toml

Kind = Literal[
    "brand", "competitor", "product", "person", "place", "organisation", "event", "topic", "account"
]

_WORD = r"(?s)^\s*\S.{0,199}\Z"
_WORD_SHAPE = "of 1 to 200 characters"
Words = Annotated[str, form("", _WORD, _WORD_SHAPE)]
Handle = Annotated[
    str, form("", r"^@?[^\s@/]{1,100}(?:@[^\s@/]{1,100})?\Z", "that is a handle, without spaces")
]
Tag = Annotated[str, form("", r"^[#＃]?\w{1,100}\Z", "that is a hashtag: letters, digits and `_`")]
Id = Annotated[
    str,
    form(
        "",
        r"^[a-z0-9][a-z0-9._-]*(?::[a-z0-9._-]+)*\Z",
        "of lower-case letters, digits, `.`, `_`, `-` and `:`, such as brand:acme",
    ),
]
Window = Annotated[int, Meta(ge=1, le=100)]


class Guarded(Struct, frozen=True, kw_only=True):
    """Names that count only in the right company: see the fields of the same names in BrandEntity."""

    aliases: Annotated[tuple[Words, ...], Meta(min_length=1)]
    near: tuple[Words, ...] = ()
    not_near: tuple[Words, ...] = ()
    window: Window = 8
    exact: bool = False


class BrandEntity(Struct, frozen=True, kw_only=True):
    """One brand, product, person and so on.

    ``parent`` is the id of what it belongs to. ``handles`` and ``hashtags`` stand without their signs.
    The aliases count where one of ``near`` and none of ``not_near`` stands within ``window`` words before
    or behind, and with ``exact`` only in the very letters; ``guarded`` are further aliases with their own
    such rules. A word of ``near`` and ``not_near`` may end with `*` for any ending.
    """

    id: Id
    name: Words
    kind: Kind
    parent: str = ""
    aliases: tuple[Words, ...] = ()
    handles: tuple[Handle, ...] = ()
    hashtags: tuple[Tag, ...] = ()
    near: tuple[Words, ...] = ()
    not_near: tuple[Words, ...] = ()
    window: Window = 8
    exact: bool = False
    guarded: tuple[Guarded, ...] = ()

    def groups(self) -> Iterator[tuple[str, Guarded]]:
        """All aliases with the rules that hold for them, and where in the entity they stand."""
        if self.aliases:
            rules = {"near": self.near, "not_near": self.not_near}
            yield (
                "aliases",
                Guarded(aliases=self.aliases, window=self.window, exact=self.exact, **rules),
            )
        for i, group in enumerate(self.guarded):
            yield f"guarded[{i}].aliases", group


class OwnAccount(Struct, frozen=True, kw_only=True):
    """An account that speaks for us, by its handle or by its author id (`x:500100`)."""

    source: Annotated[str, form("", r"^[a-z0-9][a-z0-9_.-]*\Z", "naming a source, such as x or mail")]
    handle: Handle = ""
    author_id: str = ""

    def __post_init__(self) -> None:
        if bool(self.handle) == bool(self.author_id):
            raise ValueError("set either a handle or an author_id")
        if self.author_id and not self.author_id.startswith(f"{self.source}:"):
            raise ValueError(f"author_id must begin with its source, `{self.source}:`")


class _File(Struct, frozen=True):
    entities: tuple[BrandEntity, ...] = ()
    own_accounts: tuple[OwnAccount, ...] = ()


class Brands:
    """A brands file that `read_brands` found no fault in. Immutable."""

    def __init__(self, entities: tuple[BrandEntity, ...], own_accounts: tuple[OwnAccount, ...] = ()) -> None:
        self.entities = entities
        self.own_accounts = own_accounts
        self._by_id = {one.id: one for one in entities}
        self._own_ids = frozenset(one.author_id for one in own_accounts if one.author_id)
        self._own_handles = frozenset((one.source, plain(one.handle)) for one in own_accounts if one.handle)

    def is_own(self, source: str, author: Author) -> bool:
        """Whether the author of a post of this source speaks for us."""
        return author.id in self._own_ids or (source, plain(author.handle)) in self._own_handles

    def lineage(self, entity_id: str) -> tuple[str, ...]:
        """The id, its parent's, its parent's parent's …: whose share of voice it adds to."""
        found = []
        while entity_id:
            found.append(entity_id)
            entity_id = self._by_id[entity_id].parent if entity_id in self._by_id else ""
        return tuple(found)


NO_BRANDS = Brands(())


def plain(handle: str) -> str:
    """A handle or tag without its sign and without case, to compare it."""
    return handle.lstrip("@#＃").casefold()


def read_brands(path: Path) -> Brands:
    """The brands file at ``path``. Raises ConfigError that names it and lists every problem, one a line."""
    origin = f"brands file {path}"
    data = read_toml(path, origin, "name another as `file` of [enrichers.entities] and [enrichers.direction]")
    reading = Reading({}, path.parent.absolute())
    read = reading.struct(_File, data, "", "")
    rows = data.get("entities")
    entities = _whole(rows) if read is None and isinstance(rows, list) else _numbered(read)
    known = _ids(rows) if read is None and isinstance(rows, list) else set()
    raise_problems(reading.problems + _problems(entities, known), origin)
    assert read is not None  # otherwise there were problems
    return Brands(read.entities, read.own_accounts)


Placed = tuple[str, BrandEntity]


def _numbered(read: _File | None) -> list[Placed]:
    return [(f"entities[{i}]", one) for i, one in enumerate(read.entities if read else ())]


def _whole(rows: list[Any]) -> list[Placed]:
    """Those entities of a file with problems that have none in their own form."""
    found = []
    for i, row in enumerate(rows):
        entity = Reading({}, Path()).struct(BrandEntity, row, "", "")
        if entity is not None:
            found.append((f"entities[{i}]", entity))
    return found


def _ids(rows: list[Any]) -> set[str]:
    return {str(row.get("id")) for row in rows if isinstance(row, dict)}


def _problems(entities: list[Placed], known: set[str] | None = None) -> list[str]:
    """What is wrong with entities that are well formed. ``known`` are ids beside theirs."""
    problems = []
    ids = {entity.id: at for at, entity in reversed(entities)}
    for at, entity in entities:
        if ids[entity.id] != at:
            problems.append(f"{at}.id: `{entity.id}` is the id of {ids[entity.id]} as well: rename one")
        if entity.parent and entity.parent not in ids and entity.parent not in (known or ()):
            hint = suggestion(entity.parent, ids) if len(ids) < 1000 else ""
            problems.append(f"{at}.parent: there is no entity `{entity.parent}`{hint}")
        if not (entity.aliases or entity.handles or entity.hashtags or entity.guarded):
            problems.append(
                f"{at}: `{entity.id}` has no alias, no handle and no hashtag, so nothing could ever name it:"
                f' add `aliases = ["{entity.name}"]`'
            )
        for where, group in entity.groups():
            problems += _careless(f"{at}.{where}", group)
    return problems + _circles(entities) + _shared(entities)


def _careless(at: str, group: Guarded) -> list[str]:
    """The aliases that would match what nobody meant."""
    problems = []
    remedy = "give it words that must stand `near`, or set `exact = true`"
    for i, alias in enumerate(group.aliases):
        words = same_words(alias).split()
        here = f'{at}[{i}]: "{alias}"'
        if not words:
            problems.append(f"{here} holds no letter and no digit: it cannot be found")
        elif group.near or group.exact:
            continue
        elif sum(map(len, words)) == 1:
            problems.append(f"{here} is one letter only, which is in many texts: {remedy}")
        elif all(word.isdecimal() for word in words):
            problems.append(f"{here} is a number only, which may count anything: {remedy}")
        elif STOP_WORDS.issuperset(words):
            problems.append(f"{here} consists of words that are in most texts: {remedy}")
    return problems


def _circles(entities: list[Placed]) -> list[str]:
    parents = {entity.id: entity.parent for _, entity in entities}
    problems = []
    for at, entity in entities:
        seen, above = {entity.id}, entity.parent
        while above and above not in seen:
            seen.add(above)
            above = parents.get(above, "")
        if above == entity.id:
            problems.append(f"{at}.parent: `{entity.id}` is among its own parents: take one of them out")
    return problems


def _shared(entities: list[Placed]) -> list[str]:
    """The names, handles and hashtags that two entities claim and nothing tells apart."""
    claims: dict[str, list[tuple[str, BrandEntity, str, Guarded]]] = {}
    signs: dict[str, list[tuple[str, BrandEntity, str]]] = {}
    for at, entity in entities:
        for where, group in entity.groups():
            for i, alias in enumerate(group.aliases):
                claim = (f"{at}.{where}[{i}]", entity, alias, group)
                claims.setdefault(fold(alias).text.strip(), []).append(claim)
        for kind, sign, values in (("handles", "@", entity.handles), ("hashtags", "#", entity.hashtags)):
            for i, value in enumerate(values):
                signs.setdefault(sign + plain(value), []).append((f"{at}.{kind}[{i}]", entity, value))
    problems = []
    for shared in claims.values():
        for (first_at, first, other_alias, other), (at, entity, alias, group) in combinations(shared, 2):
            if first.id != entity.id and _confusable(alias, group, other_alias, other):
                problems.append(
                    f'{at}: "{alias}" names `{entity.id}` and, at {first_at}, `{first.id}`: give both of them'
                    " words that must (`near`) or must not (`not_near`) stand near it, not the same ones"
                )
    for sign, holders in signs.items():
        for at, entity, _ in holders[1:]:
            if holders[0][1].id != entity.id:
                problems.append(
                    f"{at}: `{sign}` belongs to `{entity.id}` and, at {holders[0][0]}, to"
                    f" `{holders[0][1].id}`: keep one of them"
                )
    return problems


def _confusable(alias: str, group: Guarded, other_alias: str, other: Guarded) -> bool:
    """Whether one occurrence could be either, with nothing to decide by."""
    if group.exact and other.exact and alias != other_alias:
        return False
    rules = [(set(one.near), set(one.not_near)) for one in (group, other)]
    return rules[0] == rules[1] or not all(near or not_near for near, not_near in rules)


def digest_form(brands: Brands) -> bytes:
    """What decides the matches, in one form however the file is arranged: JSON to make a digest of."""
    entities = [
        {
            "id": entity.id,
            "name": entity.name,
            "kind": entity.kind,
            "handles": sorted(map(plain, entity.handles)),
            "hashtags": sorted(map(plain, entity.hashtags)),
            "groups": sorted(
                (
                    group.window,
                    group.exact,
                    *(sorted(set(one)) for one in (group.aliases, group.near, group.not_near)),
                )
                for _, group in entity.groups()
            ),
        }
        for entity in sorted(brands.entities, key=lambda one: one.id)
    ]
    return msgspec.json.encode(entities)
