"""Every key of an env file: its type, its default, and what it is for.

A section is a class, and a key is one of its attributes: `Queue.visibility_timeout` is
`QUEUE_VISIBILITY_TIMEOUT`. This is the one list: loading, validation and envs/README.md are made from it.
(Plain classes, because dataclasses would cost 10 ms at each start.)
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, NoReturn

from . import kinds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .kinds import Kind
    from .references import Reference

REQUIRED = "required"


class Key(NamedTuple):
    """What is known of one key.

    Attributes
    ----------
    default:
        The text it has where no layer sets it; REQUIRED where there is none. "" gives None.
    process:
        Whether a local environment takes it from the process's own variables.
    synth:
        Whether the infrastructure depends on it.
    """

    kind: Kind
    doc: str
    default: str = REQUIRED
    process: bool = True
    synth: bool = False


def _key(kind: Kind, doc: str, default: str = REQUIRED, *, process: bool = True, synth: bool = False) -> Any:
    return Key(kind, doc, default, process, synth)


class Section:
    """A frozen group of settings; its class holds what is known of each, an instance the values."""

    keys: ClassVar[dict[str, Key]]
    prefix: ClassVar[str]

    def __init_subclass__(cls, prefix: str) -> None:
        cls.prefix = prefix
        cls.keys = {name: key for name, key in vars(cls).items() if isinstance(key, Key)}

    def __init__(self, values: Mapping[str, object]) -> None:
        self.__dict__.update(values)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be changed: an environment is a value")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({vars(self)})"


class Workflow(Section, prefix=""):
    """The project and the environment's place in it."""

    project: str = _key(
        kinds.PROJECT_NAME, "The application's name; stacks are `PROJECT-environment-Stack`.", synth=True, process=False
    )
    purpose: str | None = _key(kinds.TEXT, "One line for `inv envs.list`.", "", process=False)
    promoted_from: str | None = _key(
        kinds.ENVIRONMENT_NAME, "The environment before this one in the chain; empty for the first.", "", process=False
    )
    platform: str = _key(
        kinds.choice("local", "hosts", "ecs"),
        "Where the application runs: on this machine, on EC2 hosts, on ECS.",
        process=False,
        synth=True,
    )
    owner: str = _key(kinds.TEXT, "The `Owner` tag of every resource.", synth=True, process=False)
    cost_center: str = _key(kinds.TEXT, "The `CostCenter` tag of every resource.", synth=True, process=False)
    checks: tuple[str, ...] = _key(kinds.WORDS, "Python modules with the application's own checks.", "")
    compose_project: str = _key(
        kinds.COMPOSE_NAME, "The compose project of its containers; each on an engine has its own."
    )
    state_dir: str = _key(
        kinds.TEXT,
        "Where local environments keep their state; relative to the checkout.",
        ".soundbite",
    )
    confirm: bool = _key(
        kinds.FLAG, "Whether a change of it is asked for at the terminal, and needs --yes where there is none.", "no"
    )
    build: bool = _key(
        kinds.FLAG,
        "Whether what is deployed may be built from the working tree (`--build`); else only promoted.",
        "yes",
    )
    lock_lease: float = _key(
        kinds.duration(1, 3600, "from 1s to 1h"),
        "How long an operation that shows no sign of life keeps the environment's lock.",
        "20s",
    )
    retain_data: bool = _key(
        kinds.FLAG, "Whether table and bucket outlive the destruction of their stack.", "yes", synth=True
    )


class Aws(Section, prefix="AWS_"):
    """The account."""

    account_id: str = _key(
        kinds.ACCOUNT,
        "The only account that this environment may change; compared with the credentials' own before anything is.",
        synth=True,
        process=False,
    )
    region: str = _key(kinds.REGION, "The region of everything.", synth=True, process=False)
    profile: str | None = _key(kinds.TEXT, "A profile of the AWS configuration files; empty: the usual chain.", "")
    endpoint_url: str | None = _key(
        kinds.URL, "Where AWS is, if not at AWS: an emulator that runs already (`EMULATOR=external`).", ""
    )
    access_key_id: str | None = _key(
        kinds.ACCOUNT,
        "Emulated AWS only: 12 digits, which emulators take for the account. Real credentials never stand in a file.",
        "",
        process=False,
    )


class Emulator(Section, prefix="EMULATOR_"):
    """Emulated AWS."""

    mode: str = _key(
        kinds.choice("none", "embedded", "external"),
        "`embedded`: started and stopped by the workflow; `external`: one that runs already; `none`: real AWS.",
        "none",
    )
    host: str = _key(
        kinds.HOST, "The address that the embedded emulator listens on, and that everybody reaches it by.", "127.0.0.1"
    )
    port: int = _key(kinds.PORT, "The embedded emulator's port.", "4566")
    shared: bool = _key(
        kinds.FLAG, "Whether all environments that say so share one embedded emulator, an account each.", "no"
    )
    engine: bool = _key(
        kinds.FLAG, "Whether it may use this machine's Docker engine: tasks of ECS are containers then.", "no"
    )


