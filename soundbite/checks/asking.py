"""Questions to AWS, as checks ask them: what is not there is a failure, what may not be asked is inconclusive."""

from __future__ import annotations

from typing import Any

from soundbite.cloud import explained

from .model import Failed, Scene

_GONE = {"404", "NoSuchBucket", "NoSuchPublicAccessBlockConfiguration", "AWS.SimpleQueueService.NonExistentQueue"}


def ask(scene: Scene, service: str, method: str, **arguments: Any) -> Any:
    """Call a method of a boto3 client.

    Raises
    ------
    Failed
        AWS has no such thing.
    SoundbiteError
        It could not be asked; of a missing permission the hint names it.
    """
    client = scene.cloud.client(service)
    with explained(_action(service, method), scene.environment):
        try:
            return getattr(client, method)(**arguments)
        except client.exceptions.ClientError as error:
            if is_gone(error):
                raise Failed(f"not there: {', '.join(str(each) for each in arguments.values())}") from None
            raise


def pages(scene: Scene, service: str, method: str, key: str, **arguments: Any) -> list[Any]:
    """Return all items of a method that answers in pages."""
    client = scene.cloud.client(service)
    with explained(_action(service, method), scene.environment):
        try:
            return [each for page in client.get_paginator(method).paginate(**arguments) for each in page.get(key, [])]
        except client.exceptions.ClientError as error:
            if is_gone(error):
                raise Failed(f"not there: {', '.join(str(each) for each in arguments.values())}") from None
            raise


def expect(what: str, found: object, wanted: object) -> None:
    """Refuse what is not as it should be.

    Raises
    ------
    Failed
        It is another.
    """
    if found != wanted:
        raise Failed(f"{what} is {found}, not {wanted}")


def is_gone(error: Any) -> bool:
    """Tell whether AWS says that there is no such thing."""
    code = str(error.response["Error"]["Code"])
    return "NotFound" in code or code in _GONE or code.startswith("NoSuch")


def _action(service: str, method: str) -> str:
    prefix = {"elbv2": "elasticloadbalancing", "stepfunctions": "states"}.get(service, service)
    return f"{prefix}:{''.join(word.title() for word in method.split('_'))}"
