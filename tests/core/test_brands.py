"""The brands file: what it may say, and each mistake told in a sentence, all of them at once."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pipeline.core.brands import Brands, digest_form, read_brands
from pipeline.core.errors import ConfigError
from pipeline.core.post import Author

DEMO = Path(__file__).parents[2] / "configs" / "brands.toml"


def read(folder: Path, text: str) -> Brands:
    file = folder / "brands.toml"
    file.write_text(text, encoding="utf-8")
    return read_brands(file)


def entity(identity: str, body: str, kind: str = "brand") -> str:
    return f'[[entities]]\nid = "{identity}"\nname = "Acme"\nkind = "{kind}"\n{body}\n'


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as told:
        read(folder, text)
    first, *rest = str(told.value).splitlines()
    count = "1 problem" if len(rest) == 1 else f"{len(rest)} problems"
    assert first == f"brands file {folder / 'brands.toml'}: {count}"
    return [line.strip() for line in rest]


def test_the_demos_file_is_valid_and_knows_its_own_accounts() -> None:
    brands = read_brands(DEMO)
    assert brands.lineage("product:larkwell-hub-7") == (
        "product:larkwell-hub-7",
        "product:larkwell-hub",
        "brand:larkwell",
    )
    assert brands.lineage("nobody") == ("nobody",)
    assert brands.is_own("x", Author(id="x:500101", handle="larkwellhelp"))
    assert brands.is_own("mail", Author(id="mail:a", handle="Support@Larkwell.example"))
    assert not brands.is_own("x", Author(id="x:9", handle="larkwellhelp"))
    assert not brands.is_own("x", Author(id="x:9"))


def test_an_empty_file_names_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, "").entities == ()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            entity("brand:acme", ""),
            "entities[0]: `brand:acme` has no alias, no handle and no hashtag, so nothing could ever name it:"
            ' add `aliases = ["Acme"]`',
        ),
        (
            entity("brand:acme", 'aliases = ["Acme"]') + entity("brand:b", 'aliases = ["Best", "ACME"]'),
            'entities[1].aliases[1]: "ACME" names `brand:b` and, at entities[0].aliases[0], `brand:acme`:'
            " give both of them words that must (`near`) or must not (`not_near`) stand near it, not the same"
            " ones",
        ),
        (
            entity("brand:acme", 'aliases = ["x"]'),
            'entities[0].aliases[0]: "x" is one letter only, which is in many texts: give it words that'
            " must stand `near`, or set `exact = true`",
        ),
        (
            entity("brand:acme", 'aliases = ["The Who"]'),
            'entities[0].aliases[0]: "The Who" consists of words that are in most texts: give it words that'
            " must stand `near`, or set `exact = true`",
        ),
        (
            entity("brand:acme", 'aliases = ["24"]'),
            'entities[0].aliases[0]: "24" is a number only, which may count anything: give it words that must'
            " stand `near`, or set `exact = true`",
        ),
        (
            entity("brand:acme", 'aliases = ["❤️"]'),
            'entities[0].aliases[0]: "❤️" holds no letter and no digit: it cannot be found',
        ),
        (
            entity("brand:a", 'handles = ["acme"]') + entity("brand:b", 'handles = ["@Acme"]'),
            "entities[1].handles[0]: `@acme` belongs to `brand:b` and, at entities[0].handles[0], to"
            " `brand:a`: keep one of them",
        ),
        (
            entity("brand:a", 'aliases = ["Acme"]') + entity("brand:a", 'aliases = ["Best"]'),
            "entities[1].id: `brand:a` is the id of entities[0] as well: rename one",
        ),
        (
            entity("product:p", 'aliases = ["Pop"]\nparent = "brand:acne"')
            + entity("brand:acme", 'aliases = ["Acme"]'),
            "entities[0].parent: there is no entity `brand:acne`, did you mean `brand:acme`?",
        ),
        (
            entity("brand:a", 'aliases = ["Pop"]\nparent = "brand:a"'),
            "entities[0].parent: `brand:a` is among its own parents: take one of them out",
        ),
        (
            entity("brand:a", 'aliases = ["Pop"]\naliasse = ["Top"]'),
            "entities[0].aliasse: unknown key, did you mean `aliases`?",
        ),
        (
            entity("brand:a", 'aliases = "Pop"'),
            "entities[0].aliases: expected a list of texts, got text",
        ),
        (
            entity("brand:a", 'aliases = ["Pop", 3, " "]').replace(", 3", ""),
            'entities[0].aliases[1]: expected text of 1 to 200 characters, got " "',
        ),
        (
            entity("brand:a", 'aliases = ["Pop"]', kind="brnd"),
            "entities[0].kind: expected one of brand, competitor, product, person, place, organisation,"
            ' event, topic, account, got "brnd"',
        ),
        (
            entity("Brand A", 'aliases = ["Pop"]'),
            "entities[0].id: expected text of lower-case letters, digits, `.`, `_`, `-` and `:`, such as"
            ' brand:acme, got "Brand A"',
        ),
        (
            entity("brand:a", 'aliases = ["Pop"]\nwindow = 0'),
            "entities[0].window: expected an integer from 1 to 100, got 0",
        ),
        (
            entity("brand:a", 'handles = ["two words"]'),
            'entities[0].handles[0]: expected text that is a handle, without spaces, got "two words"',
        ),
        (
            entity("brand:a", "[[entities.guarded]]\naliases = []"),
            "entities[0].guarded[0].aliases: expected a list of texts, 1 or more, got a list",
        ),
        (
            entity("brand:a", '[[entities.guarded]]\naliases = ["Go"]\nnot_near = ["on"]'),
            'entities[0].guarded[0].aliases[0]: "Go" consists of words that are in most texts: give it words'
            " that must stand `near`, or set `exact = true`",
        ),
        ("entities = 3", "entities: expected a list of tables, got a number"),
        ("[[brands]]", "brands: unknown key; known are `entities`, `own_accounts`"),
        ('[[own_accounts]]\nsource = "x"', "own_accounts[0]: set either a handle or an author_id"),
        (
            '[[own_accounts]]\nsource = "x"\nauthor_id = "500100"',
            "own_accounts[0]: author_id must begin with its source, `x:`",
        ),
        ("[[entities]", "line 1, column 11: Expected ']]' at the end of an array declaration"),
    ],
)
def test_each_mistake_is_told(tmp_path: Path, text: str, told: str) -> None:
    assert problems(tmp_path, text) == [told]


def test_a_missing_file_says_which_setting_names_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: 1 problem\n.*name another as `file` of"):
        read_brands(tmp_path / "none.toml")


def test_all_mistakes_come_at_once_those_of_form_and_those_of_sense(tmp_path: Path) -> None:
    text = (
        entity("brand:a", 'aliases = ["Acme"]\nwindw = 3')
        + entity("brand:b", 'aliases = ["y"]\nparent = "brand:a"')
        + entity("brand:c", "aliases = 3")
        + entity("brand:d", "")
    )
    assert [line.split(":")[0] for line in problems(tmp_path, text)] == [
        "entities[0].windw",
        "entities[2].aliases",
        "entities[1].aliases[0]",
        "entities[3]",
    ]


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ('aliases = ["Orange"]\nnear = ["phone"]', 'aliases = ["Orange"]\nnear = ["juice"]'),
        ('aliases = ["Orange"]\nnear = ["phone"]', 'aliases = ["orange"]\nnot_near = ["phone"]'),
        ('aliases = ["US"]\nexact = true', 'aliases = ["us"]\nexact = true'),
        ('aliases = ["AT&T"]', 'aliases = ["AT T"]'),
    ],
)
def test_one_alias_of_two_brands_is_allowed_where_something_tells_them_apart(
    tmp_path: Path, one: str, two: str
) -> None:
    assert len(read(tmp_path, entity("brand:a", one) + entity("brand:b", two)).entities) == 2


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ('aliases = ["Orange"]\nnear = ["phone"]', 'aliases = ["Orange"]'),
        ('aliases = ["Orange"]\nnear = ["phone"]', 'aliases = ["Orange"]\nnear = ["phone"]'),
        ('aliases = ["Orange"]\nexact = true', 'aliases = ["orange"]\nnot_near = ["juice"]'),
    ],
)
def test_one_alias_of_two_brands_is_refused_where_nothing_does(tmp_path: Path, one: str, two: str) -> None:
    (told,) = problems(tmp_path, entity("brand:a", one) + entity("brand:b", two))
    assert "`brand:a`" in told
    assert "`brand:b`" in told


@pytest.mark.parametrize("body", ['aliases = ["X"]\nexact = true', 'aliases = ["Go"]\nnear = ["SIM"]'])
def test_a_careless_alias_is_allowed_with_care(tmp_path: Path, body: str) -> None:
    assert read(tmp_path, entity("brand:a", body)).entities


def test_only_the_meaning_counts_for_the_digest(tmp_path: Path) -> None:
    a = entity("brand:a", 'aliases = ["Acme", "Acme Inc"]\nhandles = ["acme"]')
    b = entity("brand:b", 'aliases = ["Best"]\nnear = ["x", "y"]')
    first = digest_form(read(tmp_path, a + b))
    again = a.replace('"Acme", "Acme Inc"', '"Acme Inc", "Acme"').replace('["acme"]', '["@Acme"]')
    assert digest_form(read(tmp_path, b.replace('"x", "y"', '"y", "x"') + "# a comment\n" + again)) == first
    for was, now in (
        ("Acme Inc", "Acme Ltd"),
        ("brand:b", "brand:c"),
        ('"x"', '"z"'),
        ('"brand"', '"topic"'),
    ):
        assert digest_form(read(tmp_path, (a + b).replace(was, now))) != first


def test_a_hundred_thousand_aliases_are_read_in_seconds(tmp_path: Path) -> None:
    text = "".join(
        entity(f"brand:a{i}", f"aliases = {[f'Name {i} {j}' for j in range(10)]}") for i in range(10_000)
    )
    began = time.process_time()
    assert sum(len(one.aliases) for one in read(tmp_path, text).entities) == 100_000
    assert time.process_time() - began < 60