class App(Section, prefix="APP_"):
    """The application and how it is built, started and asked."""

    dir: str = _key(kinds.TEXT, "The application's folder; relative to the checkout.")
    install: tuple[str, ...] | None = _key(kinds.COMMAND, "Installs its dependencies; empty: there are none.", "")
    install_inputs: tuple[str, ...] = _key(
        kinds.WORDS, "Globs in APP_DIR; APP_INSTALL runs again when one of these files changed.", ""
    )
    build: tuple[str, ...] | None = _key(kinds.COMMAND, "Builds it; empty: nothing to build.", "")
    build_inputs: tuple[str, ...] = _key(
        kinds.WORDS, "Globs in APP_DIR; APP_BUILD runs again when one of these files changed.", ""
    )
    build_outputs: tuple[str, ...] = _key(kinds.WORDS, "Globs in APP_DIR; APP_BUILD runs again when they are gone.", "")
    start: tuple[str, ...] = _key(kinds.COMMAND, "Starts it.")
    reload: tuple[str, ...] | None = _key(
        kinds.COMMAND,
        "Starts it so that it follows changes of its source; empty: APP_START. "
        "With `--inspect`, the variable INSPECT tells it where node's debugger shall listen.",
        "",
    )
    host: str = _key(kinds.TEXT, "The address it listens on.", "127.0.0.1")
    port: int = _key(kinds.PORT, "The port it listens on.", "3000")
    url: str = _key(kinds.URL, "Where its users reach it.")
    health_path: str = _key(kinds.URL_PATH, "Answers 200 when the process is up.", "/", synth=True)
    ready_path: str | None = _key(
        kinds.URL_PATH, "Answers 200 when what it depends on answers; empty: APP_HEALTH_PATH.", "", synth=True
    )
    start_timeout: float = _key(kinds.duration(1, 600, "from 1s to 10m"), "How long a start may take.", "60s")
    inspect_port: int = _key(kinds.PORT, "The debugger's port on 127.0.0.1 with `--inspect`.", "9229")
    dockerfile: str = _key(kinds.TEXT, "The Dockerfile; relative to APP_DIR.", "Dockerfile")
    docker_target: str = _key(kinds.TEXT, "The stage of the Dockerfile that this environment runs.", "production")
    image_inputs: tuple[str, ...] = _key(
        kinds.WORDS,
        "Globs in APP_DIR: what the image is made of. It is built again only when one of these files changed.",
        "",
    )


class Image(Section, prefix="IMAGE_"):
    """The registry of the application's images."""

    repository: str | Reference | None = _key(
        kinds.REPOSITORY,
        "Where its images are pushed to and run from: `host/name`, or a stack's output; empty: they stay here.",
        "",
    )
    username: str | None = _key(kinds.TEXT, "Who signs in to that registry; empty: nobody, or ECR's own token.", "")
    password: Reference | None = _key(kinds.SECRET, "The password, as a reference.", "")


class Proxy(Section, prefix="PROXY_"):
    """The proxy in front of `inv dev.multienv`."""

    port: int = _key(kinds.PORT, "Its port on 127.0.0.1.", "8080")
    project: str = _key(kinds.COMPOSE_NAME, "Its compose project.", "soundbite-proxy")


class Hosts(Section, prefix="HOSTS_"):
    """The hosts of `PLATFORM=hosts`, and the way to them."""

    listed: tuple[str, ...] = _key(
        kinds.WORDS,
        "Their addresses, `address` or `address:port` each; empty: EC2 instances with the tags Project, Environment "
        "and Role=api.",
        "",
    )
    proxy_image: str = _key(
        kinds.TEXT, "The image of nginx that they run; a digest (`nginx@sha256:…`) pins its bytes.", "nginx:1.26.3"
    )
    count: int = _key(
        kinds.integer(0, 20), "EC2 hosts that the Api stack makes; 0: they come from elsewhere.", "2", synth=True
    )
    instance_type: str = _key(kinds.TEXT, "Their EC2 instance type.", "t3.small", synth=True)
    http_port: int = _key(kinds.PORT, "The port that each serves the application on.", "80", synth=True)
    user: str = _key(kinds.TEXT, "Who signs in to them, by SSH key; may use sudo without a password.", "ubuntu")
    key: str | None = _key(
        kinds.TEXT, "The file of the private key, relative to the checkout; empty: the SSH agent, then ~/.ssh.", ""
    )
    known_hosts: str | None = _key(
        kinds.TEXT, "The file of their keys, relative to the checkout; empty: ~/.ssh/known_hosts.", ""
    )
    gateway: str | None = _key(
        kinds.GATEWAY,
        "The way to them: a jump host `user@address:port`, or `ssm` (Session Manager); empty: directly.",
        "",
    )
    batch: int = _key(kinds.integer(1, 20), "Hosts that are switched at once, after the first has proved it.", "4")
    drain: float = _key(
        kinds.duration(0, 300, "from 0s to 5m"),
        "How long what served before may go on answering what it was asked, before it is stopped.",
        "5s",
    )


