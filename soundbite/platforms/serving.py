"""What every platform asks of a running application: its variables, whether it answers, whether it is ready."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from soundbite import waiting, web
from soundbite.errors import SoundbiteError

if TYPE_CHECKING:
    from soundbite.environment import Environment
    from soundbite.services import Service

_POLL = 0.05


def is_secret(environment: Environment, variable: str) -> bool:
    """Tell whether one of the application's variables is a secret."""
    setting = environment.app_env.get(variable)
    return setting is not None and setting.reference is not None and setting.reference.secret


def answer(url: str, path: str, host: str | None = None) -> str | None:
    """Ask an application for one of its paths.

    Parameters
    ----------
    host:
        The name to ask for it by, where that is not the address's own.

    Returns
    -------
    str
        What is wrong; None if it answers 200.
    """
    import httpx

    try:
        response = web.get(f"{url}{path}", 5, headers={"Host": host} if host else None)
    except httpx.HTTPError as error:
        return f"{type(error).__name__}: {error}"
    return None if response.status_code == httpx.codes.OK else f"{response.status_code}: {response.text[:300]}"


def await_ready(environment: Environment, app: Service, url: str, log: str) -> None:
    """Wait until the application is up and what it depends on answers.

    Parameters
    ----------
    log:
        Where its whole log is, for the message.

    Raises
    ------
    SoundbiteError
        It ended (its own last lines are in the message), or is not ready within APP_START_TIMEOUT.
    """
    deadline = time.monotonic() + environment.app.start_timeout
    for path in (environment.app.health_path, environment.app.ready_path or environment.app.health_path):
        while (problem := answer(url, path)) is not None:
            looked = time.monotonic()
            if app.pid() is None:
                raise SoundbiteError(
                    f"The application ended while starting. Its last lines:\n{indented(app.tail())}",
                    f"Its whole log is {log}.",
                )
            if time.monotonic() > deadline:
                raise SoundbiteError(
                    f"The application is not ready after {environment.app.start_timeout:.0f} s: "
                    f"{url}{path}: {problem}. Its last lines:\n{indented(app.tail())}",
                    f"Its whole log is {log}; APP_START_TIMEOUT gives it more time.",
                )
            waiting.pause(looked, _POLL)


def indented(text: str) -> str:
    """Return a log's lines as part of a message."""
    return "\n".join(f"  {line}" for line in text.splitlines()) or "  (it printed nothing)"
