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

from .record import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_TIMEOUT = 4600
"""Seconds: against what hangs. How long all of it may take is another matter (README)."""
_AT_ONCE = 2
"""Suites run at once: each keeps a core busy."""


@dataclass(frozen=True)
class Suite:
    """One command that checks something.

    Attributes
    ----------
    group:
        What `--only` names.
    beside:
        Whether it runs beside the long ones, because it keeps a core busy for minutes and nothing waits for it.
    """

    name: str
    group: str
    argv: Sequence[str]
    cwd: Path = paths.ROOT
    env: Mapping[str, str] = field(default_factory=dict)
    beside: bool = False


def suites(file: Callable[[str], Path], more: Sequence[str] = ()) -> list[Suite]:
    """Return everything that `inv test` runs, in order.

    Parameters
    ----------
    file:
        Where the results of a kind go, such as `pytest.xml`.
    more:
        More arguments for pytest.
    """
    python = [sys.executable, "-m"]
    scripts = [
        str(path) for path in sorted([*(paths.ROOT / "scripts").iterdir(), paths.CDK / "node"]) if _is_shell(path)
    ]
    app = environments.load("dev-localstack").app_dir
    npm = ["npm", "--silent", "run"]
    vitest = ["--reporter=default", *_GITHUB_REPORTER, "--reporter=junit", f"--outputFile.junit={file('vitest.xml')}"]
    results = [f"--junitxml={file('pytest.xml')}", f"--cov-report=json:{file('coverage.json')}"]
    return [
        Suite("ruff check", "static", [*python, "ruff", "check", "--quiet", "."]),
        Suite("ruff format", "static", [*python, "ruff", "format", "--check", "--quiet", "."]),
        Suite("mypy", "static", ["nice", *python, "mypy"], beside=True),
        Suite("import-linter", "static", [sys.executable, "-c", _LINT_IMPORTS]),
        Suite("shellcheck", "static", [str(Path(sys.executable).with_name("shellcheck")), *scripts]),
        Suite("tsc", "static", [*npm, "typecheck"], app),
        Suite("eslint", "static", [*npm, "lint"], app),
        Suite("vitest", "app", [*npm, "test", "--", *vitest], app, {"TEST_PYTHON": sys.executable}),
        Suite("pytest", "python", [*python, "pytest", *_PYTEST, *results, *more]),
    ]


def run(only: Sequence[str], more: Sequence[str] = ()) -> int:
    """Run the suites: the static ones and the application's at once, then the workflow's, and mypy beside those.

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
    record = Recorder(only, more)
    everything = suites(record.run.file, more)
    known = list(dict.fromkeys(each.group for each in everything))
    unknown = sorted(set(only) - set(known))
    if unknown:
        raise ConfigurationError(f"There is no group {', '.join(unknown)}.", f"Known are: {', '.join(known)}.")
    chosen = [each for each in everything if not only or each.group in only]
    _prepare()
    record.begin([(each.name, each.group) for each in chosen])
    started = time.monotonic()
    with workers(1) as submit:
        # Whoever wants the application's tests only wants to see them.
        loud = {"python"} | ({"app"} if all(suite.group != "static" for suite in chosen) else set())
        failed = _at_once([suite for suite in chosen if suite.group not in loud and not suite.beside], record)
        beside = [submit(partial(_quietly, suite, record)) for suite in chosen if suite.beside]
        for suite in [suite for suite in chosen if suite.group in loud]:
            console.say(f"── {suite.name}")
            completed = _run(suite, record, loudly=True)
            failed += [suite.name] if completed.code else []
        if any(not each.done() for each in beside):
            console.say("── waiting for what runs beside")
        failed += [name for each in beside for name in each.result()]
    record.finish()
    took = f"in {time.monotonic() - started:.0f} s"
    if failed:
        console.error(f"{', '.join(failed)} failed {took}.")
        return 1
    console.say(f"Everything passed {took}: {', '.join(suite.name for suite in chosen)}.")
    return 0


def _at_once(quiet: Sequence[Suite], record: Recorder) -> list[str]:
    """Run suites at once, and show the output of those that failed; return their names."""
    failed: list[str] = []
    if quiet:
        groups = " and ".join(dict.fromkeys(suite.group for suite in quiet))
        with console.step(groups) as step, workers(_AT_ONCE) as submit:
            step.progress = ", ".join(suite.name for suite in quiet)
            for future in [submit(partial(_quietly, suite, record)) for suite in quiet]:
                failed += future.result()
            step.well = not failed
            step.detail = f"{len(quiet) - len(failed)} of {len(quiet)} passed"
    return failed


def _prepare() -> None:
    """Install and build what is not there yet; npm's two installations know nothing of each other."""
    environment = environments.load("dev-localstack")
    installations = [each for each in (application.cdk_cli(), application.dependencies(environment)) if each]
    with console.step("dependencies") as step, workers(_AT_ONCE) as submit:
        installing = [submit(partial(each.ensure, step.tell)) for each in installations]
        done = [each.result() for each in installing]
        step.detail = "done" if any(done) else "unchanged"
    build = application.build(environment)
    if build is not None:
        with console.step("build") as step:
            step.detail = "done" if build.ensure(step.tell) else "unchanged"


def _quietly(suite: Suite, record: Recorder) -> list[str]:
    """Run a suite and show its output only if it failed; return its name then, else nothing."""
    started = time.monotonic()
    completed = _run(suite, record, loudly=False)
    output = (completed.stdout + completed.stderr).strip() if completed.code else ""
    console.outcome(
        suite.name, "failed" if completed.code else "passed", time.monotonic() - started, well=not completed.code
    )
    if output:
        console.say(output)
    return [suite.name] if completed.code else []


def _run(suite: Suite, record: Recorder, *, loudly: bool) -> shell.Completed:
    # The tests are about files, not about what happens to be set where they run.
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_ACCESS", "AWS_SECRET"))}
    # Python's images set it: each of the tests' copies of the workflow would be compiled anew, and the tests, too.
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    env |= {"PATH": node.path_variable(), "AWS_EC2_METADATA_DISABLED": "true", **suite.env}
    if not sys.stdout.isatty():
        env["NO_COLOR"] = "1"
    on_line = console.result if loudly else None
    started = time.monotonic()
    completed = shell.run(suite.argv, cwd=suite.cwd, env=env, timeout=_TIMEOUT, on_line=on_line, check=False)
    record.ended(suite.name, time.monotonic() - started, well=completed.code == 0)
    return completed


def _is_shell(path: Path) -> bool:
    return path.is_file() and path.read_bytes().startswith((b"#!/bin/sh", b"#!/usr/bin/env bash", b"#!/bin/bash"))


_LINT_IMPORTS = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"
_GITHUB_REPORTER = ["--reporter=github-actions"] if os.environ.get("GITHUB_ACTIONS") == "true" else []
"""Vitest adds it by itself only where no reporter is named."""
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
