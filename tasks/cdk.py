"""inv cdk.*: the infrastructure of every environment."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tasks.asking import typed_name, yes
from tasks.command import ENV_HELP, JSON_HELP, PLAN_HELP, command

if TYPE_CHECKING:
    from invoke import Context

_ALL_HELP = "Every environment."
_HELP = {"env": ENV_HELP, "all": _ALL_HELP}


@command(help=_HELP)
def synth(context: Context, env: str = "", all: bool = False) -> None:
    """Synthesize the cloud assembly; skipped when nothing that goes into it changed."""
    from soundbite import console, provisioning

    for environment in provisioning.chosen(env, every=all):
        console.result(str(provisioning.synth(environment).folder))


@command(help={**_HELP, "json": JSON_HELP})
def diff(context: Context, env: str = "", all: bool = False, json: bool = False) -> None:
    """Show what a deploy would change; changes nothing."""
    from soundbite import console, provisioning

    chosen = provisioning.chosen(env, every=all)
    if json:
        console.result_json([{"environment": each.name, "differences": provisioning.diff(each)} for each in chosen])
        return
    for environment in chosen:
        console.result(provisioning.diff(environment))


@command(help={**_HELP, "plan": PLAN_HELP, "yes": "Deploy without asking."})
def deploy(context: Context, env: str = "", all: bool = False, plan: bool = False, yes_: bool = False) -> None:
    """Deploy the stacks that differ, after showing the difference."""
    from soundbite import console, provisioning

    for environment in provisioning.chosen(env, every=all):
        if plan:
            console.result(provisioning.diff(environment))
            continue
        provisioning.deploy(environment, partial(yes, question=f"Deploy this to {environment.name}?", assume=yes_))


@command(
    help={
        **_HELP,
        "plan": PLAN_HELP,
        "confirm": "The environment's name instead of typing it when asked; several with commas.",
    }
)
def destroy(context: Context, env: str = "", all: bool = False, plan: bool = False, confirm: str = "") -> None:
    """Destroy the stacks of an environment, all but the one with the ledger."""
    from soundbite import console, provisioning

    environments = provisioning.chosen(env, every=all)
    if plan:
        for environment in environments:
            console.result(f"{environment.name}: {', '.join(provisioning.doomed(environment)) or 'nothing'} would go")
        return
    for environment in environments:
        name = environment.name
        given = name if name in confirm.split(",") else confirm
        typed_name(
            name, f"This destroys the infrastructure of {name} in account {environment.aws.account_id}.", given=given
        )
    for environment in environments:
        provisioning.destroy(environment)
