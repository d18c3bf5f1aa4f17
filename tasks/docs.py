"""inv docs.*: the documentation, held against the code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.command import command, exit_with

if TYPE_CHECKING:
    from invoke import Context

    from soundbite.documentation import Task


@command(help={"fix": "Write the pages that are made from the code."})
def check(context: Context, fix: bool = False) -> None:
    """Check that the documentation names only tasks, flags and settings that are there."""
    from soundbite import console, documentation

    tasks = described()
    for path in documentation.write(tasks) if fix else []:
        console.say(f"wrote {path}")
    problems = documentation.problems(tasks)
    for problem in problems:
        console.result(problem)
    if not problems:
        console.result("The documentation names only what is there.")
    exit_with(int(bool(problems)))


def described() -> list[Task]:
    """Return every task as its help shows it, in alphabetical order, those without a namespace first."""
    import tasks as root
    from soundbite.documentation import Task

    found = []
    for name in sorted(root.namespace.task_names, key=lambda name: ("." in name, name)):
        task = root.namespace[name]
        flags = tuple((each.name.replace("_", "-").strip("-"), each.help or "") for each in task.flags())
        space, _, short = name.partition(".")
        of = space if short and root.namespace.collections[space].default == short else ""
        found.append(Task(name, (task.__doc__ or "").strip().splitlines()[0], flags, of))
    return found
