"""scripts/engine, as far as it can be tried without taking the engine away that the other tests use.

That it makes one where there is none is what `.ci/run` does before any test.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import ROOT, clean_environ

if TYPE_CHECKING:
    from pathlib import Path


def engine_script(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run scripts/engine."""
    return subprocess.run(
        [str(ROOT / "scripts" / "engine"), *arguments],
        env=clean_environ(**more),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd="/",
    )


@pytest.fixture
def module() -> Any:
    """Return the script as a module."""
    spec = importlib.util.spec_from_file_location("engine_script", ROOT / "scripts" / "engine.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.mark.parametrize("arguments", [(), ("sideways",), ("up", "down")])
def test_wrong_arguments_get_the_usage(arguments: tuple[str, ...]) -> None:
    done = engine_script(*arguments)
    assert done.returncode == 2
    assert "usage: scripts/engine up | status | down" in done.stderr


def test_status_names_what_is_there(engine: str) -> None:
    done = engine_script("status")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(rf"✓ engine +{re.escape(engine)}", done.stdout)
    assert "✓ compose" in done.stdout


def test_status_of_nothing_fails() -> None:
    done = engine_script("status", DOCKER_HOST="unix:///nonexistent/docker.sock")
    assert done.returncode == 1
    assert re.search(r"✗ engine +missing", done.stdout)
    assert "Traceback" not in done.stderr


def test_without_root_it_says_what_it_takes(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(module.EngineError, match=r"takes root on Linux.\n→ sudo scripts/engine up"):
        module._install()


def test_every_base_image_of_the_files_is_known_and_can_be_built(module: Any) -> None:
    named = module.base_images()
    texts = [path.read_text() for path in (*ROOT.glob("*/Dockerfile"), *ROOT.glob("compose/*/Dockerfile"))]
    arguments = {name for text in texts for name in re.findall(r"^ARG \w+_IMAGE=(\S+)$", text, re.MULTILINE)}
    assert arguments <= set(named)
    assert any(name.startswith("nginx:") for name in named)
    assert {name.partition(":")[0] for name in named} <= module.RECIPES


def test_an_engine_of_others_is_left_alone(module: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module.RECORD = tmp_path / "none.json"
    assert module.down() == 0
    assert "no engine of ours runs" in capsys.readouterr().err


def test_a_record_of_another_process_with_the_same_pid_is_not_ours(module: Any, tmp_path: Path) -> None:
    module.RECORD = tmp_path / "record.json"
    pid, started = os.getpid(), module._start_time(os.getpid())
    module.RECORD.write_text(f'{{"pid": {pid}, "started": "{started}"}}')
    assert module._ours() == pid
    module.RECORD.write_text(f'{{"pid": {pid}, "started": "1"}}')
    assert module._ours() is None


def test_node_of_another_version_than_the_dockerfile_wants_is_refused(module: Any) -> None:
    with pytest.raises(module.EngineError, match=r"requirements.lock brings node \d+"):
        module._node("node:1.2.3-trixie-slim")


@pytest.mark.parametrize(("ci", "code", "says"), [("", 0, "SKIPPED"), ("true", 1, "ERROR")])
def test_without_an_engine_tests_skip_with_the_reason_and_fail_in_ci(ci: str, code: int, says: str) -> None:
    one = "tests/containers/test_nginx.py"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rsE", "-p", "no:cacheprovider", one],
        env=clean_environ(DOCKER_HOST="unix:///nonexistent/docker.sock", **({"CI": ci} if ci else {})),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert says in done.stdout
    assert "no Docker engine answers; scripts/engine up provides it on Debian" in done.stdout
