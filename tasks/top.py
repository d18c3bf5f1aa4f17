"""Tasks without a namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tasks.command import ENV_HELP, JSON_HELP, REHEARSE_HELP, command, exit_with
from tasks.flags import moment, number, seconds

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
    from soundbite.errors import ConfigurationError

    try:
        more = shlex.split(pytest_)
    except ValueError as error:
        raise ConfigurationError(f"--pytest={pytest_} cannot be split into words: {error}.") from None
    exit_with(testing.run([each for each in only.split(",") if each], more))


@command(
    help={
        "env": ENV_HELP,
        "to": "A deployment's id; default: the last verified one that is another and not bad.",
        "plan": "Say what would be done, and change nothing.",
        "yes": "Go on without asking.",
        "reason": "Why; the release that is left is marked bad with it.",
        "override-bad": "Go back to one that is bad or was never verified; wants --reason.",
        "keep-infrastructure": "Leave the infrastructure as it is.",
        "lock-wait": "How long to wait for somebody else's lock, for example 10m.",
        "without": "A host to leave out, for example one that is down; may be given several times.",
        "rehearse": "With the rehearsal layer: on this machine only.",
        "json": JSON_HELP,
    },
    iterable=["without"],
)
def rollback(
    context: Context,
    env: str = "",
    to: str = "",
    plan: bool = False,
    yes_: bool = False,
    reason: str = "",
    override_bad: bool = False,
    keep_infrastructure: bool = False,
    lock_wait: str = "",
    without: Any = None,
    rehearse: bool = False,
    json: bool = False,
) -> None:
    """Go back to a verified deployment as it was: image, processor, configuration and secrets."""
    from functools import partial

    from soundbite import console, deployment
    from soundbite.deployment import scene
    from tasks.asking import yes
    from tasks.deploy import named

    here = scene.load(named(env), rehearsal=rehearse)
    here.without = without or []
    found = deployment.rollback(
        here,
        partial(yes, question=f"Roll {env} back?", assume=yes_),
        to=to,
        plan=plan,
        reason=reason,
        override_bad=override_bad,
        keep_infrastructure=keep_infrastructure,
        lock_wait=seconds("--lock-wait", lock_wait),
    )
    if json:
        console.result_json(found)
    elif plan:
        console.result("\n".join(found["differences"]))
    else:
        console.result(f"{env}: {found['deployment']} serves, {found['url']}")


@command(help={"env": ENV_HELP, "lines": "How many.", "rehearse": REHEARSE_HELP, "json": JSON_HELP})
def history(context: Context, env: str = "", lines: str = "20", rehearse: bool = False, json: bool = False) -> None:
    """List the deployments of an environment, newest first, and which of them serves."""
    from soundbite import console
    from soundbite.deployment import scene, showing
    from tasks.deploy import named

    found = showing.history(scene.load(named(env), rehearsal=rehearse), number("--lines", lines))
    if json:
        console.result_json(found)
        return
    rows = [
        (
            f"{'→ ' if each['serving'] else '  '}{each['id']}",
            each["verb"] + (f" to {each['source']}" if each["source"] else ""),
            each["release"],
            each["commit"],
            each["started"],
            each["state"],
            each["bad"] and f"bad: {each['bad']}",
            each["who"].rpartition("/")[2],
        )
        for each in found
    ]
    console.table(rows, heading=("  deployment", "", "release", "commit", "started", "state", "", "by"))


@command(
    help={
        "env": ENV_HELP,
        "since": "From a time on: 2026-11-23, or 2026-11-23T14:00:00Z.",
        "rehearse": REHEARSE_HELP,
        "json": JSON_HELP,
    }
)
def audit(context: Context, env: str = "", since: str = "", rehearse: bool = False, json: bool = False) -> None:
    """Show who did what to an environment, from where and how it ended; nothing of it is ever changed."""
    from soundbite import console
    from soundbite.deployment import scene, showing
    from tasks.deploy import named

    found = showing.audit(scene.load(named(env), rehearsal=rehearse), moment("--since", since))
    if json:
        console.result_json(found)
        return
    for each in found:
        what = " ".join(str(each[name]) for name in ("event", "deployment", "release") if each.get(name))
        took = f" in {each['seconds']} s" if "seconds" in each else ""
        console.result(f"{each['at']}  {what}: {each.get('outcome', 'done')}{took}, {each['who']} on {each['where']}")
        if each.get("reason"):
            console.result(f"    because: {each['reason']}")
        if each.get("why"):
            console.result(f"    {each['why'].splitlines()[0]}")


@command(
    help={
        "env": "One environment; default: all.",
        "watch": "Look again every 2 s, until Ctrl-C.",
        "rehearse": REHEARSE_HELP,
        "json": JSON_HELP,
    }
)
def status(context: Context, env: str = "", watch: bool = False, rehearse: bool = False, json: bool = False) -> None:
    """Show all environments side by side; 0 some could be reached, 6 none, or not the one that was asked for."""
    from soundbite import console, environment
    from soundbite.validation import watching
    from soundbite.validation.overview import Overview

    if env:
        environment.load(env, rehearsal=rehearse)
    overview = Overview([env] if env else environment.order(), rehearsal=rehearse)
    if watch:
        watching.follow(overview, json=json)
    told = overview.look()
    if json:
        console.result_json(told)
    else:
        watching.show(told)
    exit_with(0 if any(each["reached"] for each in told["environments"]) else 6)
