"""Asking an address once: whom it trusts, and that plain http reads no authorities."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import certifi
import httpx
import pytest

from soundbite import web
from tests.unit.faulty import Authority, http, serving

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture(autouse=True)
def _anew() -> None:
    web.trust.cache_clear()


def test_plain_http_reads_no_authorities() -> None:
    with serving(http("here")) as url:
        assert web.get(url, 5).text == "here"
    assert web.trust().cert_store_stats()["x509"] == 0


def test_who_is_not_known_is_refused(authority: Authority) -> None:
    with (
        serving(http("here"), authority.server(days=9)) as url,
        pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        web.get(url, 5)
    assert web.trust().cert_store_stats()["x509"] > 50


def test_who_is_known_to_certifi_is_answered_by(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certifi, "where", lambda: str(authority.file))
    with serving(http("here"), authority.server(days=9)) as url:
        assert web.get(url, 5).text == "here"
    assert web.trust().verify_mode is ssl.CERT_REQUIRED
    assert web.trust().check_hostname