class Ecs(Section, prefix="ECS_"):
    """The tasks of `PLATFORM=ecs`, on Fargate, behind a load balancer."""

    count: int = _key(kinds.integer(1, 100), "Tasks that serve.", "2")
    max_count: int = _key(
        kinds.integer(0, 100), "The most tasks that autoscaling may start; 0: there is no autoscaling.", "6"
    )
    cpu: int = _key(kinds.one_of_numbers(256, 512, 1024, 2048, 4096), "CPU units of a task; 1024 are one CPU.", "512")
    memory_mb: int = _key(
        kinds.integer(512, 30720), "Memory of a task, in MiB; ECS_CPU says which sizes Fargate has.", "1024"
    )
    drain: float = _key(
        kinds.duration(0, 3600, "from 0s to 1h"),
        "How long a task that gets no new requests may go on answering what it was asked, before it is stopped.",
        "15s",
        synth=True,
    )
    timeout: float = _key(
        kinds.duration(60, 7200, "from 1m to 2h"),
        "How long a rollout may take, until it is given up and taken back; ECS itself gives up sooner where tasks end.",
        "15m",
    )
    address: str | None = _key(
        kinds.TEXT, "Where the load balancer is asked, `address` or `address:port`; empty: at its own DNS name.", ""
    )
    certificate: str | None = _key(
        kinds.CERTIFICATE,
        "The load balancer's ACM certificate, in the environment's region; empty: it answers over http only.",
        "",
        synth=True,
    )


class Processor(Section, prefix="PROCESSOR_"):
    """The Lambda function behind the queue."""

    artifact: str | None = _key(
        kinds.TEXT, "The folder with its code, as APP_BUILD leaves it in APP_DIR; empty: no processor.", "", synth=True
    )
    handler: str = _key(kinds.TEXT, "The handler in it.", "index.handler", synth=True)
    runtime: str = _key(kinds.TEXT, "The Lambda runtime.", "nodejs24.x", synth=True)
    memory_mb: int = _key(kinds.integer(128, 10240), "Memory, in MiB.", "512", synth=True)
    timeout: float = _key(
        kinds.duration(1, 900, "from 1s to 15m"),
        "The longest a batch may take; not longer than QUEUE_VISIBILITY_TIMEOUT (Lambda's own rule).",
        "25s",
        synth=True,
    )
    batch_size: int = _key(kinds.integer(1, 10), "Messages a batch.", "5", synth=True)


class Table(Section, prefix="TABLE_"):
    """The DynamoDB table."""

    ttl_days: int = _key(kinds.integer(1, 3650), "Days until an item is deleted.", synth=True)
    backup: bool = _key(kinds.FLAG, "Point-in-time recovery.", synth=True)


class Queue(Section, prefix="QUEUE_"):
    """The SQS queue and its dead-letter queue."""

    visibility_timeout: float = _key(
        kinds.duration(1, 43200, "from 1s to 12h"), "How long a message received is hidden from others.", synth=True
    )
    max_receives: int = _key(
        kinds.integer(1, 1000), "Receives until a message goes to the dead-letter queue.", "3", synth=True
    )
    retention: float = _key(
        kinds.duration(60, 1209600, "from 1m to 14d"), "How long the queues keep a message.", "14d", synth=True
    )


class Bucket(Section, prefix="BUCKET_"):
    """The S3 bucket."""

    versioned: bool = _key(kinds.FLAG, "Whether objects keep their versions.", synth=True)


class Logs(Section, prefix="LOGS_"):
    """The logs."""

    retention_days: int = _key(
        kinds.one_of_numbers(1, 3, 5, 7, 14, 30, 60, 90, 180, 365),
        "Days that CloudWatch keeps them.",
        synth=True,
    )


class Budget(Section, prefix="BUDGET_"):
    """What an answer may take, as `inv validate` measures it at APP_HEALTH_PATH from where it runs."""

    p50: float = _key(kinds.duration(0.001, 60, "from 1ms to 60s"), "Half of the answers come within this.", "100ms")
    p95: float = _key(kinds.duration(0.001, 60, "from 1ms to 60s"), "95 of 100 answers come within this.", "300ms")
    errors: float = _key(kinds.PERCENTAGE, "The share of requests that may fail.", "0%")


SECTIONS: tuple[type[Section], ...] = (
    Workflow,
    Aws,
    Emulator,
    App,
    Image,
    Proxy,
    Hosts,
    Ecs,
    Processor,
    Table,
    Queue,
    Bucket,
    Logs,
    Budget,
)

PASSED_ON = {
    "APP_ENV_": "given to the application, without the prefix",
    "PROCESSOR_ENV_": "given to the processor, without the prefix",
}
"""Prefixes whose keys are not ours: they go to the application or the processor as they are."""


def key_name(section: type[Section], name: str) -> str:
    """Return the key of a section's attribute, for example QUEUE_VISIBILITY_TIMEOUT."""
    whole = {(Emulator, "mode"): "EMULATOR", (Hosts, "listed"): "HOSTS"}
    return whole.get((section, name)) or section.prefix + name.upper()


@cache
def all_keys() -> dict[str, Key]:
    """Return every key of ours, in the order of the documentation."""
    return {key_name(section, name): key for section in SECTIONS for name, key in section.keys.items()}
