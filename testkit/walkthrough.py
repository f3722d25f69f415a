"""A page of docs, followed as its reader follows it: block by block, in one shell, held to what it promises.

What stands behind the language of a fenced block, unseen on the rendered page, says what the block is for:

``sh``             is typed; each command ends with status 0, or with the N of a comment ``status N``
``sh not-run``     is left to the reader, for it needs what a test has not, or never ends
``python``         is run as a program; with a path it is a file
``text``           is what the block before it said: these lines in this order, ``…`` for what is left out
any, with a path   is a file of that name; with a ``+`` behind the path, what comes next in that file
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil
from msgspec import Struct

from testkit.waiting import until

COMMAND_SECONDS = 480
NOT_RUN = "not-run"
_BLOCK = re.compile(r"^(`{3,})(\w*)(?: +([^\n]+))?\n(.*?)^\1$", re.MULTILINE | re.DOTALL)


class Block(Struct, frozen=True):
    """A fenced block: ``note`` is what stands behind its language, ``line`` where it begins in the page."""

    language: str
    note: str
    text: str
    line: int

    @property
    def commands(self) -> list[str]:
        """What is typed, command by command; one may have several lines."""
        found, held = [], ""
        for line in self.text.splitlines():
            held += line + "\n"
            if held.strip() and not line.endswith("\\") and _is_whole(held):
                found.append(held)
                held = ""
        assert not held.strip(), f"line {self.line}: this command has no end: {held}"
        return found


def _is_whole(command: str) -> bool:
    try:
        shlex.split(command, comments=True)
    except ValueError:
        return False
    return True


def blocks_of(page: str) -> list[Block]:
    """The fenced blocks of a page of Markdown, from the top."""
    return [
        Block(found[2], found[3] or "", found[4], page.count("\n", 0, found.start()) + 1)
        for found in _BLOCK.finditer(page)
    ]


def lacking(promised: str, said: str) -> str | None:
    """The first line of ``promised`` that does not come in ``said``, in order; None where all do."""
    lines = iter([_squeezed(line) for line in said.splitlines()])
    for line in promised.splitlines():
        if line.strip() in ("", "…"):
            continue
        pattern = re.compile(".*".join(re.escape(part) for part in _squeezed(line).split("…")))
        if not any(pattern.fullmatch(one) for one in lines):
            return line
    return None


def _squeezed(line: str) -> str:
    """Columns are as wide as what stands in them, so their width counts for nothing."""
    return " ".join(line.split())


class Shell:
    """One bash for a whole page, so that variables and jobs stay from block to block.

    ``alter`` changes what is typed and what is promised where a test must: other ports, say.
    """

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self.folder = folder
        self.environ = dict(environ)
        self.alter: Callable[[str], str] = lambda text: text
        self.said = ""
        self._typed = folder / ".typed.sh"
        self._heard = folder / ".heard"
        with self._heard.open("wb") as heard:
            self._bash = subprocess.Popen(
                ["bash", "--norc", "--noprofile"],
                stdin=subprocess.PIPE,
                stdout=heard,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=self.environ,
                start_new_session=True,
            )
        self._write("set -m")  # as at a terminal: jobs by number, each ended by its own signal

    def _write(self, line: str) -> None:
        assert self._bash.stdin is not None
        self._bash.stdin.write(line.encode() + b"\n")
        self._bash.stdin.flush()

    def run(self, command: str) -> int:
        """Types one command and waits for its end; its status. ``said`` grows by what it said."""
        token, start = f"@{uuid.uuid4().hex}", self._heard.stat().st_size
        self._typed.write_text(command, encoding="utf-8")
        self._write(f". {shlex.quote(str(self._typed))} < /dev/null; printf '\\n{token} %s\\n' $?")
        end = re.compile(rf"\n{token} (\d+)\n")

        def heard() -> str:
            return self._heard.read_bytes()[start:].decode(errors="replace")

        until(
            lambda: end.search(heard()) is not None or self._bash.poll() is not None, COMMAND_SECONDS, command
        )
        text = heard()
        found = end.search(text)
        assert found, f"the shell ended at: {command}\n{text}"
        self.said += text[: found.start()] + "\n"
        return int(found[1])

    def follow(self, block: Block) -> None:
        """Does what a reader does with the block. AssertionError where it is not as the page says."""
        text = self.alter(block.text)
        if block.note == NOT_RUN:
            return
        if block.language == "sh":
            self.said = ""
            for command in Block("sh", "", text, block.line).commands:
                expected = re.search(r"#.*\bstatus (\d+)", command)
                status = self.run(command)
                assert status == int(expected[1] if expected else 0), (
                    f"line {block.line}: ends with status {status}: {command}\n{self.said}"
                )
        elif block.language == "text":
            missing = lacking(text, self.said)
            assert missing is None, f"line {block.line}: nothing says {missing!r}, but:\n{self.said}"
        elif block.note:
            self._write_file(block.note, text)
        elif block.language == "python":
            self.follow(Block("sh", "", f"python -c {shlex.quote(text)}", block.line))

    def _write_file(self, note: str, text: str) -> None:
        name, more = note.removesuffix(" +"), note.endswith(" +")
        file = self.path(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        before = file.read_text(encoding="utf-8") + "\n\n" if more else ""
        file.write_text(before + text, encoding="utf-8")

    def path(self, name: str) -> Path:
        """Where a file lies that the page names: from the shell's folder, ``~`` is the home."""
        return self.folder / name.replace("~", self.environ["HOME"], 1)

    def close(self) -> None:
        """Ends it, and whatever it left running."""
        with contextlib.suppress(psutil.Error):
            for process in psutil.Process(self._bash.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    process.kill()
        self._bash.kill()
        if self._bash.stdin is not None:
            self._bash.stdin.close()
        self._bash.wait()


@contextlib.contextmanager
def shell(folder: Path, environ: Mapping[str, str]) -> Iterator[Shell]:
    """A shell in the folder, with a home below it, ended with the block."""
    home = folder / "reader"
    home.mkdir(exist_ok=True)
    made = Shell(folder, {**environ, "HOME": str(home)})
    try:
        yield made
    finally:
        made.close()


def put_on_path(folder: Path, **programs: list[str]) -> str:
    """A PATH with these programs first, each a call of another one with the arguments that it gets."""
    folder.mkdir(exist_ok=True)
    for name, call in programs.items():
        file = folder / name
        file.write_text(f'#!/bin/sh\nexec {shlex.join(call)} "$@"\n')
        file.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"
