"""Tasks without a namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.command import ENV_HELP, JSON_HELP, command, exit_with

if TYPE_CHECKING:
    from invoke import Context


@command(
    help={
        "env": ENV_HELP,
        "all": "Every environment.",
        "push": "Bring each image into its environment's registry.",
        "plan": "Say what would be done, and change nothing.",
        "rehearse": "With the rehearsal layer: on this machine only.",
        "json": JSON_HELP,
    }
)
def build(
    context: Context,
    env: str = "dev-localstack",
    all: bool = False,
    push: bool = False,
    plan: bool = False,
    rehearse: bool = False,
    json: bool = False,
) -> None:
    """Build an environment's image and the processor's code, once for each content."""
    from soundbite import console, environment, packaging

    names = environment.order() if all else [env]
    done = packaging.build(names, push=push, plan=plan, rehearsal=rehearse)
    if json:
        console.result_json(done)
        return
    for each in done:
        if plan:
            to = f", and pushed to {each['push']}" if push else ""
            console.result(f"{each['environment']}: {each['image']} would {each['would']}{to}")
        else:
            console.result(f"{each['environment']}: {each['image']}")


@command(name="setup-localstack")
def setup_localstack(context: Context) -> None:
    """Bring up emulated AWS and the infrastructure, verify each resource; leaves the application out."""
    from soundbite import development, environment

    exit_with(development.setup(environment.load("dev-localstack")))


@command(help={"json": JSON_HELP})
def doctor(context: Context, json: bool = False) -> None:
    """Examine this machine: tools, versions, ports, disk, accounts; each with what mends it."""
    from soundbite import console, doctor

    findings = doctor.examine()
    if json:
        console.result_json(doctor.as_json(findings))
    else:
        for each in findings:
            mark, colour = ("✓", "green") if each.well else ("-", "yellow") if each.optional else ("✗", "red")
            console.result(f"{console.paint(mark, colour)} {each.name:<28} {each.state:<8} {each.detail}")
            if not each.well:
                console.result(f"    mend: {each.mend}\n    needed by: {each.tasks}")
    exit_with(doctor.exit_code(findings))


@command(
    help={
        "only": "Groups, separated by commas: static, app, python.",
        "pytest": "More arguments for pytest, for example -k envs.",
    }
)
def test(context: Context, only: str = "", pytest_: str = "") -> None:
    """Run everything that must pass: static checks, the application's tests, the workflow's tests."""
    import shlex

    from soundbite.ci import testing

    exit_with(testing.run([each for each in only.split(",") if each], shlex.split(pytest_)))
