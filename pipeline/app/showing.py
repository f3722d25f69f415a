"""A connector's standing as meters."""

from __future__ import annotations

import time

from pipeline.app.meters import Meters
from pipeline.app.standing import STATES, Standing
from pipeline.core import metrics


def show(standing: Standing, meters: Meters) -> None:
    """Sets the gauges of one connector; what is not known is not set."""
    name = standing.name
    for state in STATES:
        meters.set(metrics.CONNECTOR_STATE, state == standing.state, name, state)
    if standing.last_post is not None:
        meters.set(metrics.CONNECTOR_LAST_POST, standing.last_post, name)
    if standing.lag_seconds is not None:
        meters.set(metrics.CONNECTOR_LAG, standing.lag_seconds, name)
    for limit in standing.limits:
        if limit.left is not None:
            meters.set(metrics.LIMIT_LEFT, limit.left, name, limit.name)
        if limit.total is not None:
            meters.set(metrics.LIMIT_TOTAL, limit.total, name, limit.name)
        if limit.resets_at is not None:
            meters.set(metrics.LIMIT_RESETS, max(limit.resets_at - time.time(), 0.0), name, limit.name)
