"""Whether the roles in this container are well: the health check of the image. Standard library only.

`health.py URL…` asks these pages. Without an argument it asks the page /healthz of every role that has
left its note in the home; a container in which none runs is not well. Status 1 and a sentence where one
does not answer with 200.
"""

import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path

SECONDS = 4


def pages(home: Path) -> list[str]:
    """The page /healthz of every role that has left its note."""
    ports = [json.loads(note.read_bytes())["port"] for note in sorted((home / "run").glob("role-*.json"))]
    return [f"http://127.0.0.1:{port}/healthz" for port in ports]


def trouble(url: str) -> str:
    """Why the page is not well; empty where it is."""
    try:
        with urllib.request.urlopen(url, timeout=SECONDS):
            return ""
    except urllib.error.HTTPError as error:
        return f"{url} says {error.code}: {error.read(500).decode(errors='replace')}"
    except OSError as error:
        return f"{url} does not answer: {error}"


def main(arguments: list[str]) -> int:
    """The exit status; what is wrong goes to standard output, which `docker inspect` shows."""
    urls = arguments or pages(Path(os.environ["GROUNDSWELL_HOME"]))
    wrong = [sentence for sentence in map(trouble, urls) if sentence] if urls else ["no role runs here"]
    sys.stdout.write("".join(f"{sentence}\n" for sentence in wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
