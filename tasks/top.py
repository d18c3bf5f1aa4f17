"""Tasks without a namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.command import JSON_HELP, command, exit_with

if TYPE_CHECKING:
    from invoke import Context


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
