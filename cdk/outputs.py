"""The outputs of an environment's stacks, by the names that settings use: `output:Database.TableName`."""

from __future__ import annotations

from difflib import get_close_matches

from soundbite.environment import references
from soundbite.errors import ConfigurationError


class Outputs:
    """What the stacks built so far give out.

    A stack that reads an output of another is joined to it by CloudFormation: it is deployed after it.
    """

    def __init__(self) -> None:
        self._tokens: dict[str, str] = {}

    def add(self, name: str, token: str) -> None:
        """Publish `token` as `name`, for example Database.TableName."""
        self._tokens[name] = token

    def bind(self, key: str, text: str) -> str:
        """Return the value of a setting: the token of the output that it refers to, or else its own text.

        Raises
        ------
        ConfigurationError
            There is no such output, or it is a reference that no stack can bind.
        """
        try:
            reference = references.parse(text)
        except ValueError as error:
            raise ConfigurationError(f"{key} {error}, not {text!r}.") from None
        if reference is None:
            return text
        if reference.secret:
            raise ConfigurationError(
                f"{key} is a secret ({reference}), and what a stack holds is readable.", "Pass its name instead."
            )
        if reference.target not in self._tokens:
            near = get_close_matches(reference.target, self._tokens, n=1)
            guess = f" did you mean {near[0]}?" if near else ""
            raise ConfigurationError(
                f"{key} refers to the output {reference.target}, which does not exist;{guess}",
                f"What exists here: {', '.join(self._tokens)}.",
            )
        return self._tokens[reference.target]
