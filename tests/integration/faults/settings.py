"""Faults of settings, secrets and of who is asked."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from tests.between import Exchange, between
from tests.conftest import copied

from .fault import aws, through

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.conftest import Dev

    from .fault import Seed


SECRET = "soundbite/dev-localstack/metrics"


def add_secret(dev: Dev) -> None:
    """Give the environment a secret, which its settings refer to from then on."""
    aws(dev, "secretsmanager").create_secret(Name=SECRET, SecretString=json.dumps({"token": "a" * 32}))
    dev.variables["APP_ENV_METRICS_TOKEN"] = f"secretsmanager:{SECRET}#token"


@contextmanager
def secret_gone(dev: Dev) -> Iterator[dict[str, str]]:
    """Delete the application's secret."""
    client = aws(dev, "secretsmanager")
    client.delete_secret(SecretId=SECRET)
    try:
        yield {}
    finally:
        client.restore_secret(SecretId=SECRET)


@contextmanager
def secret_old(dev: Dev) -> Iterator[dict[str, str]]:
    """Have AWS say that the secret's value is of 100 days ago: only time makes one old."""

    def alter(exchange: Exchange) -> None:
        if exchange.asked.get("X-Amz-Target", "").endswith("ListSecretVersionIds"):
            made = (datetime.now(UTC) - timedelta(days=100)).timestamp()
            told = json.loads(exchange.body)
            versions = [{**each, "CreatedDate": made} for each in told["Versions"]]
            exchange.body = json.dumps({**told, "Versions": versions}).encode()

    with between(dev.ports[1], alter) as port:
        yield through(port)


def line(file: str, text: str) -> Seed:
    """Add a line to an env file, of a copy of the checkout."""

    @contextmanager
    def seed(dev: Dev) -> Iterator[dict[str, str]]:
        with tempfile.TemporaryDirectory() as folder:
            root = copied(Path(folder) / "project")
            with (root / "envs" / f"{file}.env").open("a", encoding="utf-8") as stream:
                stream.write(f"{text}\n")
            dev.root, was = root, dev.root
            try:
                yield {}
            finally:
                dev.root = was

    return seed


@contextmanager
def another_account(dev: Dev) -> Iterator[dict[str, str]]:
    """Have AWS say that we are somebody else."""

    def alter(exchange: Exchange) -> None:
        if b"GetCallerIdentity" in exchange.sent:
            exchange.body = exchange.body.replace(b"000000000000", b"999999999999")

    with between(dev.ports[1], alter) as port:
        yield through(port)


@contextmanager
def clock_skewed(dev: Dev) -> Iterator[dict[str, str]]:
    """Have AWS's clock be ten minutes ahead of ours."""

    def alter(exchange: Exchange) -> None:
        exchange.without("date")
        exchange.headers["Date"] = format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True)

    with between(dev.ports[1], alter) as port:
        yield through(port)


@contextmanager
def listens_to_the_world(dev: Dev) -> Iterator[dict[str, str]]:
    """Have the application's process listen on every address, although its environment says loopback."""
    record = dev.folder / "run" / "app.json"
    was = record.read_text(encoding="utf-8")
    program = "import socket, time; s = socket.create_server(('0.0.0.0', 0)); print('up', flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "up\n"
            told = {**json.loads(was), "pid": process.pid, "started": psutil.Process(process.pid).create_time()}
            record.write_text(json.dumps(told), encoding="utf-8")
            yield {}
        finally:
            record.write_text(was, encoding="utf-8")
            process.kill()
