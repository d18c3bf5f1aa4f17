"""A fault as tests seed it, and the emulated AWS that it is seeded in."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from tests.integration.conftest import Dev

    Seed = Callable[[Dev], AbstractContextManager[dict[str, str]]]

PROJECT = "SoundBite-dev-localstack-"


class Fault(NamedTuple):
    """A fault: what makes it, which check catches it, and by what words.

    Attributes
    ----------
    seed:
        Makes it, and takes it back; gives the variables that `inv` is run with meanwhile.
    only:
        The groups or checks that are run.
    outcome:
        How the check ends.
    others:
        How others end that cannot be well either; all that are not named pass, or do not apply.
    well:
        Checks that must have passed, since the fault is one that they do not see.
    """

    seed: Seed
    check: str
    words: str
    only: str
    outcome: str = "fail"
    others: Mapping[str, str] = MappingProxyType({})
    well: tuple[str, ...] = ()


def aws(dev: Dev, service: str) -> Any:
    """Return a client of an environment's emulated AWS."""
    import boto3

    session: Any = boto3
    return session.client(
        service,
        endpoint_url=f"http://127.0.0.1:{dev.ports[1]}",
        region_name="eu-central-1",
        aws_access_key_id="000000000000",
        aws_secret_access_key="test",
    )


def outputs(dev: Dev) -> dict[str, str]:
    """Return the outputs of all stacks, as `Stack.OutputName`."""
    return {
        f"{stack['StackName'].removeprefix(PROJECT)}.{output['OutputKey']}": output["OutputValue"]
        for stack in aws(dev, "cloudformation").describe_stacks()["Stacks"]
        for output in stack.get("Outputs", [])
    }


def through(port: int) -> dict[str, str]:
    """Return the variables by which `inv` reaches AWS through something else that listens on a port."""
    return {"EMULATOR": "external", "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
