"""vaderSentiment alone: texts in memory, one core, nothing else. Its caller keeps the time.

Reads JSON Lines of posts, says `ready`, scores them all at a line of standard input, says `done`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import orjson
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer


def main() -> None:
    """Once for each line of standard input."""
    scores = SentimentIntensityAnalyzer().polarity_scores
    texts = [orjson.loads(line)["text"] for line in Path(sys.argv[1]).read_bytes().splitlines()]
    print("ready", flush=True)
    for _ in sys.stdin:
        done = len([scores(text) for text in texts])
        print(f"done {done}", flush=True)


if __name__ == "__main__":
    main()
