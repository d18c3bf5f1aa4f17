"""inv envs.*: what the environments are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.command import ENV_HELP, JSON_HELP, command

if TYPE_CHECKING:
    from invoke import Context


@command(name="list", help={"json": JSON_HELP})
def list_(context: Context, json: bool = False) -> None:
    """List the environments in the order of promotion."""
    from soundbite import console, environment

    loaded = [environment.load(name) for name in environment.order()]
    if json:
        console.result_json([environment.summary(each) for each in loaded])
        return
    console.table(
        [
            (each.name, each.workflow.platform, each.aws.account_id, each.app.url, each.workflow.purpose or "")
            for each in loaded
        ],
        heading=("environment", "platform", "account", "address", "purpose"),
    )


@command(
    help={
        "env": ENV_HELP,
        "compose": "The compose files chosen, and what they add up to.",
        "rehearse": "With the rehearsal layer.",
        "json": JSON_HELP,
    }
)
def show(
    context: Context, env: str = "dev-localstack", compose: bool = False, rehearse: bool = False, json: bool = False
) -> None:
    """Show every setting of an environment and where it comes from; references stay references."""
    from soundbite import console, environment

    loaded = environment.load(env, rehearsal=rehearse)
    if compose:
        from soundbite.platforms import projects

        chosen, merged = projects.shown(loaded)
        if json:
            console.result_json({"files": chosen, "merged": merged})
            return
        console.result("\n".join(f"# {each}" for each in chosen))
        console.result(projects.as_yaml(merged))
        return
    settings = loaded.settings
    if json:
        console.result_json(
            {key: {"value": each.text, "origin": str(each.origin)} for key, each in sorted(settings.items())}
        )
        return
    console.table(
        [(each.key, each.text, str(each.origin)) for each in sorted(settings.values(), key=lambda each: each.key)],
        heading=("key", "value", "from"),
    )


@command(help={"json": JSON_HELP})
def check(context: Context, json: bool = False) -> None:
    """Check that all environments load, and that none lacks what the others have."""
    from soundbite import console, environment

    checked = environment.check_all()
    if json:
        console.result_json({"environments": checked, "ok": True})
    else:
        console.result(f"{len(checked)} environments are in order: {', '.join(checked)}.")
