"""The program of a host, as far as it needs no engine: its archive, its deployments, its words."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
import zipfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from soundbite.platforms.hosts import archive
from soundbite.platforms.hosts.agent import colours, deployments, engine, joining, proxy, steps
from soundbite.platforms.hosts.agent.failure import StepFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ORDER = {"files": {"base.yml": "services: {}"}, "told": {"image": "app@sha256:1"}, "secrets": {"TOKEN": "a secret\n"}}


@pytest.fixture
def removed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, ...]]:
    """Give the deployments a folder, and tell what docker was asked to do."""
    monkeypatch.setattr(deployments, "_FOLDER", tmp_path / "deployments")
    monkeypatch.setattr(deployments, "_SERVED", tmp_path / "served.json")
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(engine, "docker", lambda *words, **_: asked.append(words))
    deployments.make_folder()
    return asked


def keep(*names: str, image: str = "app@sha256:1", serves: bool = True) -> None:
    for name in names:
        deployments.keep(name, {**ORDER, "told": {"image": image}})
        if serves:
            deployments.note_served(name)


def ran(folder: Path, verb: str, order: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
    """Run the archive as a host does."""
    path = folder / archive.NAME
    path.write_bytes(archive.content())
    return answered(path, verb, order)


def answered(path: Path, verb: str, order: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
    """Run an archive that is there."""
    command = [sys.executable, "-I", str(path), verb]
    done = subprocess.run(command, input=json.dumps(order or {}), capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def test_the_archive_is_the_same_for_the_same_contents() -> None:
    first = archive.content()
    archive.content.cache_clear()
    assert archive.content() == first


def test_an_archive_that_was_compiled_works_as_before_on_this_python_and_on_another(tmp_path: Path) -> None:
    path = tmp_path / archive.NAME
    path.write_bytes(archive.content())
    asked = "from agent import compiling; compiling.compile_archive(); print(compiling.__file__)"

    def compiled() -> str:
        code = f"import sys; sys.path.insert(0, {str(path)!r}); {asked}"
        done = subprocess.run([sys.executable, "-IS", "-c", code], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    assert compiled() == f"{path}/agent/compiling.py"
    without_index = archive.content()[:-2000]
    assert path.read_bytes().startswith(without_index)  # what somebody reads of it is where it was
    with zipfile.ZipFile(path) as packed:
        names = packed.namelist()
        texts = {name: packed.read(name) for name in names}
    sources = {name for name in names if name.endswith(".py")}
    assert set(names) == sources | {f"{name}c" for name in sources}
    assert len(sources) > 10
    was = path.stat().st_mtime_ns
    assert compiled() == f"{path}/agent/compiling.pyc"  # what Python takes; and nothing is done again
    assert path.stat().st_mtime_ns == was
    assert [each.name for each in tmp_path.iterdir()] == [archive.NAME]
    assert answered(path, "status")[1]["agent"] == archive.digest()
    with zipfile.ZipFile(path, "w") as packed:  # another Python's
        for name, text in texts.items():
            packed.writestr(name, text if name in sources else b"\0\0\r\n" + text[4:])
    assert answered(path, "status")[1]["agent"] == archive.digest()
    theirs = path.read_bytes()
    assert compiled() == f"{path}/agent/compiling.py"
    assert path.read_bytes() == theirs
    assert [each.name for each in tmp_path.iterdir()] == [archive.NAME]


def test_where_an_archive_cannot_be_compiled_it_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / archive.NAME
    path.write_bytes(archive.content())
    (tmp_path / ".agent.compiled").mkdir()  # nothing can be written there
    code = f"import sys; sys.path.insert(0, {str(path)!r}); from agent import compiling; compiling.compile_archive()"
    done = subprocess.run([sys.executable, "-IS", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert path.read_bytes() == archive.content()
    assert answered(path, "status")[1]["agent"] == archive.digest()


@contextmanager
def served(folder: Path) -> Iterator[Callable[..., dict[str, Any]]]:
    """Give a function that asks an agent that stays for a step."""
    path = folder / archive.NAME
    path.write_bytes(archive.content())
    with subprocess.Popen(
        [sys.executable, "-IS", str(path), "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None
        assert stdout is not None

        def ask(verb: str, order: dict[str, Any] | None = None, timeout: float = 20) -> dict[str, Any]:
            stdin.write(json.dumps({"verb": verb, "order": order or {}, "timeout": timeout}) + "\n")
            stdin.flush()
            return dict(json.loads(stdout.readline()))

        try:
            yield ask
        finally:
            stdin.close()
            assert stdout.read() == ""
            assert process.wait(20) == 0


def test_one_that_stays_does_each_step_as_one_that_is_started(tmp_path: Path) -> None:
    with served(tmp_path) as ask:
        first, second = ask("status"), ask("status")
        wrong, broken, third = ask("no-such-verb"), ask("stage", {"token": 5}), ask("status")
    started = ran(tmp_path, "status")
    for told in (first, second):
        assert (told["code"], json.loads(told["out"])["token"], told["err"]) == (0, 0, "")
    anything = {"free": 0}
    assert (third["code"], json.loads(third["out"]) | anything) == (started[0], started[1] | anything)
    assert started[1]["token"] == 5
    assert (wrong["code"], json.loads(wrong["out"])) == ran(tmp_path, "no-such-verb")
    assert (broken["code"], broken["out"]) == (1, "")
    assert "KeyError: 'deployment'" in broken["err"]


def test_a_step_is_ended_at_its_deadline_and_the_next_one_is_done(tmp_path: Path) -> None:
    began = time.monotonic()
    with served(tmp_path) as ask, (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another step is at work
        late = ask("drain", {"token": 1, "lock_wait": 60}, timeout=0.5)
        assert late == {"code": 124, "out": "", "err": ""}
        assert 0.5 < time.monotonic() - began < 20
        assert ask("status")["code"] == 0


def test_one_that_stays_ends_where_who_asked_is_gone_and_the_step_is_done(tmp_path: Path) -> None:
    path = tmp_path / archive.NAME
    path.write_bytes(archive.content())
    read, write = os.pipe()
    order = json.dumps({"verb": "stage", "order": {"token": 7}, "timeout": 20})
    with subprocess.Popen(
        [sys.executable, "-IS", str(path), "serve"], stdin=subprocess.PIPE, stdout=write, stderr=subprocess.PIPE
    ) as process:
        os.close(write)
        os.close(read)
        assert process.communicate(f"{order}\n{order}\n".encode(), timeout=20)[1] == b""
    assert process.returncode == 0
    assert (tmp_path / "token").read_text() == "7"


def test_the_archive_tells_its_own_digest_and_what_is_there(tmp_path: Path) -> None:
    code, told = ran(tmp_path, "status")
    assert (code, told["agent"]) == (0, archive.digest())
    assert (told["live"], told["serving"], told["deployments"], told["token"]) == (None, None, [], 0)


def test_an_unknown_verb_and_a_lost_lock_are_told_by_code_and_words(tmp_path: Path) -> None:
    assert ran(tmp_path, "dance") == (1, {"error": "there is no verb 'dance'"})
    (tmp_path / "token").write_text("7", encoding="utf-8")
    code, told = ran(tmp_path, "abandon", {"token": 6})
    assert code == 9
    assert told["error"] == "the order has token 6, and this host has seen 7: the lock was lost"


def test_the_archive_needs_nothing_but_python(tmp_path: Path) -> None:
    """Beside boto3, which is asked for only where the ledger is."""
    (tmp_path / archive.NAME).write_bytes(archive.content())
    with zipfile.ZipFile(tmp_path / archive.NAME) as packed:
        texts = {name: packed.read(name).decode() for name in packed.namelist()}
    assert {"__main__.py", "agent/program.py", "agent/joining.py"} <= texts.keys()
    lines = [line.lstrip() for text in texts.values() for line in text.splitlines()]
    assert not [line for line in lines if line.startswith(("from soundbite", "import soundbite"))]


def test_what_went_back_is_forgotten_with_its_secrets(removed: list[tuple[str, ...]]) -> None:
    keep("e-1", "e-2")
    keep("e-3", image="app@sha256:3")
    deployments.forget("e-3")
    assert deployments.kept() == deployments.served() == ["e-1", "e-2"]
    assert not (deployments.folder("e-3")).exists()
    assert removed == [("image", "rm", "app@sha256:3")]


def test_failed_ones_take_no_place_of_those_that_served(removed: list[tuple[str, ...]]) -> None:
    keep("e-1", "e-2", "e-3")
    keep("e-4", serves=False)
    assert deployments.served() == ["e-1", "e-2", "e-3"]
    assert deployments.prune("e-3") == ["e-4"]
    assert removed == []  # the image is another's, too


def test_three_that_served_stay_and_the_one_that_serves(removed: list[tuple[str, ...]]) -> None:
    keep("e-1", "e-2", "e-3", "e-4", "e-5")
    assert deployments.prune("e-1") == ["e-2"]
    assert deployments.kept() == ["e-1", "e-3", "e-4", "e-5"]
    assert removed == []


def test_what_is_kept_already_is_left_alone_and_what_is_another_is_replaced(removed: list[tuple[str, ...]]) -> None:
    keep("e-1")
    secret = deployments.folder("e-1") / "secrets" / "TOKEN"
    before = secret.stat().st_ino
    deployments.keep("e-1", ORDER)
    assert secret.stat().st_ino == before  # it may be mounted
    deployments.keep("e-1", {**ORDER, "secrets": {"TOKEN": "another"}})
    assert secret.read_text(encoding="utf-8") == "another"
    assert oct(secret.stat().st_mode)[-3:] == "444"
    assert removed == []


def test_no_line_leaves_the_host_with_a_secret_of_any_deployment(removed: list[tuple[str, ...]]) -> None:
    keep("e-1")
    deployments.keep("e-2", {**ORDER, "secrets": {"TOKEN": 'with "quotes" and ä', "SHORT": "ab"}})
    lines = ["it says a secret twice: a secret", 'and with "quotes" and ä', "abc"]
    assert deployments.masked(lines) == ["it says ******** twice: ********", "and ********", "abc"]
    assert removed == []


@pytest.mark.parametrize(
    ("says", "starts"),
    [
        ("runc create failed: waiting for init preliminary setup: read init-p: connection reset by peer", 2),
        ("runc create failed: exec: no such file", 1),
    ],
)
def test_what_the_engine_itself_fumbled_is_started_again_once(
    says: str, starts: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = tmp_path / "counted"
    docker = tmp_path / "docker"
    docker.write_text(f"#!/bin/sh\necho start >> {counted}\necho '{says}' >&2\nexit 1\n", encoding="utf-8")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(engine, "_PLUGINS", ())
    with pytest.raises(StepFailed, match="runc create failed"):
        engine.compose("a", [], {}, "up")
    assert counted.read_text(encoding="utf-8").split() == ["start"] * starts


def test_going_back_while_what_served_starts_again_points_to_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that was rebooted in a deployment: when it is asked to go back, what served does not answer yet."""
    monkeypatch.setattr(colours, "HOME", tmp_path)
    monkeypatch.setattr(colours, "FOLDER", tmp_path)
    monkeypatch.setattr(colours, "_LIVE", tmp_path / "live")
    (tmp_path / "green.json").write_text('{"deployment": "staging-2"}', encoding="utf-8")
    colours.point("green")
    monkeypatch.setattr(deployments, "told", lambda _: {"image": "app@sha256:1"})
    monkeypatch.setattr(colours, "answers", lambda *_: False)  # at first
    monkeypatch.setattr(colours, "runs", lambda colour, *_, **__: colour == "green")  # a moment later
    monkeypatch.setattr(proxy, "require_answer", lambda *_: None)
    monkeypatch.setattr(joining, "note_offline", lambda **_: None)
    assert steps.back({"deployment": "staging-2", "leave": "staging-3"}) == {"serving": "staging-2"}
    assert colours.live() == "green"


