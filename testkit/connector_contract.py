"""What every connector owes, whatever its platform: one function a law, each raises AssertionError."""

from __future__ import annotations

import random
import re
import tomllib
import traceback
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from pipeline.core.configuration import convert_table
from pipeline.core.errors import ConfigError, RejectedError, RetryableError
from pipeline.core.post import Post, decode_post, encode_post
from pipeline.core.schema import bare
from pipeline.core.settings import Secret
from testkit.connector_drive import Drive, Fixture, Stage, driven, overheard
from testkit.platform.faults import FAULTS, HUGE, MISSING, RESET_SECONDS, Fault, put

COUNT = 45
"""Items that a platform is told of in one test."""


def everything(drive: Drive, stage: Stage) -> Callable[[], bool]:
    """Whether all posts that the platform was told of have arrived."""
    return lambda: stage.timeline.expected <= drive.got.keys()


def check_everything_arrives(fixture: Fixture, folder: Path) -> None:
    """All posts come, nothing else does, and every one is valid, of its source, and in UTC."""
    with fixture.stage(folder) as stage:
        stage.tell(COUNT)
        with driven(fixture, stage, folder) as drive:
            drive.until(everything(drive, stage), "not all posts came")
            drive.until_idle()
            assert drive.got.keys() == stage.timeline.expected
            assert not drive.rejected
            assert not drive.errors
            for post in drive.got.values():
                _check_post(post)


def _check_post(post: Post) -> None:
    again = decode_post(encode_post(post))
    assert again.id == post.id
    assert post.id.startswith(f"{post.source}:")
    for name in ("created_at", "collected_at", "edited_at"):
        moment = getattr(post, name)
        assert moment is None or moment.utcoffset().total_seconds() == 0, f"{name} is not in UTC"
    if not post.deleted:
        assert again == post, "is not the same when it is read from the topic"
        assert post.author.id.startswith(f"{post.source}:"), "author.id must begin with the source"


def check_ids_are_stable(fixture: Fixture, folder: Path) -> None:
    """Read twice, a post is the same but for the time of collection."""
    with fixture.stage(folder) as stage:
        stage.tell(COUNT)
        seen = []
        for _ in range(2):
            with driven(fixture, stage, folder) as drive:
                drive.until(everything(drive, stage), "not all posts came")
                seen.append(
                    {key: msgspec.structs.replace(post, collected_at=None) for key, post in drive.got.items()}
                )
        assert seen[0] == seen[1], "the posts of two readings differ"


def check_cursor_is_never_ahead(fixture: Fixture, folder: Path) -> None:
    """From the cursor of any read, all posts come that were in no read before it."""
    with fixture.stage(folder) as stage:
        stage.tell(COUNT)
        with driven(fixture, stage, folder) as drive:
            drive.until(everything(drive, stage), "not all posts came")
            reads = drive.reads
        assert len(reads) > 3, "the fixture's table must ask for small batches, for this law to have teeth"
        before: set[tuple[str, bool]] = set()
        for ids, cursor in reads:
            before |= ids
            missing = stage.timeline.expected - before
            with driven(fixture, stage, folder, cursor) as drive:
                drive.until(lambda d=drive, m=missing: m <= d.got.keys(), f"lost behind {cursor}")  # type: ignore[misc]


