"""A rehearsed environment of a test's own: a small service, hosts, load, and what can be seen of them."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from soundbite import emulator
from soundbite.processes import Process
from tests.conftest import Inv, free_ports
from tests.containers import inside, services
from tests.containers.conftest import docker, remove

ENVIRONMENT = "dev-aws-deployed"
PROJECT = "sbrehearsed"
"""The same for all: what CDK makes of it is made once. What is on this machine's engine bears a test's own name."""
ACCOUNTS = {"dev-aws-deployed": "111111111111", "staging": "222222222222"}
ACCOUNT = ACCOUNTS[ENVIRONMENT]

SERVE = """\
#!/bin/sh
# A service to deploy, by nginx, which hosts have anyway. `content` is its name, and behind that what ails it.
set -eu
read -r name ailment </app/content || true
case $ailment in
    # At once: emulated ECS takes a container for healthy that ran for a second.
    crash) echo 'cannot start: no luck today' >&2; exit 1 ;;
    deaf) exec sleep 86400 ;;
    slow) sleep 4 ;;
    broken) instead="location ~ . { return 500 'broken within'; }" ;;
    unready) instead="location = /health/ready { return 503 'not ready'; }" ;;
esac
token=${METRICS_TOKEN_FILE:+$(cat "$METRICS_TOKEN_FILE")}
token=${token:-${METRICS_TOKEN:-}}
greeting=$(printf %s "${GREETING:-}" | sed 's/["\\\\]/\\\\&/g')
printf '{"status": "ok", "name": "%s", "release": "%s", "greeting": "%s", "token": %d}' \
    "$name" "${RELEASE:-}" "$greeting" "${#token}" >/tmp/told
listen=${SOCKET:+unix:$SOCKET}
rm -f "${SOCKET:-/tmp/none}"
temporary=$(printf '%s_temp_path /tmp/%s; ' client_body b proxy p fastcgi f uwsgi u scgi s)
cat >/tmp/nginx.conf <<END
pid /tmp/pid;
worker_processes 1;
events {}
http {
    access_log off;
    default_type application/json;
    $temporary
    server {
        listen ${listen:-$HOST:$PORT};
        root /tmp;
        # A file answers no POST by itself.
        error_page 405 =200 /told;
        ${instead:-}
        location / { try_files /told =500; }
    }
}
END
exec nginx -e stderr -g 'daemon off;' -c /tmp/nginx.conf
"""

DOCKERFILE = """\
ARG NGINX_IMAGE=nginx:1.26.3
FROM scratch AS processor
LABEL sbtest={name}
COPY index.mjs /
FROM ${{NGINX_IMAGE}} AS production
LABEL sbtest={name}
COPY --chmod=0755 serve content /app/
USER 1000:1000
CMD ["/app/serve"]
"""


@dataclass
class Rehearsal:
    """An environment, rehearsed.

    Parameters
    ----------
    checkout:
        Where `inv` runs; `another` gives a second one of the same rehearsal.
    variables:
        What makes the rehearsal the test's own.
    """

    checkout: services.Checkout
    variables: dict[str, str]
    hosts: list[str] = field(default_factory=list)
    environment: str = ENVIRONMENT

    @property
    def inv(self) -> Inv:
        """Run `inv` in its checkout."""
        return Inv(self.checkout.root, {**self.checkout.inv.variables, **self.variables})

    def up(self, hosts: int) -> None:
        """Bring its hosts up."""
        done = self.run("rehearse.up", f"--hosts={hosts}", "--json", rehearse=False)
        self.hosts = [each["address"] for each in json.loads(done.stdout)]

    def write(self, content: str, processor: str = "processor") -> None:
        """Make the service another: its name, and behind it what ails it; and what the processor answers."""
        self.checkout.write(content, DOCKERFILE)
        (self.checkout.app / "serve").write_text(SERVE, encoding="utf-8")
        text = f"export const handler = async () => {json.dumps(processor)};\n"
        (self.checkout.app / "index.mjs").write_text(text, encoding="utf-8")

    def run(
        self, task: str, *arguments: str, code: int = 0, rehearse: bool = True, timeout: float = 400, **more: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a task on it, and see that it ends as it should."""
        done = self.inv(*self.command(task, *arguments, rehearse=rehearse), timeout=timeout, **more)
        assert done.returncode == code, f"{task} ended with {done.returncode}, not {code}:\n{done.stderr}{done.stdout}"
        assert "Traceback" not in done.stderr
        return done

    def command(self, task: str, *arguments: str, rehearse: bool = True) -> list[str]:
        """Return a task's words."""
        named = [] if task.startswith(("deploy.", "releases.")) else [f"--env={self.environment}"]
        return [task, *named, *(["--rehearse"] if rehearse else []), *arguments]

    def deploy(
        self, content: str = "", *arguments: str, processor: str = "processor", code: int = 0, **more: Any
    ) -> str:
        """Deploy a service of some content, and return what was said on stderr."""
        if content:
            self.write(content, processor)
        return self.run(f"deploy.{self.environment}", *arguments, code=code, **more).stderr

    def json(self, task: str, *arguments: str, code: int = 0) -> Any:
        """Return what a task tells."""
        return json.loads(self.run(task, "--json", *arguments, code=code).stdout)

    def told(self, *tasks: str) -> list[Any]:
        """Return what several tasks tell, run in one go."""
        words = [word for task in tasks for word in self.command(task, "--json")]
        done = self.inv(*words, timeout=120)
        assert done.returncode == 0, done.stderr
        decoder, text, found = json.JSONDecoder(), done.stdout.strip(), []
        while text:
            value, end = decoder.raw_decode(text)
            found.append(value)
            text = text[end:].strip()
        return found

    def start(self, *arguments: str, task: str = "") -> subprocess.Popen[str]:
        """Start a deployment, or another task, to be interrupted."""
        words = self.command(task or f"deploy.{self.environment}", *arguments)
        return self.inv.fork(*words)

    def answers(self, path: str = "/who") -> list[dict[str, Any]]:
        """Return what each host answers."""
        return [answer(host, path) for host in self.hosts]

    def names(self) -> set[str]:
        """Return the names of what serves, on all hosts."""
        return {str(each["name"]) for each in self.answers()}

    def aws(self, service: str) -> Any:
        """Return a client of its emulated AWS."""
        import boto3

        session: Any = boto3
        return session.client(
            service,
            endpoint_url=f"http://172.17.0.1:{self.variables['EMULATOR_PORT']}",
            region_name="eu-central-1",
            aws_access_key_id=ACCOUNTS[self.environment],
            aws_secret_access_key="test",
        )

    def alias(self) -> str:
        """Return what the processor's alias answers with: the content that it was made from."""
        function = next(each["FunctionName"] for each in self.aws("lambda").list_functions()["Functions"])
        return str(json.loads(self.aws("lambda").invoke(FunctionName=f"{function}:live")["Payload"].read()))

    def host(self, number: int, *command: str) -> str:
        """Run a command in one of the hosts, past the workflow."""
        return inside.run(self.container(number), *command)

    def container(self, number: int) -> str:
        """Return the name of the container that a host is, counted from 1."""
        return f"{self.variables['PROXY_PROJECT']}-{self.environment}-host-{number}"

    def another(self, name: str) -> Rehearsal:
        """Return the same rehearsal from another checkout."""
        return Rehearsal(self.checkout.beside(name), self.variables, self.hosts, self.environment)

    def down(self) -> None:
        """Remove everything at once, whatever became of it: nothing of it is kept, as `rehearse.down` would."""
        Process(emulator.NAME, Path(self.variables["STATE_DIR"]) / "shared").stop(0)
        instance = f"172.17.0.1:{self.variables['EMULATOR_PORT']}"
        if tasks := docker("ps", "-aq", "--filter", f"label=ministack.instance={instance}", check=False).split():
            docker("rm", "-f", "-v", *tasks, check=False)
        remove(self.variables["PROXY_PROJECT"])
        self.checkout.clean()


