"""The country whose telephone numbers may stand without a code: that of the step `contacts`."""

from __future__ import annotations

from pipeline.app.registry import load, read_table
from pipeline.core.errors import ConfigError
from pipeline.core.settings import Settings
from pipeline.identity.phones import is_region

_STEP = "contacts"


def region_of(settings: Settings) -> str:
    """Two capital letters, empty where no number may stand without a code. Raises ConfigError with every
    problem of the table `[enrichers.contacts]`."""
    found: str = read_table(load("enrichers", _STEP), settings.enrichers, "enrichers", _STEP).region
    if found and not is_region(found):
        raise ConfigError(f"enrichers.{_STEP}.region: `{found}` is no country of two letters")
    return found
