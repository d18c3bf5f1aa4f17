"""How long `inv validate` takes, beside the same questions to AWS asked one after another by the AWS CLI."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from bench import tools
from bench.table import Row, at_most
from soundbite import checks, paths
from soundbite.cloud import Cloud
from soundbite.errors import SoundbiteError

if TYPE_CHECKING:
    from bench.local import Local
    from bench.stand import Stand

_VALIDATE, _RATIO, _CHECKS = 3.0, 10.0, 25
_FEWER = "--skip=journey,performance"
_ROW = 20
_TIMEOUT = 120


def measure(stand: Stand) -> list[Row]:
    """Validate a local environment, again and again, and ask what it asks by the AWS CLI."""
    local = stand.local()
    local.up()
    quick = [_validate(local, _FEWER) for _ in range(stand.times(7, quick=3))]
    times = stand.times(_ROW, quick=3)
    whole = [_validate(local) for _ in range(times)]
    asked = _questions(local)
    with tempfile.TemporaryDirectory() as folder:
        one_by_one = _by_command(local, asked, Path(folder))
    alone = median(took for took, _ in quick)
    passed = quick[0][1]["counts"]["pass"]
    false = sum(report["outcome"] != "pass" for _, report in whole)
    return [
        at_most(
            "`inv validate`, dev-localstack, without journey and performance",
            _VALIDATE,
            [took for took, _ in quick],
            "s",
            f"the whole command, {passed} checks passed (asked: {_CHECKS}), {len(quick)} times",
        ),
        Row(
            f"{times} whole validations in a row of a healthy environment",
            "0 false alarms",
            f"{false} false",
            ok=false == 0,
            how=f"with journey and performance, {whole[0][1]['counts']['pass']} checks passed, "
            f"{min(took for took, _ in whole):.1f} to {max(took for took, _ in whole):.1f} s each",
        ),
        Row(
            "The AWS CLI, the same questions one after another / `inv validate`",
            f"≥ {_RATIO:g} x",
            f"{one_by_one / alone:.1f} x",
            ok=one_by_one >= _RATIO * alone,
            how=f"{len(asked)} calls to AWS as recorded of one validation, {one_by_one:.1f} s, to the median above; "
            "what validate asks of the application, and judging it all, comes on top there",
        ),
    ]


def _validate(local: Local, *arguments: str) -> tuple[float, dict[str, Any]]:
    argv = [sys.executable, "-m", "invoke", "--search-root", str(paths.ROOT), "validate", "--env=dev-localstack"]
    began = time.perf_counter()
    done = subprocess.run(
        [*argv, "--json", *arguments],
        env=os.environ | local.settings,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
        check=False,
        cwd="/",
    )
    took = time.perf_counter() - began
    if not done.stdout:
        raise SoundbiteError(f"inv validate ended with {done.returncode}: {done.stderr[-500:]}")
    return took, json.loads(done.stdout)


class _Recorded(Cloud):
    """Emulated AWS that keeps every question it is asked."""

    def __init__(self, local: Local) -> None:
        super().__init__(local.environment())
        self.asked: list[tuple[str, str, dict[str, Any]]] = []
        self._seen: set[int] = set()

    def client(self, service: str) -> Any:
        """Return a client as always, whose questions are kept."""
        found = super().client(service)
        if id(found) not in self._seen:
            self._seen.add(id(found))
            found.meta.events.register("provide-client-params.*.*", self._keep)
        return found

    def _keep(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        self.asked.append((model.service_model.service_name, model.name, dict(params)))


def _questions(local: Local) -> list[tuple[str, str, dict[str, Any]]]:
    environment = local.environment()
    cloud = _Recorded(local)
    checks.load_modules(environment.workflow.checks)
    chosen = checks.choose(skip=["journey", "performance"])
    keep = local.folder / "validate"
    keep.mkdir(exist_ok=True)
    checks.run(chosen, checks.Scene(environment, cloud, keep))
    return cloud.asked


def _by_command(local: Local, asked: list[tuple[str, str, dict[str, Any]]], folder: Path) -> float:
    """Ask one question after another; return the seconds that it took."""
    program = tools.installed() / "aws"
    variables = local.cloud().variables()
    endpoint = str(local.environment().endpoint_url)
    began = time.perf_counter()
    for service, operation, params in asked:
        name = "s3api" if service == "s3" else service
        verb = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", operation).lower()
        file = folder / "input.json"
        file.write_text(json.dumps(params, default=str), encoding="utf-8")
        where = ["--endpoint-url", endpoint]
        argv = [str(program), name, verb, *where, "--cli-input-json", f"file://{file}", "--output", "json"]
        done = subprocess.run(argv, env=variables, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
        if done.returncode:
            raise SoundbiteError(f"aws {name} {verb} ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    return time.perf_counter() - began
