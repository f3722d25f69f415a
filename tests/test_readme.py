"""What README.md asks people to type is there to be found."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_posts_and_customers_of_the_tour_are_in_the_demo() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    demo = files("configs") / "demo"
    posts = (demo / "posts.jsonl").read_text(encoding="utf-8")
    customers = (demo / "customers.csv").read_text(encoding="utf-8")
    named = set(re.findall(r"\bx:[0-9]{6,}", readme))
    known = set(re.findall(r"\bLW-[0-9]{6}", readme))
    assert named
    assert known
    assert [post for post in named if f'"id":"{post}"' not in posts] == []
    assert [customer for customer in known if customer not in customers] == []


def test_the_files_that_it_points_to_are_there() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#:]+)\)", readme)
    assert len(links) > 10
    assert [link for link in links if not (ROOT / link).exists()] == []
