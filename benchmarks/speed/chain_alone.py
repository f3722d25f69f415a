"""Our chain alone: posts in memory, one core, no JSON, no server. Its caller keeps the time.

Reads JSON Lines of posts, says `ready`, takes them all through the chain of the settings at a line of
standard input, says `done`. With `--language` the posts come with their language, as most platforms
give it: what the chain itself found beforehand stands for it.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

from pipeline.app import garbage
from pipeline.app.registry import build_chain
from pipeline.core.configuration import read_settings
from pipeline.core.event import Event
from pipeline.core.post import Post, decode_post
from pipeline.core.process import Chain
from pipeline.embedded.home import home


def main() -> None:
    """Once for each line of standard input."""
    settings = read_settings(Path(os.environ["GROUNDSWELL_CONFIG"]), os.environ)
    chain, batch = build_chain(settings, home()), settings.engine.batch_posts
    posts = [decode_post(line) for line in Path(sys.argv[1]).read_bytes().splitlines()]
    if "--language" in sys.argv:
        # Another chain: the one that is timed meets all words for the first time, as without the language.
        posts = [_told(event) for event in _events(build_chain(settings, home()), posts, batch)]
    garbage.settle()  # as the command and the worker do
    print("ready", flush=True)
    for _ in sys.stdin:
        print(f"done {len(_events(chain, posts, batch))}", flush=True)


def _events(chain: Chain, posts: list[Post], batch: int) -> list[Event]:
    now = datetime.now(UTC)
    found: list[Event] = []
    for at in range(0, len(posts), batch):
        part = posts[at : at + batch]
        outcomes = chain.process(part, [now] * len(part), prefix="bench", now=now)
        found += [outcome for outcome in outcomes if isinstance(outcome, Event)]
    return found


def _told(event: Event) -> Post:
    code = event.language.code if event.language else "und"
    return event.post if code == "und" else replace(event.post, lang=code)


if __name__ == "__main__":
    main()