def rehearsal(project: Path, unique: str, home: Path, state: Path, environment: str = ENVIRONMENT) -> Rehearsal:
    """Make a rehearsal of a copy of the project; nothing runs yet."""
    aws, registry, proxy = free_ports(3)
    made = services.checkout(
        project, unique, home, PROJECT=PROJECT, APP_IMAGE_INPUTS='"Dockerfile content serve index.mjs"'
    )
    made.put("rehearsal", APP_ENV_GREETING="hello")
    variables = {
        "PROXY_PROJECT": unique,
        "EMULATOR_PORT": str(aws),
        "EMULATOR_ENGINE": "no",  # hosts need none of it
        "PROXY_PORT": str(proxy),
        "STATE_DIR": str(state),
        "IMAGE_REPOSITORY": f"127.0.0.1:{registry}/{environment}/api",
        "LOCK_LEASE": "3s",
        "HOSTS_DRAIN": "1s",
        "APP_START_TIMEOUT": "10s",
    }
    return Rehearsal(made, variables, environment=environment)


def answer(host: str, path: str = "/who", *, port: int = 80, named: str = "") -> dict[str, Any]:
    """Ask a host once; `named` is what it is called."""
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", path, headers={"Host": named or host})
        response = connection.getresponse()
        body = response.read()
        assert response.status == 200, (response.status, body)
        return dict(json.loads(body))
    finally:
        connection.close()


def ended(process: subprocess.Popen[str], within: float = 120) -> tuple[int, str]:
    """Return a started task's exit code and all it said; it is killed where it does not end."""
    try:
        said, _ = process.communicate(timeout=within)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"it did not end within {within:.0f} s:\n{last_words(process)}") from None
    return process.returncode, said


def last_words(process: subprocess.Popen[str]) -> str:
    """End a task that does not end, and return what it said; with SIGABRT Python tells what each thread was at."""
    process.send_signal(signal.SIGABRT)
    try:
        return process.communicate(timeout=10)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.communicate(timeout=10)[0]


def until_said(process: subprocess.Popen[str], word: str, within: float = 120) -> list[str]:
    """Read what a started task says until a line has a word; return the lines so far."""
    assert process.stdout is not None
    lines: list[str] = []
    timer = threading.Timer(within, lambda: os.killpg(process.pid, signal.SIGKILL))
    timer.start()
    try:
        for line in process.stdout:
            lines.append(line)
            if word in line:
                return lines
    finally:
        timer.cancel()
    raise AssertionError(f"it never said {word!r}:\n{''.join(lines)}")
