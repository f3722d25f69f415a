"""The image's health check asks the pages that roles really serve."""

from __future__ import annotations

import asyncio
import importlib.util
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

from pipeline.app import notes
from pipeline.app.health import Health, Presence, announce, serve
from pipeline.app.meters import Meters
from testkit.deploy.container import PAGES

SCRIPT = Path(__file__).parents[2] / "configs" / "deploy" / "health.py"


@pytest.fixture
def script() -> ModuleType:
    """The script as a module; it is no part of any package."""
    spec = importlib.util.spec_from_file_location("health_check", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def _role(health: Health) -> Iterator[int]:
    """The pages of a role, as the daemon serves them; the port."""
    loop = asyncio.new_event_loop()
    runner, port = loop.run_until_complete(serve(health, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield port
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_a_role_serves_the_pages_that_are_asked() -> None:
    with _role(Health("index", Meters())) as port:
        for page in PAGES:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{page}", timeout=30) as answer:
                assert answer.status == 200
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=30)


def test_a_role_that_waits_lives_and_is_not_ready(
    script: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    health = Health("index", Meters())
    health.waits("elasticsearch", "Elasticsearch does not answer")
    with _role(health) as port:
        assert script.main([f"http://127.0.0.1:{port}/healthz"]) == 0
        assert script.main([f"http://127.0.0.1:{port}/healthz", f"http://127.0.0.1:{port}/readyz"]) == 1
        assert "Elasticsearch does not answer" in capsys.readouterr().out
        health.works("elasticsearch")
        assert script.main([f"http://127.0.0.1:{port}/readyz"]) == 0


def test_without_pages_it_asks_every_role_that_left_its_note(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GROUNDSWELL_HOME", str(tmp_path))
    assert script.main([]) == 1
    assert capsys.readouterr().out == "no role runs here\n"
    with _role(Health("index", Meters())) as port:
        announce(tmp_path, "index", port)
        assert script.main([]) == 0
    assert script.main([]) == 1
    assert "does not answer" in capsys.readouterr().out


def test_a_role_that_was_killed_and_started_again_is_well(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROUNDSWELL_HOME", str(tmp_path))
    with _role(Health("index", Meters())) as port:
        killed = Presence("index", 2**22 + 1, 0.0, 1)
        notes.leave(tmp_path / "run" / f"role-index-{killed.pid}.json", killed)
        assert script.main([]) == 1
        announce(tmp_path, "index", port)
        assert script.main([]) == 0
