"""AWS as one environment sees it: its session, its clients, its credentials' account."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from . import waiting
from .errors import ConfigurationError, SoundbiteError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import botocore.session
    from boto3 import Session
    from botocore.credentials import ReadOnlyCredentials

    from .environment import Environment
    from .models import Models

_EMULATED_SECRET = "test"  # noqa: S105 - what the emulator signs presigned addresses with

_SKEWED = {"RequestTimeTooSkewed", "RequestInTheFuture"}
_SKEWED_WORDS = ("Signature expired", "Signature not yet current")
"""How AWS refuses what a wrong clock has signed; services that have no code for it say it in words."""


class Patience(NamedTuple):
    """How long a call waits for a connection and for an answer, in seconds, and how often it is tried."""

    connect: float = 3
    read: float = 20
    attempts: int = 3


_PREFIXES = {"elbv2": "elasticloadbalancing", "stepfunctions": "states"}
"""What IAM calls services that boto3 calls otherwise (Service Authorization Reference)."""
_ACTIONS = {
    "dynamodb:TransactWriteItems": "dynamodb:PutItem and dynamodb:ConditionCheckItem",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:HeadObject": "s3:GetObject",
    "s3:ListBuckets": "s3:ListAllMyBuckets",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "s3:GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
}
"""Actions that IAM calls otherwise than the API (Service Authorization Reference); a transaction is its parts."""


class Cloud:
    """One environment's AWS. Clients are made once each and are safe to use from threads.

    Parameters
    ----------
    environment:
        Whose AWS: its region, profile, endpoint; emulated AWS also gets credentials that name its account.
    patience:
        How long its calls may take; None: as long as work that must be done wants.
    """

    def __init__(self, environment: Environment, *, patience: Patience | None = None) -> None:
        self.environment = environment
        self.patience = patience or Patience()
        self._clients: dict[str, Any] = {}
        self._making = threading.Lock()
        self._session: Session | None = None

    def client(self, service: str) -> Any:
        """Return the boto3 client of a service, such as `dynamodb`."""
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        with self._making:
            if service not in self._clients:
                try:
                    self._session = self._session or self._make_session()
                    self._clients[service] = self._session.client(
                        service,  # type: ignore[call-overload]
                        endpoint_url=self.environment.endpoint_url,
                        config=Config(
                            connect_timeout=self.patience.connect,
                            read_timeout=self.patience.read,
                            retries={"total_max_attempts": self.patience.attempts, "mode": "standard"},
                            s3={"addressing_style": "path"} if self.environment.endpoint_url else None,
                        ),
                    )
                except BotoCoreError as error:
                    raise ConfigurationError(
                        f"No {service} client for {self.environment.name}: {error}",
                        "Check AWS_PROFILE and ~/.aws/config.",
                    ) from None
            return self._clients[service]

    def require_account(self) -> str:
        """Compare the credentials' account with the environment's.

        Returns
        -------
        str
            The caller's ARN.

        Raises
        ------
        ConfigurationError
            There are no credentials, they are not valid, or they belong to another account.
        """
        name, wanted = self.environment.name, self.environment.aws.account_id
        try:
            with explained("sts:GetCallerIdentity", self.environment):
                identity = self.client("sts").get_caller_identity()
        except SoundbiteError as error:
            raise ConfigurationError(error.message, error.hint) from None
        if identity["Account"] != wanted:
            raise ConfigurationError(
                f"The credentials belong to account {identity['Account']}, but {name} is account {wanted} "
                f"({self.environment.settings['AWS_ACCOUNT_ID'].origin}). Nothing was changed.",
                f"Use credentials of {wanted} (AWS_PROFILE, aws sso login), or correct AWS_ACCOUNT_ID.",
            )
        return str(identity["Arn"])

    def variables(self) -> dict[str, str]:
        """Return a whole environment for a child process: this process's own, with exactly this AWS in it."""
        variables = dict(os.environ)
        if self.environment.emulated:
            # Nothing of somebody's own AWS set-up may reach it: no profile, no role, no endpoint of one service.
            variables = {name: value for name, value in variables.items() if not name.startswith("AWS_")}
            variables |= {
                "AWS_ACCESS_KEY_ID": self._emulated_key,
                "AWS_SECRET_ACCESS_KEY": _EMULATED_SECRET,
                "AWS_CONFIG_FILE": os.devnull,
                "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
                "AWS_EC2_METADATA_DISABLED": "true",
            }
        elif self.environment.aws.profile:
            variables["AWS_PROFILE"] = self.environment.aws.profile
        if self.environment.endpoint_url:
            variables["AWS_ENDPOINT_URL"] = self.environment.endpoint_url
        region = self.environment.aws.region
        return variables | {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}

    def credentials(self) -> ReadOnlyCredentials | None:
        """Return the credentials that this process uses now; None if there are none."""
        self.client("sts")
        assert self._session is not None, "the client made it"
        found = self._session.get_credentials()
        with explained("sts:GetCallerIdentity", self.environment):
            return found.get_frozen_credentials() if found is not None else None

    @property
    def _emulated_key(self) -> str:
        return self.environment.aws.access_key_id or self.environment.aws.account_id

    def _make_session(self) -> Session:
        import boto3
        import botocore.session

        aws = self.environment.aws
        if not self.environment.emulated:
            session = _sharing(botocore.session.Session())
            return boto3.Session(profile_name=aws.profile, region_name=aws.region, botocore_session=session)
        session = _sharing(botocore.session.Session(session_vars=_nobodys()))
        return boto3.Session(
            aws_access_key_id=self._emulated_key,
            aws_secret_access_key=_EMULATED_SECRET,
            region_name=aws.region,
            botocore_session=session,
        )


