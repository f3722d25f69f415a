"""What ``python -m testkit.play`` writes can be read as settings."""

from __future__ import annotations

import tomllib

from testkit.play import in_toml


def test_a_table_within_the_table_is_toml() -> None:
    table = {"rules": {"late": 'parcel "late" 📦', "so many words": "to:acme"}, "batch": 7, "on": True}
    read = tomllib.loads("\n".join(f"{key} = {in_toml(value)}" for key, value in table.items()))
    assert read == table
