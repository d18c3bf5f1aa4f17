"""Somebody who has texts spoken: posts one, and asks for it until it is ready."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Self

import httpx

from soundbite.errors import SoundbiteError

if TYPE_CHECKING:
    from threading import Event

_TIMEOUT = 10
_POLL = 0.02


class Customer:
    """A client of the application; use it as a context manager, in one thread.

    Parameters
    ----------
    url:
        Where the application is.
    leave:
        When set, the customer waits no longer.
    """

    def __init__(self, url: str, leave: Event | None = None) -> None:
        self._http = httpx.Client(base_url=url, timeout=_TIMEOUT, trust_env=False)
        self._leave = leave

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def post(self, text: str) -> str:
        """Post a text and return the clip's id.

        Raises
        ------
        SoundbiteError
            It was not accepted.
        """
        key = {"Idempotency-Key": str(uuid.uuid4())}
        answer = self._http.post("/soundbite", json={"text": text, "userId": "bench"}, headers=key)
        if answer.status_code != httpx.codes.ACCEPTED:
            raise SoundbiteError(f"POST /soundbite answered {answer.status_code}: {answer.text[:200]}")
        return str(answer.json()["id"])

    def status(self, clip: str) -> str:
        """Return a clip's status; the HTTP status where the answer is not 200."""
        answer = self._http.get(f"/soundbite/{clip}")
        return str(answer.json()["status"]) if answer.status_code == httpx.codes.OK else str(answer.status_code)

    def wait(self, clip: str, until: float) -> str:
        """Ask for a clip until it is no longer pending, or until a time.monotonic(); return its last status."""
        while True:
            status = self.status(clip)
            left = self._leave is not None and self._leave.is_set()
            if status != "pending" or left or time.monotonic() > until:
                return status
            time.sleep(_POLL)
