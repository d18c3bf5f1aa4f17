"""`inv test`: static checks, the application's tests, the workflow's tests; what people and CI run alike."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from soundbite import application, console, node, paths, shell
from soundbite import environment as environments
from soundbite.errors import ConfigurationError
from soundbite.parallel import workers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TIMEOUT = 1800
_AT_ONCE = 2
"""Static checks run at once: each keeps a core busy."""


@dataclass(frozen=True)
class Suite:
    """One command that checks something; `group` is what `--only` names."""

    name: str
    group: str
    argv: Sequence[str]
    cwd: Path = paths.ROOT
    env: Mapping[str, str] = field(default_factory=dict)


def suites(more: Sequence[str] = ()) -> list[Suite]:
    """Return everything that `inv test` runs, in order.

    Parameters
    ----------
    more:
        More arguments for pytest.
    """
    python = [sys.executable, "-m"]
    scripts = [str(path) for path in sorted((paths.ROOT / "scripts").iterdir()) if _is_shell(path)]
    app = environments.load("dev-localstack").app_dir
    npm = ["npm", "--silent", "run"]
    return [
        Suite("ruff check", "static", [*python, "ruff", "check", "--quiet", "."]),
        Suite("ruff format", "static", [*python, "ruff", "format", "--check", "--quiet", "."]),
        Suite("mypy", "static", [*python, "mypy"]),
        Suite("import-linter", "static", [sys.executable, "-c", _LINT_IMPORTS]),
        Suite("shellcheck", "static", [str(Path(sys.executable).with_name("shellcheck")), *scripts]),
        Suite("tsc", "static", [*npm, "typecheck"], app),
        Suite("eslint", "static", [*npm, "lint"], app),
        Suite("vitest", "app", [*npm, "test"], app, {"TEST_PYTHON": sys.executable}),
        Suite("pytest", "python", [*python, "pytest", *_PYTEST, *more]),
    ]


def run(only: Sequence[str], more: Sequence[str] = ()) -> int:
    """Run the suites: the static ones at once, then the application's, then the workflow's.

    Parameters
    ----------
    only:
        The groups to run; empty: all.

    Returns
    -------
    int
        The exit code: 0 if everything passed.

    Raises
    ------
    ConfigurationError
        There is no such group.
    """
    everything = suites(more)
    known = list(dict.fromkeys(each.group for each in everything))
    unknown = sorted(set(only) - set(known))
    if unknown:
        raise ConfigurationError(f"There is no group {', '.join(unknown)}.", f"Known are: {', '.join(known)}.")
    chosen = [each for each in everything if not only or each.group in only]
    _prepare()
    started = time.monotonic()
    failed: list[str] = []
    static = [suite for suite in chosen if suite.group == "static"]
    if static:
        with console.step("static") as step, workers(_AT_ONCE) as submit:
            step.progress = ", ".join(suite.name for suite in static)
            for future in [submit(partial(_quietly, suite)) for suite in static]:
                failed += future.result()
            step.well = not failed
            step.detail = f"{len(static) - len(failed)} of {len(static)} passed"
    for suite in chosen:
        if suite.group != "static":
            console.say(f"── {suite.name}")
            completed = _run(suite, loudly=True)
            failed += [suite.name] if completed.code else []
    took = f"in {time.monotonic() - started:.0f} s"
    if failed:
        console.error(f"{', '.join(failed)} failed {took}.")
        return 1
    console.say(f"Everything passed {took}: {', '.join(suite.name for suite in chosen)}.")
    return 0


def _prepare() -> None:
    environment = environments.load("dev-localstack")
    for name, work in (
        ("aws-cdk", application.cdk_cli()),
        ("dependencies", application.dependencies(environment)),
        ("build", application.build(environment)),
    ):
        if work is not None:
            with console.step(name) as step:
                step.detail = "done" if work.ensure(step.tell) else "unchanged"


def _quietly(suite: Suite) -> list[str]:
    """Run a suite and show its output only if it failed; return its name then, else nothing."""
    started = time.monotonic()
    completed = _run(suite, loudly=False)
    output = (completed.stdout + completed.stderr).strip() if completed.code else ""
    console.outcome(
        suite.name, "failed" if completed.code else "passed", time.monotonic() - started, well=not completed.code
    )
    if output:
        console.say(output)
    return [suite.name] if completed.code else []


def _run(suite: Suite, *, loudly: bool) -> shell.Completed:
    # The tests are about files, not about what happens to be set where they run.
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_ACCESS", "AWS_SECRET"))}
    env |= {"PATH": node.path_variable(), "AWS_EC2_METADATA_DISABLED": "true", **suite.env}
    if not sys.stdout.isatty():
        env["NO_COLOR"] = "1"
    on_line = console.result if loudly else None
    return shell.run(suite.argv, cwd=suite.cwd, env=env, timeout=_TIMEOUT, on_line=on_line, check=False)


def _is_shell(path: Path) -> bool:
    return path.is_file() and path.read_bytes().startswith((b"#!/bin/sh", b"#!/usr/bin/env bash", b"#!/bin/bash"))


_LINT_IMPORTS = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"
_PYTEST = [
    "-n",
    "3",
    "--dist",
    "loadfile",
    "--no-loadscope-reorder",
    "-q",
    "--cov",
    "--cov-report=term:skip-covered",
    "--durations=8",
]
