"""Who we are and where: the account, the region, the caller, the clock."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from .asking import ask, expect
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
    answered = _caller(scene)
    there = parsedate_to_datetime(answered["ResponseMetadata"]["HTTPHeaders"]["date"])
    skew = (answered["here"] - there).total_seconds()
    told = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} AWS"
    if abs(skew) >= _SKEW_REFUSED:
        raise Failed(f"this machine's clock is {told}, and AWS refuses what is signed {_SKEW_REFUSED} s off")
    if abs(skew) > _SKEW_ODD:
        raise Warned(f"this machine's clock is {told}")
    return told if abs(skew) >= 1 else "the same as that of AWS, to the second"


def _caller(scene: Scene) -> dict[str, Any]:
    def find() -> dict[str, Any]:
        answer = dict(ask(scene, "sts", "get_caller_identity"))
        return {**answer, "here": datetime.now(UTC)}

    return scene.once("caller", find)
