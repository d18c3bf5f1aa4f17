"""Questions to AWS, as checks ask them: what is not there is a failure, what may not be asked is inconclusive."""

from __future__ import annotations

from typing import Any

from soundbite.cloud import explained, permission

from .model import Failed, Scene

_GONE = {"404", "NoSuchBucket", "AWS.SimpleQueueService.NonExistentQueue"}
_LACKING = {
    "ServerSideEncryptionConfigurationNotFoundError": "has no encryption rule",
    "NoSuchLifecycleConfiguration": "has no lifecycle rule",
    "NoSuchPublicAccessBlockConfiguration": "has no block of public access",
    "NoSuchBucketPolicy": "has no policy",
}
"""What is not there of something that is, by AWS's codes."""


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
    with explained(permission(service, method), scene.environment):
        try:
            return getattr(client, method)(**arguments)
        except client.exceptions.ClientError as error:
            _refuse_gone(error, arguments)
            raise


def pages(scene: Scene, service: str, method: str, key: str, **arguments: Any) -> list[Any]:
    """Return all items of a method that answers in pages."""
    client = scene.cloud.client(service)
    with explained(permission(service, method), scene.environment):
        try:
            return [each for page in client.get_paginator(method).paginate(**arguments) for each in page.get(key, [])]
        except client.exceptions.ClientError as error:
            _refuse_gone(error, arguments)
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


def _refuse_gone(error: Any, arguments: dict[str, Any]) -> None:
    if is_gone(error):
        what = ", ".join(str(each) for each in arguments.values())
        lacks = _LACKING.get(str(error.response["Error"]["Code"]))
        raise Failed(f"{what} {lacks}" if lacks else f"not there: {what}") from None
