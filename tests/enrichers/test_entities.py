"""The step `entities`: which words name whom, where exactly they stand, and the laws of the spans."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from enrichers import entities
from enrichers.entities import EntitiesEnricher
from pipeline.app import registry
from pipeline.core.brands import BrandEntity, Brands, Guarded
from pipeline.core.errors import ConfigError
from pipeline.core.event import Entity
from pipeline.core.folding import fold
from pipeline.core.post import Author, Post, decode_post
from pipeline.core.settings import EnrichSettings, Settings

CONFIGS = Path(__file__).parents[2] / "configs"


def brand(identity: str, *aliases: str, **more: Any) -> BrandEntity:
    return BrandEntity(id=identity, name=identity, kind="brand", aliases=aliases, **more)


def step(*brands: BrandEntity) -> EntitiesEnricher:
    return EntitiesEnricher(Brands(brands))


def post(text: str, **more: Any) -> Post:
    return Post(id=f"{more.pop('source', 'x')}:1", text=text, author=Author(id="x:a"), **more)


def found(enricher: EntitiesEnricher, text: str, **more: Any) -> list[Entity]:
    (answer,) = enricher.enrich({"post": [post(text, **more)]})
    for entity in answer:
        assert entity.start == entity.end == 0 or text[entity.start : entity.end] == entity.text
    return list(answer)


def named(enricher: EntitiesEnricher, text: str, **more: Any) -> list[str]:
    """The words that name somebody."""
    return [entity.text for entity in found(enricher, text, **more)]


LARKWELL = step(brand("lark", "Larkwell"))


@pytest.mark.parametrize(
    "text",
    [
        "Larkwell",
        "larkwell!",
        "LARKWELL?!",
        "(Larkwell)",
        "Larkwell's",
        "Larkwell’s",
        "d'Larkwell",
        "anti-Larkwell-feeling",
        "Larkwell/Corvane",
        "Larkwell, again",
        "Larkwell😡",
        "😡Larkwell",
        "Larkwell™",
        "Larkwell²",
        "*Larkwell*",
        "_Larkwell_",
        "Larkwell\u200b is down",
        "\ufeffLarkwell",
        "Lark\u200bwell",
        "Lark\xadwell",
        "Ｌａｒｋｗｅｌｌ",
        "𝗟𝗮𝗿𝗸𝘄𝗲𝗹𝗹",
        "Ⓛarkwell",
        "larkwell.example",
        "LarkwellのWi-Fi",
        "我用Larkwell上网",
        "Larkwell은 느려요",
        "Larkwellом",
        "בLarkwell",
        "&lt;Larkwell&gt;",
    ],
)
def test_a_name_is_found_where_it_is_a_word(text: str) -> None:
    (entity,) = found(LARKWELL, text)
    assert fold(entity.text).text == "larkwell"
    assert entity.confidence == 1.0


@pytest.mark.parametrize(
    "text",
    [
        "Larkwells",
        "Larkwell2",
        "2Larkwell",
        "xLarkwell",
        "Larkwellé",
        "Larkwelle\u0301",
        "Larkwell\u0301",
        "Larkwell\u0336",
        "my_Larkwell",
        "Larkwell_x",
        "@Larkwell",
        "@the.Larkwell",
        "@Larkwell.example",
        "me@larkwell.example",
        "larkwell@mail.example",
        "larkwell.support@mail.example",
        "https://larkwell.example/x",
        "https://x.example/Larkwell",
        "www.larkwell.example",
        "Lark well",
        "Larkwеll",  # a Cyrillic letter
        "#larkwelldown",
        "",
    ],
)
def test_a_name_is_not_found_inside_of_another_word_address_or_handle(text: str) -> None:
    assert named(LARKWELL, text) == []


NAMES = step(
    brand("wenlow", "Port Wenlow"),
    brand("att", "AT&T"),
    brand("tm", "T-Mobile"),
    brand("yahoo", "Yahoo!"),
    brand("net", ".NET"),
    brand("cafe", "Café Übel"),
    brand("street", "Straße"),
    brand("ist", "İstanbul"),
    brand("loreal", "L'Oréal"),
    brand("tokyo", "東京"),
    brand("ward", "東京都"),
    brand("kana", "ラークウェル"),
    brand("ko", "라크웰"),
    brand("th", "ลาร์คเวล"),
    brand("hi", "लार्कवेल"),
    brand("ar", "لاركويل"),
    brand("ru", "Билайн"),
    brand("tube", "YouTube"),
)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("port  wenlow, Port\nWenlow, PORT\xa0WENLOW", ["port  wenlow", "Port\nWenlow", "PORT\xa0WENLOW"]),
        ("Port\n\nWenlow, Port-Wenlow, Port. Wenlow", []),
        ("AT&T at&amp;t AT T AT & T", ["AT&T", "at&amp;t"]),
        ("t-mobile T Mobile", ["t-mobile"]),
        ("Yahoo! Yahoo Yahoo!!", ["Yahoo!", "Yahoo!"]),
        (".NET and net and ASP.NET", [".NET", ".NET"]),
        ("CAFE\u0301 u\u0308bel, café übel", ["CAFE\u0301 u\u0308bel", "café übel"]),
        ("STRASSE strasse Straßen", ["STRASSE", "strasse"]),
        ("istanbul İSTANBUL ISTANBUL", ["istanbul", "İSTANBUL", "ISTANBUL"]),
        ("l’oréal L'ORÉAL", ["l’oréal", "L'ORÉAL"]),
        ("東京は雨。東京都も。", ["東京", "東京都"]),
        ("ラークウェルが、ラークウェルズ、スラークウェル", ["ラークウェル"]),
        ("라크웰은 라크웰에서도 라크웰 라크웰리 새라크웰", ["라크웰", "라크웰", "라크웰"]),
        ("ใช้ลาร์คเวลอยู่", ["ลาร์คเวล"]),
        ("लार्कवेल का नेट, लार्कवेलों, अलार्कवेल", ["लार्कवेल"]),
        ("لاركويل سيئة، والاركويل", ["لاركويل"]),
        ("БИЛАЙН, Билайном, Билайн-ТВ", ["БИЛАЙН", "Билайн"]),
        (
            "#PortWenlow #portwenlow #PortWenlowFlood #portwenlowflood",
            ["#PortWenlow", "#portwenlow", "PortWenlow"],
        ),
        ("#TMobile #tmobile #YouTube #YouTubeDown", ["#TMobile", "#tmobile", "#YouTube", "YouTube"]),
        ("#Port_Wenlow #IstanbulAirport ＃YouTube", ["#Port_Wenlow", "Istanbul", "＃YouTube"]),
    ],
)
def test_names_of_all_scripts(text: str, names: list[str]) -> None:
    assert named(NAMES, text) == names


def test_tags_whole_or_by_their_capitals() -> None:
    tagged = step(brand("lark", "Larkwell", hashtags=("larkdown", "#LarkFail")))
    assert named(
        tagged, "#Larkwell #LarkwellDown #UKLarkwell #Larkwell2026 #larkwell_down #larkwelldown"
    ) == [
        "#Larkwell",
        "Larkwell",
        "Larkwell",
        "Larkwell",
        "larkwell",
    ]
    assert named(tagged, "#LarkDown #larkfail larkdown #larkdowns https://x.example/#larkdown") == [
        "#LarkDown",
        "#larkfail",
    ]


def test_handles_only_whole() -> None:
    handled = step(
        brand("lark", handles=("larkwell", "lark_well_", "larkwell.bsky.example", "lw@social.example"))
    )
    assert named(
        handled, "@Larkwell @larkwellhelp @thelarkwell @larkwell_ .@larkwell: u/larkwell x@larkwell"
    ) == [
        "@Larkwell",
        "@larkwell",
        "u/larkwell",
    ]
    assert named(handled, "@lark_well_ @larkwell@other.example larkwell", source="mastodon") == [
        "@lark_well_"
    ]
    assert named(handled, "@larkwell.bsky.example, @larkwell.other.example", source="bluesky") == [
        "@larkwell.bsky.example"
    ]
    assert named(handled, "@lw@social.example. @lw", source="mastodon") == ["@lw@social.example"]
    assert named(handled, "https://x.example/@larkwell") == []


def test_what_the_platform_says_settles_what_a_handle_is() -> None:
    handled = step(brand("lark", handles=("larkwell", "lw@social.example")))
    assert named(handled, "@larkwell.Please help") == ["@larkwell"]  # on x no handle has a dot
    assert named(handled, "@larkwell.Please help", source="reddit") == []
    assert named(handled, "@larkwell.Please help", source="reddit", mentions=("larkwell",)) == ["@larkwell"]
    assert named(handled, "@lw help", source="mastodon", mentions=("LW@social.example",)) == ["@lw"]


def test_mentions_and_tags_that_the_text_lacks_stand_nowhere() -> None:
    enricher = step(
        brand("lark", "Larkwell", handles=("larkwell",), hashtags=("larkdown",)), brand("co", "Corvane")
    )
    beside = found(enricher, "still waiting", mentions=("jo", "Larkwell"), hashtags=("Corvane", "fail"))
    assert [(one.id, one.text, one.start, one.end) for one in beside] == [
        ("lark", "@Larkwell", 0, 0),
        ("co", "#Corvane", 0, 0),
    ]
    there = found(enricher, "@larkwell #larkdown", mentions=("larkwell",), hashtags=("larkdown",))
    assert [(one.start, one.end) for one in there] == [(0, 9), (10, 19)]


def test_the_longest_name_wins_then_the_first() -> None:
    nested = step(brand("a", "Lark"), brand("b", "Lark Well"), brand("c", "Well Hub Go"), brand("d", "Go"))
    assert [one.id for one in found(nested, "lark")] == ["a"]
    assert [one.id for one in found(nested, "Lark Well Hub")] == ["b"]
    assert [one.id for one in found(nested, "Lark Well Hub Go")] == ["a", "c"]
    even = step(brand("x", "one two"), brand("y", "two six"))
    assert [one.id for one in found(even, "one two six")] == ["x"]


def test_entities_that_claim_the_same_words_share_the_confidence() -> None:
    shared = step(
        brand("z:juice", "Orange", near=("drink*", "fruit")),
        brand("a:phone", "Orange", near=("phone", "drink")),
    )
    assert [(one.id, one.confidence) for one in found(shared, "a drink of Orange")] == [
        ("z:juice", 0.5),
        ("a:phone", 0.5),
    ]
    assert [(one.id, one.confidence) for one in found(shared, "drinking Orange")] == [("z:juice", 1.0)]
    assert found(shared, "Orange") == []


def test_words_near_decide() -> None:
    careful = step(
        brand(
            "go",
            "Larkwell Go",
            guarded=(
                Guarded(
                    aliases=("Go",),
                    near=("SIM", "pre paid", "データ"),
                    not_near=("to go",),
                    window=3,
                    exact=True,
                ),
            ),
        )
    )
    assert named(careful, "my Go has no SIM") == ["Go"]
    assert named(careful, "Go one two three SIM") == []
    assert named(careful, "Go one two sim, Go") == ["Go", "Go"]
    assert named(careful, "Go (pre-paid) is") == ["Go"]
    assert named(careful, "Goのデータ") == ["Go"]
    assert named(careful, "SIM simple Go") == ["Go"]
    assert named(careful, "go SIM, GO SIM, #GO SIM, larkwell go") == ["larkwell go"]
    assert named(careful, "to go: Go SIM") == []
    assert named(careful, "#Go #SIM") == ["#Go"]


def test_a_name_of_its_own_is_no_context_of_itself() -> None:
    assert found(step(brand("x", "Hub Light", near=("light",))), "Hub Light") == []


def test_a_post_has_at_most_so_many() -> None:
    answer = found(LARKWELL, "Larkwell " * 2000)
    assert len(answer) == entities.MOST
    assert answer[-1].start == (entities.MOST - 1) * len("Larkwell ")


def test_without_a_file_nothing_is_looked_for_and_nothing_read() -> None:
    idle = entities.build(entities.SETTINGS())
    texts = [post("Larkwell", mentions=("larkwell",))] * 1000
    assert idle.enrich({"post": texts}) == [()] * 1000
    assert "." not in idle.version.partition("+")[2]


def chain(file: Path) -> Any:
    return registry.build_chain(
        Settings(enrich=EnrichSettings(steps=("entities",)), enrichers={"entities": {"file": str(file)}})
    )


def test_a_change_of_the_file_shows_in_the_version(tmp_path: Path) -> None:
    text = (CONFIGS / "brands.toml").read_text()
    changed, same = tmp_path / "changed.toml", tmp_path / "same.toml"
    changed.write_text(text.replace('"larkfail"', '"larkfails"'))
    same.write_text(f"# ours\n{text}")
    versions = [chain(file).versions["entities"] for file in (CONFIGS / "brands.toml", same, changed)]
    assert versions[0] == versions[1] != versions[2]


def test_a_faulty_file_stops_the_chain_with_all_its_problems(tmp_path: Path) -> None:
    file = tmp_path / "brands.toml"
    file.write_text('[[entities]]\nid = "A"\nname = "A"\nkind = "brand"\n')
    with pytest.raises(ConfigError, match=r"brands\.toml: 1 problem\n  entities\[0\]\.id: expected"):
        chain(file)


def test_the_demos_brands_in_the_demos_posts() -> None:
    """Read one by one when this was written; a change here wants reading again."""
    lines = (CONFIGS / "demo" / "posts.jsonl").read_bytes().splitlines()
    posts = [one for one in map(decode_post, lines) if not one.deleted]
    enricher = entities.build(entities.SETTINGS(file=CONFIGS / "brands.toml"))
    answers = dict(zip([one.text for one in posts], enricher.enrich({"post": posts}), strict=True))
    false_friends = (
        "Larkwell Road",
        "Mrs Larkwell",
        "windowsill full",
        "line of moss",
        "transport hub",
        "The Larkwells",
    )
    for text, answer in answers.items():
        for words in false_friends:
            place = text.find(words)
            assert place < 0 or not [e for e in answer if e.start < place + len(words) and place < e.end], (
                text
            )
    naming = sum(any(one.id == "brand:larkwell" for one in answer) for answer in answers.values())
    assert 150 < naming < 250
