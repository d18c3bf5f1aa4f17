"""Our task tree under bare Invoke: the same names, docstrings and parameters, and nothing in the tasks."""

from __future__ import annotations

import inspect
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks import namespace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from invoke import Collection, Task

_HEAD = "from invoke import Collection, task\n"


@contextmanager
def tree() -> Iterator[Path]:
    """Give a folder with a tasks.py made of our own collection; it is gone after the block."""
    with tempfile.TemporaryDirectory(prefix="soundbite-bench-bare-") as folder:
        (Path(folder) / "tasks.py").write_text(source(namespace), encoding="utf-8")
        yield Path(folder)


def count() -> int:
    """Return how many tasks our collection has."""
    return len(namespace.task_names)


def source(collection: Collection) -> str:
    """Return the text of a tasks.py with the same tree of empty tasks."""
    parts = [_HEAD]
    _add(collection, "namespace", parts)
    return "\n".join(parts)


def _add(collection: Collection, variable: str, parts: list[str]) -> None:
    parts.append(f"{variable} = Collection({collection.name!r})" if collection.name else f"{variable} = Collection()")
    for name, task in collection.tasks.items():
        function = f"{variable}_{name.replace('-', '_')}"
        parts.append(_function(task, function))
        parts.append(f"{variable}.add_task({function}, {name!r}, default={name == collection.default})")
    for name, inner in collection.collections.items():
        own = f"{variable}_{name.replace('-', '_')}"
        _add(inner, own, parts)
        parts.append(f"{variable}.add_collection({own}, {name!r}, default={name == collection.default})")


def _function(task: Task[Any], name: str) -> str:
    parameters = inspect.signature(task.body).parameters.values()
    arguments = ", ".join(
        each.name if each.default is inspect.Parameter.empty else f"{each.name}={each.default!r}" for each in parameters
    )
    return f"@task(help={task.help!r}, positional=[])\ndef {name}({arguments}):\n    {task.__doc__ or ''!r}\n"