def test_compose_is_called_by_itself_where_docker_would_find_it_and_by_docker_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home, everybodys, called = tmp_path / ".docker" / "cli-plugins", tmp_path / "usr", tmp_path / "called"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(engine, "_PLUGINS", ("~/.docker/cli-plugins", str(everybodys)))
    for program in (tmp_path / "docker", everybodys / "docker-compose", home / "docker-compose"):
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f'#!/bin/sh\necho "$0" "$@" >{called}\n')
        program.chmod(0o755)
        engine.compose_down("some-project")
        words = ["compose"] if program.name == "docker" else []
        down = ["--project-name", "some-project", "down", "--remove-orphans", "--volumes"]
        assert called.read_text().split() == [str(program), *words, *down]


def test_what_compose_says_when_it_fails_is_told_by_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "docker-compose"
    program.write_text("#!/bin/sh\necho no luck today >&2; exit 17\n")
    program.chmod(0o755)
    monkeypatch.setattr(engine, "_PLUGINS", (str(tmp_path),))
    told = "^docker-compose --project-name some-project ended with exit code 17: no luck today$"
    with pytest.raises(StepFailed, match=told):
        engine.compose_down("some-project")


@pytest.mark.parametrize("there", ["as a program", "where docker alone finds it", "nowhere"])
def test_a_host_without_compose_is_refused(there: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(engine, "_PLUGINS", (str(tmp_path),))
    monkeypatch.setattr(engine, "body_of", lambda *_: b"OK")
    says = {"where docker alone finds it": "2.26.1"}.get(there, "")
    asked = tmp_path / "asked"
    for name in ("docker", *(["docker-compose"] if there == "as a program" else [])):
        (tmp_path / name).write_text(f'#!/bin/sh\necho "$@" >>{asked}\necho {says}\n')
        (tmp_path / name).chmod(0o755)
    if there == "nowhere":
        with pytest.raises(StepFailed, match="install docker-compose-v2"):
            engine.require()
    else:
        engine.require()
    assert asked.exists() == (there != "as a program")
