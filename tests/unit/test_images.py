"""What images are called, and the commands that make them: nothing here needs an engine."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soundbite import environment, images, packaging, plugins, publishing
from soundbite.images import Recipe
from soundbite.registry import Name
from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

CONTENT = "0123456789abcdef" * 4
RECIPE = Recipe("tiny/api", Path("/app"), "Dockerfile", "production", ["Dockerfile", "src"])
LABELS = [
    *("--label", f"soundbite.content={CONTENT}"),
    *("--label", "soundbite.target=production"),
    *("--label", "org.opencontainers.image.revision=abc-dirty"),
    *("--label", "org.opencontainers.image.created=2026-01-01T00:00:00Z"),
]


# The commands


def test_an_image_is_built_with_its_labels_its_name_and_no_secret_in_an_argument() -> None:
    secrets = {"npmrc": Path("/home/me/.npmrc"), "ca": Path("/ca.pem")}
    argv = images.build(RECIPE, CONTENT, revision="abc-dirty", created="2026-01-01T00:00:00Z", secrets=secrets)
    assert argv == [
        *(*plugins.build(), "--progress=plain", "--file", "/app/Dockerfile", "--target", "production"),
        *("--secret", "id=ca,src=/ca.pem", "--secret", "id=npmrc,src=/home/me/.npmrc"),
        *LABELS,
        *("--tag", "tiny/api:production-0123456789abcdef"),
        "/app",
    ]


def test_files_are_exported_from_a_stage() -> None:
    assert images.export(RECIPE, "processor", Path("/out"), secrets={}) == [
        *(*plugins.build(), "--progress=plain", "--file", "/app/Dockerfile", "--target", "processor"),
        *("--output", "type=local,dest=/out", "/app"),
    ]


def test_images_are_tagged_pushed_and_removed() -> None:
    assert images.tag("sha256:1", "host/a:1") == ["docker", "tag", "sha256:1", "host/a:1"]
    assert images.push("host/a:1") == ["docker", "push", "--quiet", "host/a:1"]
    assert images.remove("a:1", "b:1") == ["docker", "image", "rm", "a:1", "b:1"]


def test_only_the_projects_own_images_are_listed() -> None:
    argv = images.listed(environment.load("staging"))
    assert argv == [
        *("docker", "image", "ls", "--no-trunc", "--filter", "label=soundbite.content"),
        *("--filter", "reference=soundbite/*", "--format", "{{json .}}"),
    ]


@pytest.mark.parametrize("name", environment.names())
def test_each_environment_builds_its_own_stage_of_the_application(name: str) -> None:
    loaded = environment.load(name)
    recipe = images.api(loaded)
    assert recipe[:4] == ("soundbite/api", ROOT / "app", "Dockerfile", "production" if not loaded.local else "dev")
    assert "src" in recipe.inputs
    tools = images.tools(loaded)
    assert tools[:4] == ("soundbite/tools", ROOT / "compose" / "tools", "Dockerfile", "tools")
    assert tools.content() != recipe.content()


@pytest.mark.parametrize(
    ("names", "removed"),
    [
        (["a/b:1"], ["a/b:1"]),
        (["127.0.0.1:5000/a:1", "127.0.0.1:5000/a@sha256:1", "a/b:1"], ["127.0.0.1:5000/a:1", "a/b:1"]),
        (["127.0.0.1:5000/a@sha256:1", "a/b:1"], ["127.0.0.1:5000/a@sha256:1", "a/b:1"]),
        (["host/a:1", "host/a:2", "host/a@sha256:1"], ["host/a:1", "host/a:2"]),
    ],
)
def test_a_digest_goes_with_its_repositorys_last_tag(names: list[str], removed: list[str]) -> None:
    assert packaging._removable(names) == removed


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ('error parsing HTTP 405 response body: invalid character: "Method not allowed\\n"', "read-only"),
        ("unsupported: The operation is unsupported.", "read-only"),
        ("received unexpected HTTP status: 500 Internal Server Error", "full disk"),
        ("write /data: no space left on device", "full disk"),
        ("docker push 127.0.0.1:5000/a:production-4050000000000000: EOF", "push again"),
    ],
)
def test_dockers_words_on_a_failed_push_get_a_hint(said: str, hint: str) -> None:
    assert hint in publishing._mend(said)


# The secrets of a build


def test_certificates_and_npmrc_are_given_to_a_build_where_they_are(tmp_path: Path) -> None:
    assert images.build_secrets({"HOME": str(tmp_path)}) == {}
    assert images.build_secrets({"HOME": str(tmp_path), "SSL_CERT_FILE": str(tmp_path / "absent")}) == {}
    ca, other, npmrc, own = (tmp_path / name for name in ("ca.pem", "other.pem", ".npmrc", "own.npmrc"))
    for path in (ca, other, npmrc, own):
        path.touch()
    home = {"HOME": str(tmp_path)}
    assert images.build_secrets(home) == {"npmrc": npmrc}
    assert images.build_secrets(home | {"SSL_CERT_FILE": str(ca)}) == {"ca": ca, "npmrc": npmrc}
    both = {"NODE_EXTRA_CA_CERTS": str(other), "SSL_CERT_FILE": str(ca)}
    assert images.build_secrets(home | both)["ca"] == other
    assert images.build_secrets(home | {"NPM_CONFIG_USERCONFIG": str(own)})["npmrc"] == own
    assert images.build_secrets(home | {"NPM_CONFIG_USERCONFIG": str(tmp_path / "absent")}) == {}


# The hash of a content


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    """Return the recipe of a small application."""
    app = tmp_path / "app"
    (app / "src" / "deep").mkdir(parents=True)
    for name in ("Dockerfile", "src/a.ts", "src/deep/b.ts", "README.md"):
        (app / name).write_text(name)
    return Recipe("tiny/api", app, "Dockerfile", "production", ["Dockerfile", "src"])


def _write(name: str) -> Callable[[Path], object]:
    return lambda app: (app / name).write_text("other")


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


_CHANGES: dict[str, Callable[[Path], object]] = {
    "Dockerfile": _write("Dockerfile"),
    "content": _write("src/a.ts"),
    "deep content": _write("src/deep/b.ts"),
    "new file": _write("src/c.ts"),
    "empty new file": lambda app: (app / "src" / "c.ts").touch(),
    "gone": lambda app: (app / "src" / "a.ts").unlink(),
    "renamed": lambda app: (app / "src" / "a.ts").rename(app / "src" / "z.ts"),
    "moved": lambda app: (app / "src" / "a.ts").rename(app / "src" / "deep" / "a.ts"),
    "exchanged": lambda app: (
        (app / "src" / "a.ts").write_text("src/deep/b.ts"),
        (app / "src" / "deep" / "b.ts").write_text("src/a.ts"),
    ),
    "executable": lambda app: (app / "src" / "a.ts").chmod(0o755),
}


@pytest.mark.parametrize("change", _CHANGES.values(), ids=_CHANGES.keys())
def test_what_an_image_is_made_of_changes_its_hash(recipe: Recipe, change: Callable[[Path], object]) -> None:
    before = recipe.content()
    assert re.fullmatch("[0-9a-f]{64}", before)
    change(recipe.folder)
    assert recipe.content() != before


_SAME: dict[str, Callable[[Path], object]] = {
    "time": lambda app: os.utime(app / "src" / "a.ts", (0, 0)),
    "another file": _write("README.md"),
    "new file beside": _write("notes.txt"),
    "dependencies": lambda app: _write("x")(_folder(app / "src" / "node_modules")),
    "empty folder": lambda app: (app / "src" / "empty").mkdir(),
    "rewritten": lambda app: (app / "src" / "a.ts").write_text("src/a.ts"),
    "readable by fewer": lambda app: (app / "src" / "a.ts").chmod(0o600),
    "a commit": lambda app: _write("HEAD")(_folder(app / ".git")),
}


@pytest.mark.parametrize("change", _SAME.values(), ids=_SAME.keys())
def test_what_an_image_is_not_made_of_does_not_change_its_hash(
    recipe: Recipe, change: Callable[[Path], object]
) -> None:
    before = recipe.content()
    change(recipe.folder)
    assert recipe.content() == before


def test_how_it_is_built_changes_the_hash_and_where_does_not(recipe: Recipe, tmp_path: Path) -> None:
    other = recipe.folder / "Dockerfile.other"
    other.write_text("Dockerfile")
    hashes = {
        recipe.content(),
        recipe._replace(target="dev").content(),
        recipe._replace(dockerfile="Dockerfile.other").content(),
    }
    assert len(hashes) == 3
    moved = recipe.folder.rename(tmp_path / "elsewhere")
    assert recipe._replace(folder=moved).content() in hashes
    assert recipe._replace(folder=moved, repository="other/api").content() in hashes


def test_without_inputs_the_whole_folder_counts(recipe: Recipe) -> None:
    whole = recipe._replace(inputs=[])
    before = whole.content()
    (recipe.folder / "README.md").write_text("other")
    assert whole.content() != before


_NAMES = st.text("ab./-", min_size=1, max_size=6).filter(
    lambda name: not name.startswith("/") and not name.endswith("/") and "//" not in name and ".." not in name
)
_TREES = st.dictionaries(_NAMES.filter(lambda name: "." not in name.split("/")), st.binary(max_size=8), max_size=4)


def _content_of(tree: dict[str, bytes], target: str) -> str | None:
    with tempfile.TemporaryDirectory() as folder:
        for name, content in tree.items():
            path = Path(folder) / name
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            except OSError:
                return None  # a file and a folder of one name
        return Recipe("a/b", Path(folder), "Dockerfile", target, []).content()


@settings(max_examples=200, deadline=None)
@given(_TREES, _TREES, st.sampled_from(["dev", "production"]), st.sampled_from(["dev", "production"]))
def test_hashes_are_the_same_exactly_where_the_contents_are(
    one: dict[str, bytes], other: dict[str, bytes], first: str, second: str
) -> None:
    hashes = _content_of(one, first), _content_of(other, second)
    if None not in hashes:
        assert (hashes[0] == hashes[1]) == ((one, first) == (other, second))


# Names

_TARGETS = st.from_regex(r"[a-z][a-z0-9._-]{0,40}", fullmatch=True)


@given(
    st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,30}", fullmatch=True),
    _TARGETS,
    st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
)
def test_names_are_valid_for_docker_and_for_registries(project: str, target: str, content: str) -> None:
    recipe = RECIPE._replace(repository=f"{project.lower()}/api", target=target)
    # distribution/reference: what a repository and a tag are.
    assert re.fullmatch(r"[a-z0-9]+/api:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", recipe.name(content))
    assert recipe.name(content) == f"{recipe.repository}:{recipe.tag(content)}"
    pushed = Name.parse(f"127.0.0.1:5000/{recipe.name(content)}")
    assert (pushed.repository, pushed.tag) == (recipe.repository, recipe.tag(content))


@given(st.sets(st.tuples(_TARGETS, st.from_regex(r"[0-9a-f]{64}", fullmatch=True)), min_size=2, max_size=5))
def test_different_contents_and_stages_have_different_names(made: set[tuple[str, str]]) -> None:
    names = {RECIPE._replace(target=target).name(content) for target, content in made}
    assert len(names) == len({(target, content[:16]) for target, content in made})
