"""Questions to the person at the terminal; where there is none, a flag answers or nothing is done."""

from __future__ import annotations

import sys

from soundbite.errors import ConfigurationError, Refused


def yes(text: str, *, question: str, assume: bool) -> None:
    """Show a text and ask whether to go on; anything but yes is no.

    Raises
    ------
    Refused
        The answer was no.
    ConfigurationError
        There is no terminal to ask at, and no --yes.
    """
    from soundbite import console

    console.say(f"{text}\n{question}")
    if assume:
        return
    if not sys.stdin.isatty():
        raise ConfigurationError(
            "There is no terminal to ask at. Nothing was changed.", "--yes goes on without asking."
        )
    if _read("Type yes to go on: ") != "yes":
        raise Refused("Not confirmed. Nothing was changed.")


def typed_name(name: str, warning: str, *, given: str) -> None:
    """Have an environment's name typed before something is lost.

    Raises
    ------
    Refused
        Something else was typed.
    ConfigurationError
        There is no terminal, and --confirm did not give the name.
    """
    from soundbite import console

    if not given and not sys.stdin.isatty():
        raise ConfigurationError(
            f"{warning} There is no terminal to ask at. Nothing was changed.",
            f"--confirm={name} goes on without asking.",
        )
    if not given:
        console.say(warning)
        given = _read(f"Type {name} to go on: ")
    if given != name:
        raise Refused(f"{given!r} is not {name}. Nothing was changed.")


def _read(prompt: str) -> str:
    sys.stderr.write(prompt)
    sys.stderr.flush()
    return sys.stdin.readline().strip()
