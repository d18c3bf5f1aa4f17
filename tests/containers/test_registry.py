"""The client of registries, against real ones: what it knows of images, and copies that are whole or not there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from soundbite.errors import ConfigurationError, Refused, SoundbiteError
from soundbite.registry import Copied, Credentials, Registry, copy
from soundbite.registry.manifests import IMAGES, INDEXES
from tests.conftest import ROOT, clean_environ, free_ports
from tests.containers.conftest import docker
from tests.containers.registries import Asked, RegistryServer, Scripted, Stalling, TokenIssuer, Told, made_certificate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PASSWORD = "correct horse battery"
NOWHERE = "sha256:" + "0" * 64
LAYER = "application/vnd.oci.image.layer.v1.tar"
FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
MIB = 2**20


@pytest.fixture
def source(tmp_path: Path) -> Iterator[RegistryServer]:
    with RegistryServer(tmp_path / "source") as server:
        yield server


@pytest.fixture
def target(tmp_path: Path) -> Iterator[RegistryServer]:
    with RegistryServer(tmp_path / "target") as server:
        yield server


def pushed(server: RegistryServer, folder: Path, name: str, *tags: str) -> str:
    """Build a tiny image with docker and push it; return its digest as docker tells it."""
    folder.mkdir()
    (folder / "random").write_bytes(os.urandom(2000))
    (folder / "Dockerfile").write_text('FROM scratch\nLABEL made.by="tests"\nCOPY random /random\n')
    for tag in tags:
        docker("build", "-q", "-t", f"{server.host}/{name}:{tag}", str(folder))
        docker("push", "-q", f"{server.host}/{name}:{tag}")
    told: list[str] = json.loads(
        docker("inspect", "--format", "{{json .RepoDigests}}", f"{server.host}/{name}:{tags[0]}")
    )
    return next(each.partition("@")[2] for each in told if each.startswith(f"{server.host}/"))


def put_blob(server: RegistryServer, data: bytes, repository: str = "app") -> dict[str, Any]:
    """Put a blob into a registry by hand; return its descriptor."""
    digest = f"sha256:{sha256(data).hexdigest()}"
    with httpx.Client(trust_env=False, timeout=10) as client:
        address = client.post(f"{server.url}/v2/{repository}/blobs/uploads/").headers["Location"]
        assert client.put(f"{address}&digest={digest}", content=data).status_code == 201
    return {"mediaType": LAYER, "digest": digest, "size": len(data)}


def put_manifest(
    server: RegistryServer, document: dict[str, Any], tag: str | None = None, repository: str = "app"
) -> str:
    """Put a manifest into a registry by hand; return its digest."""
    body = json.dumps(document).encode()
    digest = f"sha256:{sha256(body).hexdigest()}"
    url = f"{server.url}/v2/{repository}/manifests/{tag or digest}"
    answer = httpx.put(url, content=body, headers={"Content-Type": document["mediaType"]}, trust_env=False)
    assert answer.status_code == 201, answer.text
    return digest


def put_image(server: RegistryServer, *layers: bytes, tag: str | None = None, repository: str = "app") -> str:
    """Put an image into a registry by hand; return its digest."""
    config = put_blob(server, json.dumps({"architecture": "amd64", "os": "linux"}).encode(), repository)
    document = {
        "schemaVersion": 2,
        "mediaType": IMAGES[0],
        "config": config | {"mediaType": "application/vnd.oci.image.config.v1+json"},
        "layers": [put_blob(server, layer, repository) for layer in layers],
    }
    return put_manifest(server, document, tag, repository)


def copied(
    source: RegistryServer, digest: str, target: RegistryServer, tag: str | None = "1", user: Credentials | None = None
) -> Copied:
    """Copy `app` from one registry to the other."""
    with Registry(source.host) as ours, Registry(target.host, user) as theirs:
        return copy(ours, "app", digest, theirs, "app", tag)


def tags(server: RegistryServer, user: Credentials | None = None) -> list[str]:
    with Registry(server.host, user) as registry:
        return registry.tags("app")


# What is in a registry


def test_it_knows_what_docker_pushed(source: RegistryServer, tmp_path: Path, unique: str) -> None:
    digest = pushed(source, tmp_path / "image", unique, "1", "2")
    with Registry(source.host) as registry:
        assert registry.digest(unique, "1") == registry.digest(unique, "2") == digest
        assert registry.digest(unique, digest) == digest
        assert registry.tags(unique) == ["1", "2"]
        assert registry.config(unique, digest)["config"]["Labels"] == {"made.by": "tests"}
        manifest = registry.manifest(unique, "1")
        assert (manifest.digest, f"sha256:{sha256(manifest.body).hexdigest()}") == (digest, digest)


def test_what_is_not_there_is_none_or_said(source: RegistryServer) -> None:
    put_image(source, b"layer", tag="1")
    with Registry(source.host) as registry:
        assert registry.digest("app", "2") is None
        assert registry.digest("app", NOWHERE) is None
        assert registry.digest("other/thing", "1") is None
        assert registry.tags("other/thing") == []
        for call in (registry.manifest, registry.config, registry.delete):
            with pytest.raises(SoundbiteError, match=f"There is no such image: {source.host}/app@{NOWHERE}"):
                call("app", NOWHERE)


def test_deleting_needs_a_digest_and_a_registry_that_deletes(tmp_path: Path) -> None:
    with RegistryServer(tmp_path / "one") as one, Registry(one.host) as registry:
        digest = put_image(one, b"layer", tag="1")
        with pytest.raises(ConfigurationError, match="not a tag"):
            registry.delete("app", "1")
        registry.delete("app", digest)
        assert registry.digest("app", digest) is None
    with RegistryServer(tmp_path / "two", deletes=False) as two, Registry(two.host) as registry:
        digest = put_image(two, b"layer")
        with pytest.raises(SoundbiteError, match="refuses to delete anything"):
            registry.delete("app", digest)
        assert registry.digest("app", digest) == digest


# Copies


def test_a_copy_keeps_the_digest_and_can_be_pulled(
    source: RegistryServer, target: RegistryServer, tmp_path: Path, unique: str
) -> None:
    digest = pushed(source, tmp_path / "image", unique, "1")
    pulled = f"{target.host}/{unique}@{digest}"
    with Registry(source.host) as ours, Registry(target.host) as theirs:
        done = copy(ours, unique, digest, theirs, unique, "1")
        assert (done.digest, done.blobs_copied, done.blobs_present) == (digest, 2, 0)
        assert done.bytes > 2000
        assert theirs.digest(unique, "1") == digest
        assert theirs.manifest(unique, digest) == ours.manifest(unique, digest)
        # The same again: nothing to do; under another name: nothing to carry.
        assert copy(ours, unique, digest, theirs, unique, "1") == Copied(digest)
        assert copy(ours, unique, digest, theirs, unique, "2") == Copied(digest, 0, 2, 0)
        assert theirs.tags(unique) == ["1", "2"]
    docker("rmi", "-f", f"{source.host}/{unique}:1")
    try:
        docker("pull", "-q", pulled)
        assert docker("inspect", "--format", '{{index .Config.Labels "made.by"}}', pulled) == "tests"
    finally:
        docker("rmi", "-f", pulled, check=False)


def test_within_a_registry_blobs_are_mounted(source: RegistryServer) -> None:
    digest = put_image(source, os.urandom(1000), tag="1")
    with Registry(source.host) as registry:
        assert copy(registry, "app", digest, registry, "promoted/app", "1") == Copied(digest, 0, 2, 0)
        assert registry.digest("promoted/app", "1") == digest
        assert copy(registry, "app", digest, registry, "app", "2") == Copied(digest, 0, 2, 0)


def test_an_index_is_copied_with_its_images(source: RegistryServer, target: RegistryServer) -> None:
    shared = os.urandom(5000)
    children = [put_image(source, shared, os.urandom(3000)) for _ in range(2)]
    entries = [
        {
            "mediaType": IMAGES[0],
            "digest": child,
            "size": len(httpx.get(f"{source.url}/v2/app/manifests/{child}", headers={"Accept": IMAGES[0]}).content),
            "platform": {"architecture": architecture, "os": "linux"},
        }
        for child, architecture in zip(children, ("amd64", "arm64"), strict=True)
    ]
    index = put_manifest(source, {"schemaVersion": 2, "mediaType": INDEXES[0], "manifests": entries})
    # The configuration and one layer are common to both: each goes once.
    done = copied(source, index, target)
    assert (done.digest, done.blobs_copied) == (index, 4)
    with Registry(target.host) as theirs:
        assert [theirs.digest("app", each) for each in ("1", *children)] == [index, *children]
        with pytest.raises(SoundbiteError, match="index of several images"):
            theirs.config("app", index)


def test_foreign_layers_stay_where_they_are(source: RegistryServer, target: RegistryServer) -> None:
    foreign = {"mediaType": FOREIGN, "digest": NOWHERE, "size": 7, "urls": ["https://example.com/layer"]}
    config = put_blob(source, b"{}") | {"mediaType": "application/vnd.docker.container.image.v1+json"}
    document = {"schemaVersion": 2, "mediaType": IMAGES[1], "config": config, "layers": [foreign]}
    digest = put_manifest(source, document)
    assert copied(source, digest, target) == Copied(digest, 1, 0, 2)


def test_a_tag_never_moves(source: RegistryServer, target: RegistryServer) -> None:
    old, new = put_image(source, b"old"), put_image(source, b"new")
    copied(source, old, target)
    with pytest.raises(Refused, match=f"app:1 is already there and is {old}, not {new}"):
        copied(source, new, target)
    with Registry(target.host) as theirs:
        assert theirs.digest("app", "1") == old
        assert theirs.digest("app", new) is None


def test_only_digests_are_copied(source: RegistryServer, target: RegistryServer) -> None:
    with pytest.raises(ConfigurationError, match="by their digest"):
        copied(source, "latest", target)
    with pytest.raises(SoundbiteError, match=f"There is no such image: {source.host}/app@{NOWHERE}"):
        copied(source, NOWHERE, target)
    assert tags(target) == []


# Bad days


def test_a_damaged_blob_is_refused(source: RegistryServer, target: RegistryServer) -> None:
    layer = os.urandom(3 * MIB)
    digest = put_image(source, layer)
    blob = f"sha256:{sha256(layer).hexdigest()}"
    source.blob(blob).write_bytes(layer[:-1] + bytes([layer[-1] ^ 1]))
    with pytest.raises(SoundbiteError, match=f"{source.host}/app is damaged: the blob {blob}"):
        copied(source, digest, target)
    for length in (len(layer) - 1, 0):
        source.blob(blob).write_bytes(layer[:length])
        with pytest.raises(SoundbiteError, match="damaged"):
            copied(source, digest, target)
    assert tags(target) == []
    assert not target.blob(blob).exists()
    source.blob(blob).write_bytes(layer)
    assert copied(source, digest, target).blobs_copied == 1  # the configuration is there already


def test_a_damaged_manifest_is_refused(source: RegistryServer, target: RegistryServer) -> None:
    digest = put_image(source, b"layer")
    path = source.blob(digest)
    path.write_bytes(path.read_bytes().replace(b'"schemaVersion": 2', b'"schemaVersion":  2'))
    with pytest.raises(SoundbiteError):
        copied(source, digest, target)
    assert tags(target) == []


def test_a_blob_that_the_target_has_in_part_is_told(source: RegistryServer, target: RegistryServer) -> None:
    layer = os.urandom(1000)
    digest = put_image(source, layer)
    put_image(target, layer)
    target.blob(f"sha256:{sha256(layer).hexdigest()}").write_bytes(layer[:500])
    with pytest.raises(SoundbiteError, match="has 500 bytes there instead of 1000"):
        copied(source, digest, target)


def test_a_missing_blob_is_told(source: RegistryServer, target: RegistryServer) -> None:
    layer = os.urandom(1000)
    digest = put_image(source, layer)
    source.blob(f"sha256:{sha256(layer).hexdigest()}").unlink()
    with pytest.raises(SoundbiteError, match=r"Could not read the blob sha256:.* of app"):
        copied(source, digest, target)
    assert tags(target) == []


def test_a_registry_that_is_down_is_told(source: RegistryServer, target: RegistryServer) -> None:
    digest = put_image(source, b"layer")
    target.stop()
    with pytest.raises(SoundbiteError, match=rf"the registry {target.host} cannot be reached.*refused"):
        copied(source, digest, target)
    with Registry(target.host) as registry, pytest.raises(SoundbiteError, match="Is it running"):
        registry.tags("app")


def test_a_readonly_registry_is_told_and_stays_as_it_is(source: RegistryServer, tmp_path: Path) -> None:
    digest = put_image(source, b"layer")
    with RegistryServer(tmp_path / "readonly", readonly=True) as readonly:
        with pytest.raises(SoundbiteError, match="does not allow it") as caught:
            copied(source, digest, readonly)
        assert "read-only" in caught.value.hint
        assert tags(readonly) == []
        with Registry(readonly.host) as registry, pytest.raises(SoundbiteError, match="refuses to delete"):
            registry.delete("app", digest)


def test_a_full_disk_is_told_and_nothing_is_tagged(source: RegistryServer, tmp_path: Path) -> None:
    digest = put_image(source, os.urandom(6 * MIB))
    storage = tmp_path / "small"
    storage.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(storage)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root can mount a small file system")
    try:
        with RegistryServer(tmp_path / "full", storage=storage) as full:
            with pytest.raises(SoundbiteError, match="has no space left"):
                copied(source, digest, full)
            assert tags(full) == []
            with Registry(full.host) as registry:
                assert registry.digest("app", digest) is None
    finally:
        subprocess.run(["umount", "-l", str(storage)], check=True)


def test_a_killed_copy_leaves_no_tag_and_can_be_repeated(source: RegistryServer, target: RegistryServer) -> None:
    first, large = os.urandom(1000), os.urandom(6 * MIB)
    digest = put_image(source, first, large)
    program = (
        "import sys; from soundbite.registry import Registry, copy\n"
        "ours, digest, theirs = sys.argv[1:]\n"
        "copy(Registry(ours), 'app', digest, Registry(theirs), 'app', '1')\n"
    )
    with Stalling(target.port, 3 * MIB) as slow:
        process = subprocess.Popen(
            [sys.executable, "-c", program, source.host, digest, slow.host], cwd=ROOT, env=clean_environ()
        )
        try:
            assert slow.stalled.wait(20)
        finally:
            process.kill()
        assert process.wait() == -signal.SIGKILL
    assert tags(target) == []
    with Registry(target.host) as theirs:
        assert theirs.digest("app", digest) is None
    # The configuration and the first layer had arrived.
    assert copied(source, digest, target) == Copied(digest, 1, 2, len(large))
    assert tags(target) == ["1"]


def test_a_source_that_breaks_off_is_told(source: RegistryServer, target: RegistryServer) -> None:
    def stop(asked: Asked) -> Told:
        if asked.path.startswith("/v2/app/blobs/"):
            # Says more than it sends, and closes.
            return Told(200, b"half", {"Content-Length": "1000", "Connection": "close"})
        got = httpx.get(f"{source.url}{asked.path}", headers={"Accept": asked.headers["accept"]})
        return Told(got.status_code, got.content, {"Content-Type": got.headers["Content-Type"]})

    digest = put_image(source, os.urandom(1000))
    with Scripted(stop) as broken, Registry(broken.host) as ours, Registry(target.host) as theirs:
        with pytest.raises(SoundbiteError, match=f"the registry {broken.host} broke off the connection"):
            copy(ours, "app", digest, theirs, "app", "1")
        assert sum(each.path.startswith("/v2/app/blobs/") for each in broken.asked) == 3
    assert tags(target) == []


# Who we are


def test_a_password_opens_a_registry_and_a_wrong_one_is_never_told(source: RegistryServer, tmp_path: Path) -> None:
    digest = put_image(source, os.urandom(MIB))
    with RegistryServer(tmp_path / "closed", users={"carrier": PASSWORD}) as closed:
        wrong = Credentials("carrier", "wrong-but-secret")
        with pytest.raises(SoundbiteError, match="refused the user carrier") as caught:
            copied(source, digest, closed, user=wrong)
        assert "wrong-but-secret" not in f"{caught.value}{wrong!r}"
        with pytest.raises(SoundbiteError, match="asks for a user and password, and there are none"):
            copied(source, digest, closed)
        right = Credentials("carrier", PASSWORD)
        assert copied(source, digest, closed, user=right).blobs_copied == 2
        assert tags(closed, right) == ["1"]


def test_tokens_are_got_once_for_what_is_done(source: RegistryServer, tmp_path: Path) -> None:
    digest = put_image(source, os.urandom(MIB), os.urandom(10))
    right = Credentials("carrier", PASSWORD)
    with (
        TokenIssuer(tmp_path / "issuer", {"carrier": PASSWORD}) as issuer,
        RegistryServer(tmp_path / "closed", tokens=issuer) as closed,
    ):
        assert copied(source, digest, closed, user=right).blobs_copied == 3
        asked = [each.query["scope"] for each in issuer.asked]
        assert asked == [["repository:app:pull"], ["repository:app:pull,push"]]
        assert tags(closed, right) == ["1"]
        with Registry(closed.host, right) as registry:
            assert copy(registry, "app", digest, registry, "other", "1").blobs_copied == 0
        for user, message in ((Credentials("carrier", "wrong-but-secret"), "refused the user"), (None, "asks for a")):
            with pytest.raises(SoundbiteError, match=message) as caught:
                tags(closed, user)
            assert "wrong-but-secret" not in str(caught.value)


def test_what_may_not_be_mounted_is_carried(tmp_path: Path) -> None:
    layer = os.urandom(MIB)
    users = {"reader": PASSWORD, "writer": f"{PASSWORD}!"}
    reader, writer = (Credentials(user, word) for user, word in users.items())
    with RegistryServer(tmp_path / "open") as unlocked:
        digest = put_image(unlocked, layer)
    with (
        TokenIssuer(tmp_path / "issuer", users, {"reader": {"app"}, "writer": {"promoted"}}) as issuer,
        RegistryServer(tmp_path / "closed", tokens=issuer, storage=unlocked.storage) as closed,
        Registry(closed.host, reader) as ours,
        Registry(closed.host, writer) as theirs,
    ):
        done = copy(ours, "app", digest, theirs, "promoted", "1")
        assert (done.digest, done.blobs_copied) == (digest, 2)
        with pytest.raises(SoundbiteError, match="refused the user reader"):
            copy(ours, "app", digest, ours, "promoted", "2")


def test_a_password_goes_nowhere_else(source: RegistryServer) -> None:
    def elsewhere(_asked: Asked) -> Told:
        return Told(200, b'{"tags": ["1"]}')

    def realm(asked: Asked) -> Told:
        if asked.path.endswith("/tags/list") and "authorization" in asked.headers:
            return Told(307, headers={"Location": f"http://{other.host}/elsewhere"})
        if asked.path.endswith("/tags/list"):
            return Told(401, headers={"WWW-Authenticate": 'Basic realm="x"'})
        return Told(401, headers={"WWW-Authenticate": 'Bearer realm="http://example.com/token",service="a,b"'})

    user = Credentials("carrier", PASSWORD)
    with Scripted(elsewhere) as other, Scripted(realm) as scripted, Registry(scripted.host, user) as registry:
        assert registry.tags("app") == ["1"]
        assert [("authorization" in each.headers) for each in other.asked] == [False]
        with pytest.raises(SoundbiteError, match="an address for it that is not https"):
            registry.digest("app", "1")


# Answers that docker-registry does not give


def test_pages_of_tags_are_followed_to_the_last() -> None:
    def pages(asked: Asked) -> Told:
        last = int(asked.query.get("last", ["0"])[0])
        link = {"Link": f'</v2/app/tags/list?last={last + 1}&n=1>; rel="next"'} if last < 3 else {}
        return Told(200, json.dumps({"name": "app", "tags": [f"v{last}"]}).encode(), link)

    with Scripted(pages) as scripted, Registry(scripted.host) as registry:
        assert registry.tags("app") == ["v0", "v1", "v2", "v3"]

    def circle(asked: Asked) -> Told:
        return Told(200, b'{"tags": ["a"]}', {"Link": f'<{asked.path}?n=1>; rel="next"'})

    with Scripted(circle) as scripted, Registry(scripted.host) as registry:
        assert registry.tags("app") == ["a"]


def test_a_digest_that_is_not_told_is_reckoned() -> None:
    body = json.dumps({"mediaType": IMAGES[0]}).encode()

    def silent(_asked: Asked) -> Told:
        return Told(200, body, {"Content-Type": f"{IMAGES[0]}; charset=utf-8"})

    with Scripted(silent) as scripted, Registry(scripted.host) as registry:
        assert registry.digest("app", "1") == f"sha256:{sha256(body).hexdigest()}"
        with pytest.raises(SoundbiteError, match="is there with other bytes"):
            registry.manifest("app", NOWHERE)


@pytest.mark.parametrize(
    ("answers", "tries", "message"),
    [
        ([Told(503), Told(429, headers={"Retry-After": "0"}), Told(200, b'{"tags": null}')], 3, ""),
        ([Told(500)] * 3, 3, "failed"),
        ([Told(500, b'{"errors": [{"detail": {"Err": 28}}]}')], 1, "has no space left"),
        ([Told(507)], 1, "has no space left"),
        ([Told(413)], 1, "finds it too large"),
        ([Told(403, b'{"errors": [{"code": "DENIED", "message": "no"}]}')], 1, r"\(403, DENIED: no\)"),
        ([Told(200, b"<html>")], 1, "something else for the tags"),
        ([Told(200, b"x" * (5 * MIB))], 1, "more than 4 MiB"),
        ([Told(418, b'{"errors": {}}')], 1, "unexpected answer"),
    ],
)
def test_answers_are_tried_again_or_told(answers: list[Told], tries: int, message: str) -> None:
    left = list(answers)
    with Scripted(lambda _asked: left.pop(0)) as scripted, Registry(scripted.host) as registry:
        if message:
            with pytest.raises(SoundbiteError, match=message):
                registry.tags("app")
        else:
            assert registry.tags("app") == []
        assert len(scripted.asked) == tries


@pytest.mark.parametrize(
    ("body", "media_type", "message"),
    [
        (b"<html>", "text/html", "is not a JSON object"),
        (b"[]", IMAGES[0], "is not a JSON object"),
        (b'{"schemaVersion": 1}', "application/json", "neither an image nor an index"),
        (b"{}", IMAGES[0], "does not say what its config are"),
        (b'{"config": {"digest": "sha256:1", "size": 1, "mediaType": ""}}', IMAGES[0], "what its config are"),
        (b'{"config": {"digest": "sha512:1"}, "layers": []}', IMAGES[0], "what its config are"),
        (
            json.dumps({"manifests": [{"digest": NOWHERE, "size": -1, "mediaType": ""}]}).encode(),
            INDEXES[1],
            "manifests",
        ),
    ],
)
def test_a_manifest_that_is_none_is_refused(body: bytes, media_type: str, message: str, target: RegistryServer) -> None:
    digest = f"sha256:{sha256(body).hexdigest()}"
    told = Told(200, body, {"Content-Type": media_type})
    with Scripted(lambda _asked: told) as scripted, Registry(scripted.host) as ours, Registry(target.host) as theirs:
        with pytest.raises(SoundbiteError, match=message):
            copy(ours, "app", digest, theirs, "app", "1")
        assert theirs.tags("app") == []


def test_a_registry_that_takes_something_else_than_it_was_given_is_told(source: RegistryServer) -> None:
    def lying(asked: Asked) -> Told:
        if asked.method == "POST":
            return Told(202, headers={"Location": "uploads/1"})
        if asked.method == "PUT":
            return Told(201)
        written = any(each.method == "PUT" and "manifests" in each.path for each in scripted.asked)
        return Told(200, headers={"Docker-Content-Digest": NOWHERE}) if written else Told(404)

    digest = put_image(source, b"layer")
    with Scripted(lying) as scripted, Registry(source.host) as ours, Registry(scripted.host) as theirs:
        with pytest.raises(SoundbiteError, match=f"1 is {NOWHERE} there, and not {digest}"):
            copy(ours, "app", digest, theirs, "app", "1")
        with pytest.raises(SoundbiteError, match=f"it has {NOWHERE} in the place of {digest}"):
            theirs.digest("app", digest)


def test_a_damaged_configuration_is_told(source: RegistryServer) -> None:
    digest = put_image(source, b"layer")
    with Registry(source.host) as registry:
        manifest = registry.manifest("app", digest)
        source.blob(manifest.parts("config")[0].digest).write_bytes(b"{}")
        with pytest.raises(SoundbiteError, match=r"the configuration sha256:[0-9a-f]+ is there with other bytes"):
            registry.config("app", digest)
        with pytest.raises(ConfigurationError, match="neither a tag nor a digest"):
            registry.digest("app", "../tags")


def test_what_is_no_registry_at_all_is_told() -> None:
    with pytest.raises(ConfigurationError, match="is not the host of a registry"):
        Registry("not a host")
    [port] = free_ports(1)
    with Registry(f"localhost:{port}") as registry, pytest.raises(ConfigurationError, match="is not a repository"):
        registry.tags("../../secret")


def test_elsewhere_it_speaks_tls_and_wants_a_certificate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    certificate = made_certificate(tmp_path)
    monkeypatch.setattr("soundbite.registry.transport.is_loopback", lambda _host: False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    answers = Told(200, b'{"tags": ["1"]}')
    with Scripted(lambda _asked: answers, certificate) as trusted, Scripted(lambda _asked: answers) as plain:
        for host in (trusted.host, plain.host):
            with Registry(host) as registry, pytest.raises(SoundbiteError, match="no certificate that we trust"):
                registry.tags("app")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with Registry(trusted.host) as registry:
            assert registry.tags("app") == ["1"]
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none"))
    with pytest.raises(ConfigurationError, match="There can be no connection"):
        Registry("example.com")


def test_a_silent_registry_is_told_in_time(monkeypatch: pytest.MonkeyPatch, target: RegistryServer) -> None:
    monkeypatch.setattr("soundbite.registry.transport.READ_TIMEOUT", 0.3)
    with (
        Stalling(target.port, 0) as silent,
        Registry(silent.host) as registry,
        pytest.raises(SoundbiteError, match="did not answer in time"),
    ):
        registry.tags("app")