def warm(services: Sequence[str]) -> None:
    """Have botocore read what it knows of services, before several threads want it at once; asks nobody anything."""
    import boto3
    import botocore.session

    session = _sharing(botocore.session.Session(session_vars=_nobodys()))
    nobody = boto3.Session("none", "none", region_name="us-east-1", botocore_session=session)
    for service in services:
        nobody.client(service)  # type: ignore[call-overload]


def _nobodys() -> dict[str, Any]:
    """Return the variables of a session that takes nothing from somebody's own AWS set-up."""
    return {"profile": (None, None, None, None), "config_file": (None, None, os.devnull, None)}


def _sharing(session: botocore.session.Session) -> botocore.session.Session:
    session.register_component("data_loader", _models(session.get_config_variable("data_path")))
    return session


@cache
def _models(more: str | None) -> Models:
    """Return what botocore knows of services, for all sessions of this process."""
    from .models import Models

    return Models(more)


def permission(service: str, method: str) -> str:
    """Return the permission that a method of a boto3 client needs, as IAM calls it."""
    called = f"{_PREFIXES.get(service, service)}:{''.join(word.title() for word in method.split('_'))}"
    return _ACTIONS.get(called, called)


@contextmanager
def explained(action: str, environment: Environment) -> Iterator[None]:
    """Turn the errors of boto3 into ours.

    Parameters
    ----------
    action:
        What was asked, as IAM names it, for example `dynamodb:DescribeTable`.

    Raises
    ------
    SoundbiteError
        The call failed: no credentials, refused, out of reach, or AWS said no.
    """
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        ConnectTimeoutError,
        CredentialRetrievalError,
        EndpointConnectionError,
        NoCredentialsError,
        PartialCredentialsError,
        ReadTimeoutError,
        SSOError,
    )

    where = environment.endpoint_url or f"AWS in {environment.aws.region}"
    try:
        with waiting.on(action):
            yield
    except (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError, SSOError) as error:
        raise SoundbiteError(
            f"There are no usable credentials for {environment.name} (account {environment.aws.account_id}): {error}",
            "Set AWS_PROFILE, run aws sso login, or export the access key of that account.",
        ) from None
    except (EndpointConnectionError, ConnectTimeoutError, ReadTimeoutError) as error:
        raise SoundbiteError(
            f"{where} does not answer {action}: {error}",
            "Is the emulator running (inv dev.status)?"
            if environment.emulated
            else "Check the network and AWS_REGION.",
        ) from None
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        text = error.response.get("Error", {}).get("Message", "")
        hint = ""
        if code in _SKEWED or any(words in text for words in _SKEWED_WORDS):
            hint = "This machine's clock differs from that of AWS: set it (timedatectl); the credentials may be right."
        elif code in {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}:
            hint = "The credentials have expired: sign in again (aws sso login)."
        elif code in {"InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch"}:
            hint = "The credentials are not valid: check AWS_PROFILE or the exported keys."
        elif code in {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"}:
            hint = f"The credentials lack the permission {action}."
        raise SoundbiteError(f"{where} refused {action}: {code}: {text}", hint) from None
    except BotoCoreError as error:
        raise SoundbiteError(f"{action} failed in {environment.name}: {error}") from None
