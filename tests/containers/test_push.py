"""`inv build --push` with real registries: a digest from then on, and nothing half-tagged on a bad day."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from soundbite import emulator, environment, publishing
from soundbite.building import Built
from soundbite.cloud import Cloud
from soundbite.errors import SoundbiteError
from soundbite.registry import Credentials, Name, Registry
from tests.conftest import free_ports
from tests.containers.conftest import docker
from tests.containers.registries import RegistryServer, Stalling
from tests.containers.services import Checkout, checkout
from tests.integration.conftest import DEADLINE

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSWORD = "correct-horse-battery"
MIB = 2**20


@pytest.fixture
def service(project: Path, unique: str, tmp_path: Path) -> Iterator[Checkout]:
    """Return a checkout whose only environments are dev-localstack and dev-aws, with the same image."""
    for path in (project / "envs").glob("*.env"):
        if path.stem not in {"common", "rehearsal", "dev-localstack", "dev-aws"}:
            path.unlink()
    made = checkout(project, unique, tmp_path / "home", PROCESSOR_ARTIFACT="")
    yield made
    made.clean()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RegistryServer]:
    with RegistryServer(tmp_path / "registry") as made:
        yield made


def pushes_to(service: Checkout, host: str, env: str = "dev-localstack", **more: str) -> str:
    """Let an environment push to a registry; return its repository."""
    repository = f"{host}/{service.name}/app"
    service.put(env, IMAGE_REPOSITORY=repository, **more)
    return repository


def pushed(done: subprocess.CompletedProcess[str]) -> Name:
    """Return what was pushed, as `inv build --push` printed it."""
    found = re.fullmatch(r"dev-localstack: (\S+@sha256:[0-9a-f]{64})\n", done.stdout)
    assert found, done.stdout
    return Name.parse(found[1])


def tags(server: RegistryServer, service: Checkout, user: Credentials | None = None) -> list[str]:
    with Registry(server.host, user) as registry:
        return registry.tags(f"{service.name}/app")


def holdings(server: RegistryServer) -> dict[str, int]:
    """Return all files of a registry, and when each was written."""
    return {str(path): path.stat().st_mtime_ns for path in server.storage.rglob("*") if path.is_file()}


def assert_only_here(service: Checkout, repository: str) -> None:
    """See that this machine has the image, that it is usable, and that nothing says it were in a registry."""
    (tag,) = service.tags()
    assert service.tags(repository) == set()
    container = docker("create", f"{service.repository}:{tag}", "/nothing")
    docker("rm", container)
    assert "unchanged" in service.build().stderr


@contextmanager
def command_lines() -> Iterator[list[str]]:
    """Note the command lines and variables of all processes while a block runs."""
    seen: list[str] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.01):
            for process in psutil.process_iter():
                try:
                    seen.append(" ".join(process.cmdline()))
                except psutil.Error:
                    continue

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def test_a_full_registry_is_told_and_nothing_is_tagged(service: Checkout, tmp_path: Path) -> None:
    storage = tmp_path / "small"
    storage.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(storage)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root can mount a small file system")
    try:
        service.write(os.urandom(6 * MIB))
        with RegistryServer(tmp_path / "full", storage=storage) as full:
            repository = pushes_to(service, full.host)
            # docker tries five times, with pauses that grow: this takes most of a minute.
            done = service.build("--push", code=1)
            assert "could not be pushed; the registry has no such tag" in done.stderr
            assert "a full disk is often the reason" in done.stderr
            assert tags(full, service) == []
        assert_only_here(service, repository)
    finally:
        subprocess.run(["umount", "-l", str(storage)], check=True)


def test_a_push_gives_a_digest_and_the_second_carries_nothing(service: Checkout, server: RegistryServer) -> None:
    repository = pushes_to(service, server.host)
    first = service.build("--push")
    name = pushed(first)
    assert str(name).startswith(f"{repository}@sha256:")
    assert re.search(r"✓ push +dev-localstack: \S+, pushed  ", first.stderr), first.stderr
    (tag,) = service.tags()
    with Registry(server.host) as registry:
        assert registry.tags(name.repository) == [tag]
        assert registry.digest(name.repository, tag) == name.digest
        assert registry.config(name.repository, name.digest or "")["config"]["Labels"]["sbtest"] == service.name

    before = holdings(server)
    second = service.build("--push", "--json")
    assert ", was there  " in second.stderr
    assert json.loads(second.stdout)[0]["image"] == str(name)
    assert holdings(server) == before

    service.clean()
    docker("pull", "-q", str(name))
    assert service.label(str(name), "sbtest") == service.name


def test_an_image_that_was_pushed_can_be_pruned(service: Checkout, server: RegistryServer) -> None:
    repository = pushes_to(service, server.host)
    service.build("--push")
    (old,) = service.tags()
    service.write()
    service.build()
    done = service.inv("images.prune", "--keep=1")
    assert (done.returncode, done.stdout) == (0, f"removed {service.repository}:{old}\n"), done.stderr
    assert old not in service.tags()
    assert docker("images", "-q", repository) == ""


def test_the_second_registry_gets_a_copy_with_the_same_digest(
    service: Checkout, server: RegistryServer, tmp_path: Path
) -> None:
    with RegistryServer(tmp_path / "other") as other:
        first = pushes_to(service, server.host)
        second = pushes_to(service, other.host, "dev-aws")
        done = service.build("--all", "--push", "--json")
        one, two = (Name.parse(each["image"]) for each in json.loads(done.stdout))
        assert one.digest == two.digest
        assert [f"{each.registry}/{each.repository}" for each in (one, two)] == [first, second]
        assert "copied, 2 blobs, 0 MB" in done.stderr
        assert service.tags(second) == set()  # it did not come through this machine's engine
        assert tags(other, service) == tags(server, service)
        again = service.build("--all", "--push", "--json")
        assert again.stderr.count("was there") == 2
        assert [each["image"] for each in json.loads(again.stdout)] == [str(one), str(two)]
        service.clean()
        for name in (one, two):
            docker("pull", "-q", str(name))
            assert service.label(str(name), "sbtest") == service.name


def test_in_a_rehearsal_variables_choose_the_registry_but_only_one_of_this_machine(
    service: Checkout, server: RegistryServer
) -> None:
    service.write()  # a dirty tree
    repository = f"{server.host}/{service.name}/app"
    known = {"EMULATOR_HOST": "127.0.0.1", "IMAGE_REPOSITORY": repository}
    assert str(pushed(service.build("--rehearse", "--push", variables=known))).startswith(f"{repository}@sha256:")
    known["IMAGE_REPOSITORY"] = f"registry.example.com:5000/{service.name}/app"
    away = service.build("--rehearse", "--push", variables=known, code=2)
    assert "is not on this machine" in away.stderr


def test_the_digest_is_the_registrys_where_the_tag_is_there(
    service: Checkout, server: RegistryServer, tmp_path: Path
) -> None:
    repository = pushes_to(service, server.host)
    service.build()
    (tag,) = service.tags()
    # The same content, built by somebody else at another time: another image, under the same name.
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "Dockerfile").write_text(f"FROM scratch\nLABEL sbtest={service.name} by=another\nCOPY . /\n")
    docker("build", "-q", "-t", f"{repository}:{tag}", str(tmp_path / "theirs"))
    docker("push", "-q", f"{repository}:{tag}")
    with Registry(server.host) as registry:
        theirs = registry.digest(f"{service.name}/app", tag)
    done = service.build("--push")
    assert pushed(done).digest == theirs
    assert "was there" in done.stderr


# Who we are


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[RegistryServer]:
    """Return a registry that wants a password."""
    with RegistryServer(tmp_path / "closed", users={"carrier": PASSWORD}) as made:
        yield made


def test_a_password_opens_a_registry_and_is_seen_nowhere(service: Checkout, closed: RegistryServer) -> None:
    pushes_to(service, closed.host, IMAGE_USERNAME="carrier", IMAGE_PASSWORD="env:SB_TEST_WORD")
    home = Path(service.inv.variables["HOME"])
    (home / ".docker").mkdir()
    (home / ".docker" / "config.json").write_text('{"auths": {}}')
    service.inv.forked = False  # its own command line is looked at, too
    with command_lines() as seen:
        done = service.build("--push", variables={"SB_TEST_WORD": PASSWORD})
    name = pushed(done)
    user = Credentials("carrier", PASSWORD)
    assert tags(closed, service, user) == [*service.tags()]
    assert any(line.startswith("docker push") for line in seen)
    encoded = user.basic.removeprefix("Basic ")
    kept = [
        path.read_bytes().decode(errors="replace")
        for folder in (home, service.root)
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    ]
    for text in (done.stdout, done.stderr, *seen, *kept):
        assert PASSWORD not in text
        assert encoded not in text
    assert json.loads((home / ".docker" / "config.json").read_text()) == {"auths": {}}

    # The same when it goes wrong, and where it is copied from there to somewhere else.
    with Registry(closed.host, user) as registry:
        assert registry.digest(name.repository, name.digest or "") == name.digest


def test_a_copy_signs_in_to_both(service: Checkout, closed: RegistryServer, tmp_path: Path) -> None:
    with RegistryServer(tmp_path / "other", users={"porter": f"{PASSWORD}!"}) as other:
        pushes_to(service, closed.host, IMAGE_USERNAME="carrier", IMAGE_PASSWORD="env:SB_ONE")
        pushes_to(service, other.host, "dev-aws", IMAGE_USERNAME="porter", IMAGE_PASSWORD="env:SB_TWO")
        done = service.build("--all", "--push", "--json", variables={"SB_ONE": PASSWORD, "SB_TWO": f"{PASSWORD}!"})
        assert len({Name.parse(each["image"]).digest for each in json.loads(done.stdout)}) == 1
        assert PASSWORD not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("user", "password", "code", "message"),
    [
        ("carrier", "wrong-but-secret", 1, "refused the user carrier"),
        ("stranger", PASSWORD, 1, "refused the user stranger"),
        ("carrier", "", 2, "IMAGE_PASSWORD=env:SB_TEST_WORD: it is empty or not set"),
        ("", PASSWORD, 2, "no user name"),
    ],
)
def test_a_registry_that_refuses_us_is_told_without_the_password(
    service: Checkout, closed: RegistryServer, user: str, password: str, code: int, message: str
) -> None:
    repository = pushes_to(service, closed.host, IMAGE_USERNAME=user, IMAGE_PASSWORD="env:SB_TEST_WORD")
    done = service.build("--push", code=code, variables={"SB_TEST_WORD": password})
    assert message in done.stderr
    if password:
        assert password not in done.stdout + done.stderr
    assert tags(closed, service, Credentials("carrier", PASSWORD)) == []
    assert service.tags(repository) == set()


def test_nobody_is_refused_where_a_password_is_wanted(service: Checkout, closed: RegistryServer) -> None:
    repository = pushes_to(service, closed.host)
    assert "asks for a user and password, and there are none" in service.build("--push", code=1).stderr
    assert_only_here(service, repository)


def test_a_users_own_docker_context_still_chooses_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from soundbite import engine

    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    docker("context", "create", "elsewhere", "--docker", f"host=unix://{tmp_path}/engine.sock")
    docker("context", "use", "elsewhere")
    shown = ["docker", "context", "inspect", "--format", "{{.Name}} {{.Endpoints.docker.Host}}"]
    expected = f"elsewhere unix://{tmp_path}/engine.sock"
    user = Credentials("carrier", PASSWORD)
    with publishing._signed_in("127.0.0.1:1", user) as variables:
        settings = Path(variables["DOCKER_CONFIG"]) / "config.json"
        assert settings.stat().st_mode & 0o777 == 0o600
        assert engine.run(shown, variables=variables).stdout.strip() == expected
        # And the user's own sign-ins are not in it.
        assert set(json.loads(settings.read_text())["auths"]) == {"127.0.0.1:1"}
    assert not settings.parent.exists()
    assert docker("context", "show") == "elsewhere"  # the links went, and not what they led to
    with publishing._signed_in("127.0.0.1:1", None) as variables:
        assert variables == {}


# Bad days


def test_a_registry_that_is_down_is_told_and_the_image_stays(service: Checkout) -> None:
    (port,) = free_ports(1)
    repository = pushes_to(service, f"127.0.0.1:{port}")
    done = service.build("--push", code=1)
    assert f"the registry 127.0.0.1:{port} cannot be reached" in done.stderr
    assert "Is it running?" in done.stderr
    assert_only_here(service, repository)


def test_a_readonly_registry_is_told_and_nothing_is_tagged(service: Checkout, tmp_path: Path) -> None:
    with RegistryServer(tmp_path / "readonly", readonly=True) as readonly:
        repository = pushes_to(service, readonly.host)
        done = service.build("--push", code=1)
        assert "could not be pushed; the registry has no such tag" in done.stderr
        assert "read-only, or under maintenance" in done.stderr
        assert tags(readonly, service) == []
    assert_only_here(service, repository)


def test_a_push_refused_in_the_second_registry_leaves_the_first_as_it_is(
    service: Checkout, server: RegistryServer, tmp_path: Path
) -> None:
    with RegistryServer(tmp_path / "readonly", readonly=True) as readonly:
        pushes_to(service, server.host)
        pushes_to(service, readonly.host, "dev-aws")
        done = service.build("--all", "--push", code=1)
        assert "does not allow it" in done.stderr
        assert tags(readonly, service) == []
        assert tags(server, service) == [*service.tags()]


def test_an_interrupted_push_leaves_no_tag_and_can_be_repeated(service: Checkout, server: RegistryServer) -> None:
    service.write(os.urandom(6 * MIB))
    with Stalling(server.port, 3 * MIB) as slow:
        repository = pushes_to(service, slow.host)
        process = service.inv.start("build", "--push")
        try:
            assert slow.stalled.wait(DEADLINE)
        finally:
            process.send_signal(signal.SIGTERM)
            output, _ = process.communicate(timeout=DEADLINE)
        assert process.returncode == 128 + signal.SIGTERM, output
        assert "Interrupted." in output
        assert "Traceback" not in output
        assert tags(server, service) == []
        assert_only_here(service, repository)
        slow.flow()
        name = pushed(service.build("--push"))
        assert tags(server, service) == [*service.tags()]
        assert docker("manifest", "inspect", "--insecure", str(name)) != ""


# Amazon ECR, as emulated AWS has it


@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
def test_ecr_takes_a_push_with_its_own_token(unique: str, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    loaded = environment.load("dev-localstack", {"STATE_DIR": str(tmp_path / "state"), "EMULATOR_PORT": str(port)})
    cloud = Cloud(loaded)
    folder = tmp_path / "image"
    folder.mkdir()
    (folder / "content").write_bytes(os.urandom(2000))
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY content /content\n")
    docker("build", "-q", "-t", f"{unique}:1", str(folder))
    known: dict[str, Any] = json.loads(docker("image", "inspect", f"{unique}:1"))[0]
    built = Built(f"{unique}:1", known["Id"], "0" * 64, "unknown", known["Size"], fresh=True)
    try:
        emulator.start(loaded, cloud, emulator.process(loaded))
        ecr = cloud.client("ecr")
        uri = ecr.create_repository(repositoryName=unique)["repository"]["repositoryUri"]
        # What a stack's output says leads to the emulator's own registry.
        place = f"127.0.0.1:{port}/{uri.partition('/')[2]}"
        assert place == f"127.0.0.1:{port}/{unique}"
        published = publishing.publish(built, "production-0", cloud, place, [])
        assert published.how == "pushed"
        (image,) = ecr.describe_images(repositoryName=unique)["imageDetails"]
        assert (image["imageDigest"], image["imageTags"]) == (published.name.digest, ["production-0"])
        assert publishing.digest(built, place) == published.name.digest
        again = publishing.publish(built, "production-0", cloud, place, [])
        assert (again.name, again.how) == (published.name, "was there")
        with RegistryServer(tmp_path / "registry") as other:
            target = f"{other.host}/{unique}"
            copied = publishing.publish(built, "production-0", cloud, target, [(published, cloud)])
            assert copied.name.digest == published.name.digest
            assert copied.how.startswith("copied, 2 blobs")
        with pytest.raises(SoundbiteError):
            publishing.publish(built, "1", cloud, f"127.0.0.1:{port}/{unique}-absent", [])
    finally:
        emulator.stop(loaded, emulator.process(loaded))
