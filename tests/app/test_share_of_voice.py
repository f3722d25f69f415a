"""The reckoning of share of voice: who counts for whom, and that shares are shares."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.app.share_of_voice import Heard, Voice, brands_of, reckoned, voices_of
from pipeline.core.brands import BrandEntity, Brands
from pipeline.core.errors import ConfigError
from pipeline.core.settings import Settings


def entity(id: str, kind: str, parent: str = "") -> BrandEntity:
    return BrandEntity(id=id, name=id.title(), kind=kind, parent=parent, aliases=(id,))  # type: ignore[arg-type]


BRANDS = Brands(
    (
        entity("us", "brand"),
        entity("go", "product", "us"),
        entity("go-7", "product", "go"),
        entity("them", "competitor"),
        entity("their-fibre", "product", "them"),
        entity("town", "place"),
    )
)


def test_products_count_for_all_that_they_belong_to() -> None:
    assert voices_of(BRANDS) == [
        Voice("us", "Us", "brand", ("us", "go", "go-7")),
        Voice("them", "Them", "competitor", ("them", "their-fibre")),
    ]


def test_a_file_without_brands_is_told() -> None:
    with pytest.raises(ConfigError, match="no entity of kind brand or competitor"):
        voices_of(Brands((entity("town", "place"),)))


def test_settings_without_a_brands_file_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="name a brands file"):
        brands_of(Settings())
    with pytest.raises(ConfigError, match=r"no\.toml.*\s+cannot be read"):
        brands_of(Settings(enrichers={"entities": {"file": str(tmp_path / "no.toml")}}))


def test_the_loudest_comes_first_and_the_silent_are_there() -> None:
    voices = voices_of(BRANDS)
    rows = reckoned(voices, {"": {"them": Heard(3, 1, -0.5)}})
    assert [(row.id, row.posts, row.share, row.complaints, row.sentiment) for row in rows] == [
        ("them", 3, 100.0, 1, -0.5),
        ("us", 0, 0.0, 0, None),
    ]
    assert [row.share for row in reckoned(voices, {"": {}})] == [0.0, 0.0]


@given(st.dictionaries(st.dates().map(str), st.lists(st.integers(0, 10**9), min_size=4, max_size=4)))
def test_the_shares_of_a_period_sum_to_100_and_follow_the_posts(counts: dict[str, list[int]]) -> None:
    voices = [Voice(str(n), str(n), "brand", (str(n),)) for n in range(4)]
    heard = {
        period: {str(n): Heard(posts, 0, None) for n, posts in enumerate(row)}
        for period, row in counts.items()
    }
    rows = reckoned(voices, heard)
    assert [row.period for row in rows] == [period for period in sorted(counts) for _ in voices]
    for period, row in counts.items():
        shares = [one for one in rows if one.period == period]
        assert abs(sum(one.share for one in shares) - (100 if sum(row) else 0)) <= 0.02
        assert [one.posts for one in shares] == sorted(row, reverse=True)
        assert [one.share for one in shares] == sorted((one.share for one in shares), reverse=True)
