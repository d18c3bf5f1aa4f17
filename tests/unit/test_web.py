"""Asking an address once: whom it trusts, and that plain http reads no authorities."""

from __future__ import annotations

import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import certifi
import httpx
import pytest

from soundbite import web
from tests.unit.faulty import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def server(request: pytest.FixtureRequest, authority: Authority) -> Iterator[str]:
    """Return the address of a server, with TLS or without."""
    encrypted = getattr(request, "param", "http") == "https"
    serving = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    serving.handle_error = lambda *_: None  # type: ignore[method-assign] # a client that refuses it is no error
    if encrypted:
        serving.socket = authority.server(days=9).wrap_socket(
            serving.socket, server_side=True, do_handshake_on_connect=False
        )
    thread = threading.Thread(target=serving.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"{'https' if encrypted else 'http'}://127.0.0.1:{serving.server_address[1]}/"
    serving.shutdown()
    serving.server_close()


@pytest.fixture(autouse=True)
def _anew() -> None:
    web.trust.cache_clear()


def test_plain_http_reads_no_authorities(server: str) -> None:
    assert web.get(server, 5).status_code == 204
    assert web.trust().cert_store_stats()["x509"] == 0


@pytest.mark.parametrize("server", ["https"], indirect=True)
def test_who_is_not_known_is_refused(server: str) -> None:
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        web.get(server, 5)
    assert web.trust().cert_store_stats()["x509"] > 50


@pytest.mark.parametrize("server", ["https"], indirect=True)
def test_who_is_known_to_certifi_is_answered_by(
    server: str, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certifi, "where", lambda: str(authority.file))
    assert web.get(server, 5).status_code == 204
    assert web.trust().verify_mode is ssl.CERT_REQUIRED
    assert web.trust().check_hostname
