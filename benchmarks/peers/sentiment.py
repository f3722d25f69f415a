"""What all peers do to a post: VADER's scores, in the fields that Groundswell's own events have."""

from __future__ import annotations

import os
from typing import Any

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

_scores = SentimentIntensityAnalyzer().polarity_scores

KAFKA = os.environ.get("PEER_KAFKA", "")
ELASTICSEARCH = os.environ.get("PEER_ELASTICSEARCH", "")
INPUT = os.environ.get("PEER_INPUT", "")
OUTPUT = os.environ.get("PEER_OUTPUT", "")
"""A topic or an index."""
GROUP = os.environ.get("PEER_GROUP", "")


def sentiment(text: str) -> dict[str, Any]:
    """Compound, label and the three shares."""
    found = _scores(text)
    compound = found["compound"]
    label = "positive" if compound >= 0.05 else "negative" if compound <= -0.05 else "neutral"
    return {
        "compound": compound,
        "label": label,
        "positive": found["pos"],
        "neutral": found["neu"],
        "negative": found["neg"],
    }


def document(post: dict[str, Any]) -> dict[str, Any]:
    """The post with its sentiment, as one flat document of the index."""
    return {**post, "sentiment": sentiment(post["text"])}
