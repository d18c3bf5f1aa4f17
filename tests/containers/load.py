"""Clients of a rehearsal's hosts: what they were answered, and what failed."""

from __future__ import annotations

import http.client
import json
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self


class Load:
    """Clients that keep their connections and never retry, on every host; a `with` statement starts and ends them.

    Parameters
    ----------
    rate:
        Requests a second, in all; every fifth is a POST. The timeout of each is 5 s.
    """

    def __init__(self, hosts: Sequence[str], rate: float = 200, clients: int = 6) -> None:
        self.failed: list[str] = []
        self.served: dict[str, int] = {}
        self._ended = threading.Event()
        self._counting = threading.Lock()
        pause = clients / rate
        self._threads = [
            threading.Thread(target=self._client, args=(hosts[each % len(hosts)], pause, each), daemon=True)
            for each in range(clients)
        ]

    @property
    def count(self) -> int:
        """How many requests were answered or failed."""
        return sum(self.served.values()) + len(self.failed)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(10)

    def _client(self, host: str, pause: float, number: int) -> None:
        connection = http.client.HTTPConnection(host, 80, timeout=5)
        due = time.monotonic()
        while not self._ended.is_set():
            number += 1
            try:
                post = number % 5 == 0
                connection.request("POST" if post else "GET", "/who", body=b"{}" if post else None)
                response = connection.getresponse()
                body = response.read()
                ok = response.status == 200
                what = str(json.loads(body)["name"]) if ok else f"{host}: {response.status} {body[:100]!r}"
            except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
                ok, what = False, f"{host}: {type(error).__name__} {error}"
                connection.close()
                connection = http.client.HTTPConnection(host, 80, timeout=5)
            with self._counting:
                if ok:
                    self.served[what] = self.served.get(what, 0) + 1
                else:
                    self.failed.append(what)
            due = max(due + pause, time.monotonic() - 1)
            self._ended.wait(max(0.0, due - time.monotonic()))
        connection.close()
