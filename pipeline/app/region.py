"""The country whose telephone numbers may stand without a code: that of the step `contacts`."""

from __future__ import annotations

from pipeline.app.registry import known, load
from pipeline.core.configuration import convert_table
from pipeline.core.settings import Settings

_STEP = "contacts"
_USUAL = "US"


def region_of(settings: Settings) -> str:
    """Two capital letters. Raises ConfigError with every problem of the table `[enrichers.contacts]`."""
    if _STEP not in known("enrichers"):
        return _USUAL
    table = settings.enrichers.get(_STEP, {})
    found: str = convert_table(load("enrichers", _STEP).SETTINGS, table, f"enrichers.{_STEP}").region
    return found
