"""requirements.lock can be installed for good, whatever is published after it was made, and types are checked."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, requires

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT


def pinned() -> dict[str, frozenset[str]]:
    """The packages of requirements.lock, each with the extras that its pin names."""
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line.rstrip(" \\")) for line in lines if re.match(r"\w", line)]
    assert all(len(pin.specifier) == 1 and str(pin.specifier).startswith("==") for pin in pins)
    return {canonicalize_name(pin.name): frozenset(pin.extras) for pin in pins}


def asked(name: str, extras: frozenset[str]) -> list[Requirement]:
    """What an installed package requires here, with `extras` of it; nothing if it isn't for this platform."""
    try:
        wanted = [Requirement(line) for line in requires(name) or []]
    except PackageNotFoundError:
        return []
    return [
        each
        for each in wanted
        if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in ("", *extras))
    ]


def test_extras_are_pinned_with_their_package() -> None:
    """Pip before 23.3 takes `name[extra]` for another package than `name`: it looks for the newest, and has no hash.

    So such a lock installs until the day a newer version is published, and then nowhere anew.
    """
    pins = pinned()
    wanted = [each for name, extras in pins.items() for each in asked(name, extras) if each.extras]
    assert [
        str(each) for each in wanted if not each.extras <= pins.get(canonicalize_name(each.name), frozenset())
    ] == []
    assert "coverage" in {each.name for each in wanted}, "pytest-cov asks for coverage[toml]: is anything looked at?"


def test_types_are_checked_of_every_module_of_cdk_that_is_used() -> None:
    overrides = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]["overrides"]
    followed = next(each["module"] for each in overrides if each.get("follow_imports") == "normal")
    code = "".join(
        each.read_text(encoding="utf-8") for each in (ROOT / "cdk").rglob("*.py") if "node_modules" not in each.parts
    )
    used = {f"aws_cdk.{each}" for each in re.findall(r"\baws_(?!cdk\b)[a-z0-9]+", code)}
    assert used == {each for each in followed if each.startswith("aws_cdk.aws_")}
