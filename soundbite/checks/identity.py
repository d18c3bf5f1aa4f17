"""Who we are and where: the account, the region, the caller, the clock."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from soundbite.cloud import explained
from soundbite.errors import Inconclusive, SoundbiteError

from .asking import expect
from .model import Failed, Scene, Warned, check

_SKEW_REFUSED = 300
"""Seconds of difference at which AWS refuses what is signed (Signature Version 4: RequestTimeTooSkewed)."""
_SKEW_ODD = 30


@check("identity.account")
def account(scene: Scene) -> str:
    """The credentials belong to the environment's account."""
    found = _caller(scene)["Account"]
    wanted = scene.environment.aws.account_id
    if found != wanted:
        origin = scene.environment.settings["AWS_ACCOUNT_ID"].origin
        raise Failed(f"the credentials belong to account {found}, not {wanted} ({origin})")
    return f"account {found}"


@check("identity.region")
def region(scene: Scene) -> str:
    """What the environment has lies in its region."""
    arns = [scene.output("Database.TableArn"), scene.output("Queue.QueueArn")]
    for arn in arns:
        expect(f"the region of {arn}", arn.split(":")[3], scene.environment.aws.region)
    return scene.environment.aws.region


@check("identity.caller")
def caller(scene: Scene) -> str:
    """Whoever asks is a role or a user, not the account's root."""
    arn = str(_caller(scene)["Arn"])
    if arn.endswith(":root") and not scene.environment.emulated:
        raise Warned(f"{arn} may do everything: use a role")
    return arn


@check("identity.clock")
def clock(scene: Scene) -> str:
    """The clock of this machine agrees with that of AWS."""
    seen = _seen(scene)
    if seen.there is None:
        raise seen.refused or Inconclusive("AWS answered without a date")
    skew = (seen.here - seen.there).total_seconds()
    told = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} AWS"
    if abs(skew) >= _SKEW_REFUSED:
        raise Failed(f"this machine's clock is {told}, and AWS refuses what is signed {_SKEW_REFUSED} s off")
    if abs(skew) > _SKEW_ODD:
        raise Warned(f"this machine's clock is {told}")
    return told if abs(skew) >= 1 else "the same as that of AWS, to the second"


class _Seen(NamedTuple):
    """What AWS says of who asks, or why it refuses to; and its clock and ours at that moment."""

    caller: dict[str, Any]
    refused: SoundbiteError | None
    there: datetime | None
    here: datetime


def _caller(scene: Scene) -> dict[str, Any]:
    seen = _seen(scene)
    if seen.refused is not None:
        raise seen.refused
    return seen.caller


def _seen(scene: Scene) -> _Seen:
    def find() -> _Seen:
        client = scene.cloud.client("sts")
        caller, refused = {}, None
        try:
            with explained("sts:GetCallerIdentity", scene.environment):
                try:
                    caller = answered = dict(client.get_caller_identity())
                except client.exceptions.ClientError as error:
                    # AWS tells the time even to whom it refuses because of his clock.
                    answered = error.response
                    raise
        except SoundbiteError as error:
            if not isinstance(error.__context__, client.exceptions.ClientError):
                raise
            refused = error
        date = answered.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        return _Seen(caller, refused, parsedate_to_datetime(date) if date else None, datetime.now(UTC))

    return scene.once("caller", find)
