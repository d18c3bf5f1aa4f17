"""What every task has in common: one mechanism for exit codes, signals and errors.

A task is a thin function; whatever it raises becomes one clear message and the right exit code here,
and nowhere else. Exit codes are listed in the README.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
from functools import wraps
from typing import TYPE_CHECKING, Any

from invoke import Argument, Exit, Task, task

from soundbite.errors import ConfigurationError, Interrupted, SoundbiteError
from soundbite.interruption import expected, interrupt, under_way

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType, TracebackType

    from invoke import Context

ENV_HELP = "The environment; see inv envs.list."
REHEARSE_HELP = "With the rehearsal layer: on this machine only."
PLAN_HELP = "Say what would be done, and change nothing."
WITHOUT_HELP = "A host to leave out, for example one that is down; may be given several times."
JSON_HELP = "Print the result as JSON on stdout."


class Command(Task[Any]):
    """A task whose flags Invoke's parser is told where the command line may name it, and else none.

    The parser copies the flags of all tasks, whichever is run: a tenth of a start.
    """

    def flags(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Return all its flags, as Invoke reads them of its function."""
        return super().get_arguments(ignore_unknown_help)

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Return what the parser needs of its flags: a default task is named by its namespace."""
        named = self.is_default or any(self.name.replace("_", "-") in word for word in sys.argv[1:])
        return self.flags(ignore_unknown_help) if named else []


def command(
    *,
    help: dict[str, str] | None = None,
    default: bool = False,
    name: str | None = None,
    iterable: Sequence[str] = (),
) -> Callable[[Callable[..., None]], Any]:
    """Make an Invoke task of a function.

    Parameters
    ----------
    help:
        A line for each argument. Every argument has a default: Invoke runs a task whose positional
        argument is missing.
    default:
        Whether it is what its namespace's name alone runs.
    iterable:
        The arguments that may be given several times.
    """

    def decorate(function: Callable[..., None]) -> Any:
        @wraps(function)
        def run(context: Context, *args: Any, **kwargs: Any) -> None:
            _refuse_pretending(context)
            _on_signal(_interrupt)
            try:
                with expected():
                    function(context, *args, **kwargs)
            except Exit:
                raise
            except Interrupted as interrupted:
                # What is watched until Ctrl-C has told all that it had to tell.
                json = bool(kwargs.get("json")) and not kwargs.get("watch")
                _end("Interrupted.", interrupted.exit_code, json={"error": "Interrupted."} if json else None)
            except SoundbiteError as error:
                told = {"error": error.message, "hint": error.hint} if kwargs.get("json") else None
                _end(str(error), error.exit_code, json=told)
            except OSError as error:
                if error.filename is None and error.errno is None:
                    _bug(error)
                _end(_explain(error), 1)
            except Exception as error:  # noqa: BLE001 - whatever it is, it ends as one line and exit 1
                came = under_way()
                if came is None:
                    _bug(error)
                else:  # where Python or a library was in the middle of something, and failed for it
                    _end("Interrupted.", came.exit_code)
            finally:
                _on_signal(_quit)

        return task(
            run, klass=Command, help=help or {}, default=default, name=name, positional=[], iterable=list(iterable)
        )

    return decorate


def exit_with(code: int) -> None:
    """End the task with an exit code whose reason was told already; 0 lets the next task run."""
    if code:
        sys.stdout.flush()
        raise Exit(code=code)


def _refuse_pretending(context: Context) -> None:
    """Refuse Invoke's own --dry and --warn-only, with which a task would report what did not happen."""
    for flag, option in (("dry", "--dry"), ("warn", "--warn-only")):
        if context.config.run[flag]:
            error = ConfigurationError(
                f"Invoke's {option} (INVOKE_RUN_{flag.upper()}) is refused: tasks would report what did not happen.",
                "Tasks that change a deployed environment have --plan.",
            )
            _end(str(error), error.exit_code)


def _on_signal(answer: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, answer)


# When Python takes itself apart, the last task has ended and its exit code shall be told: no handler of ours is there
# any more, and a signal would kill the process.
atexit.register(_on_signal, signal.SIG_IGN)


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """End as other programs do where the reader of a list or a help of Invoke's has gone (`inv --list | head -1`)."""
    if issubclass(kind, BrokenPipeError):
        os._exit(128 + signal.SIGPIPE)
    sys.__excepthook__(kind, error, trace)


sys.excepthook = _uncaught


def _interrupt(signum: int, _frame: FrameType | None) -> None:
    interrupt(signum)


def _quit(signum: int, _frame: FrameType | None) -> None:
    # Between tasks, and while Python ends, nothing is under way; Python itself would print a traceback.
    os._exit(128 + signum)


def _explain(error: OSError) -> str:
    import errno

    where = f": {error.filename}" if error.filename else ""
    hints = {
        errno.ENOSPC: "Free some space, or set STATE_DIR to a folder on another disk.",
        errno.EDQUOT: "Free some space, or set STATE_DIR to a folder on another disk.",
        errno.EROFS: "Make it writable, or set STATE_DIR to a folder that is.",
        errno.EACCES: "Make it accessible to you, or set STATE_DIR to a folder that is.",
        errno.EPERM: "Make it accessible to you, or set STATE_DIR to a folder that is.",
    }
    hint = hints.get(error.errno or 0, "inv doctor checks disk, tools and ports.")
    return f"{error.strerror or error}{where}\n→ {hint}"


def _bug(error: Exception) -> None:
    """Report an error that nobody foresaw: one line, and the traceback in a file."""
    if logging.getLogger("invoke").isEnabledFor(logging.DEBUG):
        raise error
    import tempfile
    import time
    import traceback

    from soundbite import console, paths

    text = console.redact("".join(traceback.format_exception(error)))
    stamp = time.strftime("%Y%m%dT%H%M%S")
    try:
        paths.LOGS.mkdir(parents=True, exist_ok=True)
        log = paths.LOGS / f"error-{stamp}.log"
        log.write_text(text, encoding="utf-8")
        where = str(log)
    except OSError:
        with tempfile.NamedTemporaryFile("w", prefix=f"inv-error-{stamp}-", suffix=".log", delete=False) as stream:
            stream.write(text)
            where = stream.name
    _end(
        f"Unexpected {type(error).__name__}: {error}. This is a bug in the workflow.\n→ The traceback is in {where}", 1
    )


def _end(message: str, code: int, *, json: dict[str, str] | None = None) -> None:
    """End the task with what went wrong, on stderr, and where `json` is given as one object on stdout, too."""
    from soundbite import console

    if json is not None:
        console.result_json({**json, "exit_code": code})
    console.error(message)
    sys.stdout.flush()
    raise Exit(code=code)