def check_crash_anywhere(fixture: Fixture, folder: Path, seed: int) -> None:
    """Dies again and again, before or after a cursor was kept, while the platform talks on: no loss."""
    chance = random.Random(seed)
    with fixture.stage(folder) as stage:
        stage.tell(COUNT // 2)
        with driven(fixture, stage, folder) as drive:
            for step in range(12):
                if step % 4 == 3:
                    stage.tell(COUNT // 6)
                cursor, got, rejected = drive.cursor, dict(drive.got), list(drive.rejected)
                drive.read()
                if chance.random() < 0.5:  # it had not been confirmed when the process died
                    drive.cursor, drive.got, drive.rejected = cursor, got, rejected
                if chance.random() < 0.8:
                    drive.crash()
            drive.until(everything(drive, stage), "lost by a crash")
            assert drive.got.keys() == stage.timeline.expected
            assert not drive.rejected


def check_fault(fixture: Fixture, fault: Fault, folder: Path, *, midway: bool) -> None:
    """The fault befalls the connector at once or midway, and it dies in the midst of it: it does its duty and
    loses nothing.
    """
    with fixture.stage(folder) as stage, overheard() as said:
        stale = fixture.stale if fault.name == "cursor too old" else None
        if not midway:
            stage.spoil(fault)
        stage.tell(COUNT // 3)
        with driven(fixture, stage, folder, stale) as drive:
            spared = 1 if fault.duty == "reject" else 0

            def come() -> bool:
                return len(stage.timeline.expected - drive.got.keys()) <= spared

            if midway:
                drive.until(come, "not all posts came")
                stage.spoil(fault)
                stage.interrupt()
                stage.tell(COUNT // 3)
            drive.until(lambda: stage.met(fault), f"never meets `{fault.name}`")
            drive.until(lambda: bool(drive.rejected) or not spared, "no rejection")
            drive.crash()
            drive.until(come, f"posts are lost by `{fault.name}`")
            stage.interrupt()
            stage.tell(COUNT // 3)
            drive.until(come, f"posts are lost behind `{fault.name}`")
            drive.until_idle()
            _check_duty(fault, drive, stage)
            if stale is not None:
                assert drive.errors or any("WARNING" in line for line in said), "loses history in silence"


def _check_duty(fault: Fault, drive: Drive, stage: Stage) -> None:
    kinds = [type(error).__name__ for error in drive.errors]
    assert drive.got.keys() <= stage.timeline.expected, "came from nowhere"
    refused = [one.error for one in drive.rejected]
    assert bool(refused) == (fault.duty == "reject"), f"refused {len(refused)} items: {refused[:3]}"
    if fault.duty == "config":
        assert "ConfigError" in kinds, f"must end in a ConfigError, came {kinds}"
        for error in drive.errors:
            assert not isinstance(error, ConfigError) or len(str(error)) > 40, f"no remedy: {error}"
    else:
        assert set(kinds) <= {"RetryableError"}, drive.errors
    if fault.duty == "retry":
        assert kinds, "must raise a RetryableError"
    if fault.resets:
        rest = max(error.retry_after or 0 for error in drive.errors if isinstance(error, RetryableError))
        assert RESET_SECONDS - 1.5 <= rest <= RESET_SECONDS + 1, f"rests {rest} s, not to the reset"
    if stage.server is not None:
        assert stage.server.trespasses == 0, "followed a redirect to another machine"
        assert stage.server.filled < HUGE // 3, f"took in {stage.server.filled} bytes"


def check_secrets_stay_secret(fixture: Fixture, folder: Path) -> None:
    """No secret stands in a log, a repr, a message, a trace, a cursor, a post or a rejection."""
    if not fixture.secrets:
        fields = msgspec.structs.fields(import_module(f"connectors.{fixture.kind}").SETTINGS)
        kept = [field.name for field in fields if bare(field.type) is Secret]
        assert not kept, f"the fixture gives no secret for {kept}: put one into its table and into `secrets`"
        return
    texts: list[str] = []
    faults = [one for one in FAULTS if one.name not in fixture.exempt and not one.redirects]
    with fixture.stage(folder) as stage, overheard() as said, driven(fixture, stage, folder) as drive:
        for fault in faults:
            stage.tell(2)
            stage.spoil(fault)
            stage.interrupt()
            for _ in range(3):
                drive.read()
        texts += [repr(drive.connector), repr(drive.reads), repr(drive.rejected), repr(drive.got)]
        texts += ["".join(traceback.format_exception(error)) for error in drive.errors]
        texts += said
    for secret in fixture.secrets:
        for text in texts:
            assert secret not in text, f"a secret shows: {text[:200]}"


_STRANGE: tuple[Any, ...] = (MISSING, None, True, -1, 1.5, 2**70, "", "x", "\x00", [], [None], {}, {"x": 1})


def check_parse_survives(fixture: Fixture) -> None:
    """``parse`` gives a valid post, None or a RejectedError, whatever stands in any field, or in none."""
    parse = import_module(f"connectors.{fixture.kind}").parse
    for item in {fixture.item(number, 1_700_000_000.0 + number).text() for number in range(30)}:
        _parse_one(parse, item)
        for cut in (0, 1, len(item) // 2, len(item) - 1):
            _parse_one(parse, item[:cut])
        data = msgspec.json.decode(item)
        for path in _paths(data):
            for value in _STRANGE:
                _parse_one(parse, msgspec.json.encode(put(data, path, value)))


def _parse_one(parse: Callable[[bytes], Post | None], raw: bytes) -> None:
    try:
        post = parse(raw)
    except RejectedError:
        return
    except Exception as error:
        raise AssertionError(f"parse raises {error!r} at {raw[:300]!r}") from error
    if post is not None:
        assert decode_post(encode_post(post)).id == post.id, raw


def _paths(data: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    pairs = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in pairs:
        yield (*at, key)
        yield from _paths(value, (*at, key))


def check_page(kind: str, docs: Path) -> None:
    """docs/connectors/NAME.md has every setting and no other, and an example that the connector takes."""
    page = docs / "connectors" / f"{kind}.md"
    assert page.exists(), (
        f"connectors/{kind}.py has no page: add docs/connectors/{kind}.md, as docs/connectors/bluesky.md is"
    )
    text = page.read_text(encoding="utf-8")
    settings = import_module(f"connectors.{kind}").SETTINGS
    table = text.partition("\n## Settings\n")[2].partition("\n## ")[0]
    keys = {
        f"{one.encode_name}_file" if bare(one.type) is Secret else one.encode_name
        for one in msgspec.structs.fields(settings)
    }
    told = set(re.findall(r"^\| `([a-z_]+)` \|", table, re.MULTILINE))
    assert told == keys, (
        f"{page.name}: the table of settings lacks {keys - told} or has too many {told - keys}"
    )
    examples = re.findall(r"```toml\n(.+?)```", text, re.DOTALL)
    assert examples, f"{page.name}: there is no ```toml example"
    for example in examples:
        tables = tomllib.loads(example)["connectors"]
        for name, content in tables.items():
            assert content["kind"] == kind, f"{page.name}: the example is of another kind"
            shown = {key: value for key, value in content.items() if not key.endswith("_file")}
            convert_table(settings, {**content, **_secrets(content, page)}, f"connectors.{name}", environ={})
            assert shown, f"{page.name}: an example without a setting helps nobody"
    for heading in ("What it reads", "Limits", "Deletions and edits"):
        assert f"\n## {heading}\n" in text, f"{page.name}: lacks the section `{heading}`"


def _secrets(content: Mapping[str, Any], page: Path) -> dict[str, str]:
    """A file that exists in place of each that holds a secret on the reader's machine."""
    return {key: str(page) for key in content if key.endswith("_file")}
