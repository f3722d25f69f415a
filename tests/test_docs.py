"""Every page of docs is reached from docs/README.md, and every link leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
INDEX = DOCS / "README.md"
# Written at this moment; whoever brings the last of them takes this out.
COMING = {DOCS / "deploy.md", DOCS / "security.md"}
PAGES = [*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]


def prose_of(page: Path) -> str:
    """Without its code, whose brackets are no links."""
    text = page.read_text(encoding="utf-8")
    return re.sub(r"^(`{3,}).*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL)


def links_of(page: Path) -> list[tuple[Path, str]]:
    """Where it leads within the checkout, each with the heading that it names."""
    found = re.findall(r"\]\(([^)\s]*)\)", prose_of(page))
    parted = [link.partition("#") for link in found if ":" not in link]
    return [((page.parent / path).resolve() if path else page, heading) for path, _, heading in parted]


def headings_of(page: Path) -> set[str]:
    """As links name them."""
    titles = re.findall(r"^#+ (.+)$", prose_of(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for target, heading in links_of(page):
        assert target.exists() or target in COMING, target
        assert not heading or heading in headings_of(target), f"{target.name} has no heading #{heading}"


def test_the_index_names_every_page_beside_it() -> None:
    named = {target for target, _ in links_of(INDEX)}
    assert {page for page in DOCS.glob("*.md") if page != INDEX} - named == set()


def test_every_page_is_reached_from_the_index() -> None:
    met: set[Path] = set()
    ahead = [INDEX]
    while ahead:
        page = ahead.pop()
        if page in met:
            continue
        met.add(page)
        inside = [target / "README.md" if target.is_dir() else target for target, _ in links_of(page)]
        decisions = [one for target, _ in links_of(page) if target.is_dir() for one in target.glob("0*.md")]
        ahead += [one for one in [*inside, *decisions] if one.suffix == ".md" and one.exists()]
    assert {page for page in DOCS.rglob("*.md") if page.resolve() not in met} == set()
