"""Checks over HTTP against servers that are wrong in one way each: outcome and message."""

from __future__ import annotations

import io
import json
import re
import socket
import threading
import time
import wave
from typing import TYPE_CHECKING, Any, Self

import pytest

import app.checks
import soundbite.checks.api
import soundbite.checks.performance
from app.audio import seconds_of_mp3, seconds_of_wav
from soundbite import environment
from soundbite.checks import Check, Load, Outcome, Scene, Verdict, Wishes, calling, choose, run
from soundbite.checks.calling import call
from soundbite.checks.model import REGISTRY
from soundbite.checks.performance import _thinned
from soundbite.checks.running import judge
from soundbite.cloud import Cloud
from tests.conftest import free_ports
from tests.unit.faulty import Authority, by_path, http, message, raw, serving

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.faulty import Talk

PASS, WARN, FAIL, SKIP = Outcome.PASS, Outcome.WARN, Outcome.FAIL, Outcome.SKIP
INCONCLUSIVE = Outcome.INCONCLUSIVE
HEALTHY = {"status": "ok", "environment": "dev-localstack", "release": "r", "revision": "abc"}


@pytest.fixture
def scene(tmp_path: Path) -> Callable[..., Scene]:
    """Return a function that makes a scene of an environment whose application is at an address."""

    def make(url: str, name: str = "dev-localstack", wishes: Wishes | None = None, **settings: str) -> Scene:
        loaded = environment.load(name, settings)
        return Scene(loaded, Cloud(loaded), tmp_path, url=url, wishes=wishes)

    return make


def judged(scene: Scene, id: str) -> Verdict:
    """Run one check, and see that it says in one line what it found."""
    verdict = judge(REGISTRY.checks[id], scene)
    assert verdict.message
    assert "\n" not in verdict.message
    return verdict


def found(scene: Scene, id: str) -> tuple[Outcome, str]:
    """Run one check."""
    verdict = judged(scene, id)
    return verdict.outcome, verdict.message


def hang(connection: socket.socket, _: bytes) -> None:
    """Say nothing, until the client goes."""
    connection.recv(1)


def drip(connection: socket.socket, _: bytes) -> None:
    """Send a header that never ends, a byte now and then."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    for byte in b"x" * 30:
        connection.sendall(bytes([byte]))
        time.sleep(0.25)


@pytest.fixture
def address() -> str:
    """Return an address that nothing listens on."""
    return f"http://127.0.0.1:{free_ports(1)[0]}"


# Nobody answers at all


def test_a_refused_connection_fails_once_and_the_others_skip(scene: Callable[..., Scene], address: str) -> None:
    here = scene(address)
    assert found(here, "api.resolves") == (PASS, "127.0.0.1 is an address")
    outcome, text = found(here, "api.reachable")
    assert outcome is FAIL
    assert "refuses connections: nothing listens there" in text
    others = ("api.health", "api.ready", "performance.latency", "performance.errors", "api.errors", "api.openapi")
    for name in others:
        assert found(here, name) == (INCONCLUSIVE, "api.reachable failed"), name
    for name in ("identity.health", "journey.clip"):
        assert found(here, name)[0] is FAIL, name


def test_a_name_that_does_not_resolve_fails_once(scene: Callable[..., Scene]) -> None:
    here = scene("http://nothing.invalid")
    outcome, text = found(here, "api.resolves")
    assert outcome is FAIL
    assert text.startswith("nothing.invalid does not resolve: ")
    for name in ("api.reachable", "api.health", "api.ready", "api.cors_refused"):
        expected = (INCONCLUSIVE, "api.resolves failed")
        if name == "api.cors_refused":
            expected = (SKIP, "APP_ENV_CORS_ORIGINS is *")
        assert found(here, name) == expected


def test_a_full_backlog_is_told_from_a_refusal(scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("soundbite.checks.calling.CONNECT", 0.3)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        outcome, text = found(scene(f"http://127.0.0.1:{full.getsockname()[1]}"), "api.reachable")
        for each in waiting:
            each.close()
    assert outcome is FAIL
    assert "does not answer: no connection within" in text


def test_localhosts_names_are_this_machine(scene: Callable[..., Scene]) -> None:
    hosts = []

    def note(headers: dict[str, Any]) -> bytes:
        hosts.append(headers["host"])
        return message(HEALTHY)

    with serving(by_path({"GET /health": note})) as url:
        named = url.replace("127.0.0.1", "staging.localhost")
        assert judged(scene(named), "api.health").outcome is PASS
        assert judged(scene(named, wishes=Wishes(load=Load(100, 0.3))), "performance.latency").outcome is PASS
    assert set(hosts) == {named.removeprefix("http://")}


CASES: dict[str, tuple[Any, Outcome, str]] = {
    "good": (http(HEALTHY), PASS, "GET /health answered 200 in"),
    "500": (http("Oh\nno\x1b[31m", "500 Internal Server Error"), FAIL, "GET /health answered 500, not 200: Oh no"),
    "closed": (raw(b""), FAIL, "GET /health got no answer"),
    "garbage": (raw(b"\x00\xff\x16SSH-2.0 what\r\n\r\n"), FAIL, "got something that is not HTTP"),
    "half": (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"), FAIL, "half an answer"),
    "half in chunks": (raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhalf"), FAIL, "half an answer"),
    "not gzip": (http("plain", Content_Encoding="gzip"), FAIL, "cannot be read"),
    "redirect": (http("", "302 Found", Location="/health"), FAIL, "GET /health redirects (302) to /health, not 200"),
    "no content": (http("", "204 No Content"), FAIL, "GET /health answered 204, not 200"),
}


@pytest.mark.parametrize(("talk", "outcome", "text"), CASES.values(), ids=CASES.keys())
def test_health_tells_what_is_wrong(scene: Callable[..., Scene], talk: Talk, outcome: Outcome, text: str) -> None:
    with serving(talk) as url:
        verdict = judged(scene(url), "api.health")
    assert (verdict.outcome, text in verdict.message) == (outcome, True), verdict


def test_what_hangs_is_given_up_in_time(scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("soundbite.checks.calling.READ", 1.0)
    for talk in (hang, drip):
        with serving(talk) as url:
            verdict = judged(scene(url), "api.health")
        assert verdict.outcome is FAIL
        assert "answer within 1 s" in verdict.message, verdict.message
        assert verdict.seconds < 3


def test_all_checks_of_a_server_that_hangs_are_done_soon(
    scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (calling.CONNECT, calling.READ) == (3, 5)
    monkeypatch.setattr(calling, "READ", 2.0)
    with serving(hang) as url:
        began = time.monotonic()
        verdicts = run([REGISTRY.checks[name] for name in ("api.health", "api.ready", "identity.health")], scene(url))
        assert time.monotonic() - began < 3
    assert {each.outcome for each in verdicts} == {FAIL}
    assert verdicts[0].message == "GET /health got no answer within 2 s"


def test_an_endless_answer_is_not_read_to_its_end(scene: Callable[..., Scene]) -> None:
    def endless(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x" * 1_000_000)

    with serving(endless) as url:
        assert found(scene(url), "api.health") == (FAIL, "GET /health got an answer of more than 16 MB")


def test_what_is_not_ready_is_named(scene: Callable[..., Scene]) -> None:
    dependencies = {"dynamodb": {"ok": True}, "sqs": {"ok": False, "error": "ECONNREFUSED"}, "s3": {"ok": False}}
    body = {"status": "unavailable", "dependencies": dependencies}
    with serving(http(body, "503 Service Unavailable")) as url:
        text = "GET /health/ready answered 503: sqs: ECONNREFUSED, s3: not ok"
        assert found(scene(url), "api.ready") == (FAIL, text)
    with serving(http("<h1>busy</h1>", "503 Service Unavailable")) as url:
        assert found(scene(url), "api.ready") == (FAIL, "GET /health/ready answered 503: <h1>busy</h1>")


def test_what_is_asked_is_the_path_as_it_stands(scene: Callable[..., Scene]) -> None:
    heads = []

    def note(connection: socket.socket, head: bytes) -> None:
        heads.append(head.split(b"\r\n")[0].decode())
        connection.sendall(message(HEALTHY))

    with serving(note) as url:
        named = scene(url.replace("127.0.0.1", "a.localhost") + "/prefix/", wishes=Wishes(load=Load(100, 0.01)))
        for name in ("api.health", "api.ready", "performance.errors"):
            judged(named, name)
        call(named, "GET", f"{url}/bucket/key?X-Amz-Signature=a%2Fb&x=1")
    assert list(dict.fromkeys(heads)) == [
        "GET /prefix/health HTTP/1.1",
        "GET /prefix/health/ready HTTP/1.1",
        "GET /bucket/key?X-Amz-Signature=a%2Fb&x=1 HTTP/1.1",
    ]


def test_the_machines_proxy_is_not_used(scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with serving(http(HEALTHY)) as url:
        assert judged(scene(url), "api.health").outcome is PASS


def test_headers_are_looked_at_where_it_is_deployed(scene: Callable[..., Scene]) -> None:
    with serving(http(HEALTHY)) as url:
        assert found(scene(url), "api.headers") == (SKIP, "is for deployed only")
        text = "GET /health answered without X-Content-Type-Options: nosniff"
        assert found(scene(url, "staging"), "api.headers") == (FAIL, text)
    with serving(http(HEALTHY, X_Content_Type_Options="nosniff")) as url:
        assert judged(scene(url, "staging"), "api.headers").outcome is PASS


# The certificate


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """Return an authority that this machine trusts."""
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.file))
    return made


def test_tls_is_for_https(scene: Callable[..., Scene]) -> None:
    with serving(http(HEALTHY)) as url:
        assert found(scene(url), "api.tls") == (SKIP, "APP_URL is http")
        outcome, text = found(scene(url.replace("http:", "https:")), "api.tls")
    assert outcome is FAIL
    assert text.endswith("it does not speak TLS")


def test_a_good_certificate_passes_and_https_is_asked_for(scene: Callable[..., Scene], authority: Authority) -> None:
    with serving(http(HEALTHY, X_Content_Type_Options="nosniff"), authority.server(days=90.5)) as url:
        here = scene(url, "staging", Wishes(load=Load(100, 0.3)))
        outcome, text = found(here, "api.tls")
        assert (outcome, "90 days; TLSv1.3" in text) == (PASS, True), text
        assert judged(here, "api.health").outcome is PASS
        assert judged(here, "performance.latency").outcome is PASS
        text = "GET /health answered without Strict-Transport-Security"
        assert found(here, "api.headers") == (FAIL, text)


@pytest.mark.parametrize(
    ("days", "name", "outcome", "text"),
    [
        (5.5, "127.0.0.1", WARN, "in 5 days"),
        (-3, "127.0.0.1", FAIL, "the certificate has expired, on 20"),
        (90, "other.example", FAIL, "the certificate is for another address"),
    ],
)
def test_a_certificate_that_is_not_valid_is_told_why(
    scene: Callable[..., Scene], authority: Authority, days: float, name: str, outcome: Outcome, text: str
) -> None:
    with serving(http(HEALTHY), authority.server(days=days, name=name)) as url:
        here = scene(url)
        verdict = judged(here, "api.tls")
        health = judged(here, "api.health")
    assert (verdict.outcome, text in verdict.message) == (outcome, True), verdict
    assert health.outcome is (PASS if outcome is WARN else FAIL)
    assert health.outcome is PASS or "the certificate" in health.message


def test_a_certificate_for_another_name_or_of_tomorrow(scene: Callable[..., Scene], authority: Authority) -> None:
    with serving(http(HEALTHY), authority.server(days=90, name="other.example")) as url:
        text = judged(scene(url.replace("127.0.0.1", "a.localhost")), "api.tls").message
        assert text.endswith("the certificate is for another name")
    with serving(http(HEALTHY), authority.server(days=90, since=1)) as url:
        assert judged(scene(url), "api.tls").message.endswith("the certificate is not valid yet")


def test_a_strangers_certificate_is_not_trusted(
    scene: Callable[..., Scene], authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other")
    with serving(http(HEALTHY), stranger.server(days=90)) as url:
        outcome, text = found(scene(url), "api.tls")
        assert (outcome, "the certificate is not trusted: " in text) == (FAIL, True), text
    with serving(http(HEALTHY), stranger.server(days=-1)) as url:  # no date without trust, but the verdict is there
        assert judged(scene(url), "api.tls").outcome is FAIL


def test_a_name_of_this_machine_is_the_one_that_the_certificate_is_for(
    scene: Callable[..., Scene], authority: Authority
) -> None:
    with serving(http(HEALTHY), authority.server(days=90, name="a.localhost")) as url:
        here = scene(url.replace("127.0.0.1", "a.localhost"), wishes=Wishes(load=Load(100, 0.3)))
        for name in ("api.tls", "api.health", "performance.latency"):
            verdict = judged(here, name)
            assert verdict.outcome is PASS, verdict


# Performance


def test_latency_and_errors_are_of_one_probe(scene: Callable[..., Scene]) -> None:
    with serving(http(HEALTHY)) as url:
        here = scene(url, wishes=Wishes(load=Load(100, 0.5)))
        latency, errors = judged(here, "performance.latency"), judged(here, "performance.errors")
    assert (latency.outcome, errors.outcome) == (PASS, PASS), (latency, errors)
    assert set(latency.data) == {"latencies_ms", "budget_ms", "p50_ms", "p95_ms", "errors"}
    assert len(latency.data["latencies_ms"]) == 50
    assert latency.data["budget_ms"] == 1000
    assert errors.message == "0 of 50 requests failed, 0%"
    json.dumps(latency.data)


def test_a_slow_application_is_over_its_budget_and_the_report_gets_its_figures(scene: Callable[..., Scene]) -> None:
    def slow(connection: socket.socket, _: bytes) -> None:
        time.sleep(0.05)
        connection.sendall(message(HEALTHY))

    with serving(slow) as url:
        here = scene(url, wishes=Wishes(load=Load(60, 0.5)), BUDGET_P50="20ms", BUDGET_P95="30ms")
        verdict = judged(here, "performance.latency")
        assert verdict.outcome is FAIL
        assert "over its budget of 20 ms; p95 is" in verdict.message
        assert verdict.data["p50_ms"] >= 50
        assert judged(here, "performance.errors").outcome is PASS


def test_errors_count_by_their_share(scene: Callable[..., Scene]) -> None:
    lock, count = threading.Lock(), 0

    def every_tenth_fails(connection: socket.socket, _: bytes) -> None:
        nonlocal count
        with lock:
            count += 1
            bad = count % 10 == 0
        connection.sendall(message("", "502 Bad Gateway") if bad else message(HEALTHY))

    with serving(every_tenth_fails) as url:
        load = Wishes(load=Load(100, 0.5))
        verdict = judged(scene(url, wishes=load), "performance.errors")
        assert verdict.outcome is FAIL
        assert "over the budget of 0%" in verdict.message
        assert "x status 502" in verdict.message
        assert verdict.data["errors"] > 0
        assert judged(scene(url, wishes=load, BUDGET_ERRORS="50%"), "performance.errors").outcome is PASS


def test_answers_that_never_end_are_errors_and_hold_up_nobody(
    scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soundbite.checks.performance, "READ", 0.5)
    monkeypatch.setattr(soundbite.checks.performance, "_LATE", 0.3)

    def trickle(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _part in range(200):
            connection.sendall(b"1\r\nx\r\n")
            time.sleep(0.05)

    for talk in (trickle, drip):
        with serving(talk) as url:
            here = scene(url, wishes=Wishes(load=Load(40, 0.5)))
            monkeypatch.setattr(soundbite.checks.performance, "_SLOWEST_START", 1.0)
            began = time.monotonic()
            verdict = judged(here, "performance.errors")
            assert time.monotonic() - began < 6
        assert verdict.outcome is FAIL
        assert (verdict.data["errors"], verdict.data["requests"]) == (20, 20)
        assert set(verdict.data["reasons"]) <= {"no whole answer", "not sent"}, verdict.data


def test_a_connection_that_is_never_made_keeps_the_others_from_nothing(
    scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soundbite.checks.performance, "_SLOWEST_START", 0.5)
    lock, count = threading.Lock(), 0

    def first_one_drips(connection: socket.socket, head: bytes) -> None:
        nonlocal count
        with lock:
            count += 1
            first = count == 1
        drip(connection, head) if first else connection.sendall(message(HEALTHY))

    with serving(first_one_drips) as url:
        verdict = judged(scene(url, wishes=Wishes(load=Load(40, 1.0))), "performance.latency")
    assert verdict.outcome is PASS, verdict
    assert len(verdict.data["latencies_ms"]) == 40


def test_requests_that_could_not_be_sent_are_errors(
    scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soundbite.checks.performance, "_LATE", 0.1)
    monkeypatch.setattr(soundbite.checks.performance, "_MOST_THREADS", 1)

    def slow(connection: socket.socket, _: bytes) -> None:
        time.sleep(0.1)
        connection.sendall(message(HEALTHY))

    with serving(slow) as url:
        verdict = judged(scene(url, wishes=Wishes(load=Load(100, 0.5))), "performance.errors")
    assert verdict.outcome is FAIL
    assert verdict.data["requests"] == 50
    assert verdict.data["reasons"]["not sent"] > 30


def test_no_data_is_inconclusive(scene: Callable[..., Scene]) -> None:
    with serving(http("", "500 Internal Server Error")) as url:
        here = scene(url, wishes=Wishes(load=Load(100, 0.3)))
        outcome, text = found(here, "performance.latency")
        assert (outcome, text) == (INCONCLUSIVE, "only 0 answers to 30 requests: too few for a percentile")
        assert judged(here, "performance.errors").outcome is FAIL
    with serving(http(HEALTHY)) as url:
        few = scene(url, wishes=Wishes(load=Load(10, 0.3)))
        assert judged(few, "performance.latency").outcome is INCONCLUSIVE
        assert judged(few, "performance.errors").outcome is INCONCLUSIVE


# SoundBite's own


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("<h1>Welcome to nginx!</h1>", "answered 200 without JSON: <h1>Welcome to nginx!</h1>"),
        ({"hello": "world"}, "is another application: it answered {"),
        (["environment"], "is another application: it answered ["),
        ({"environment": "staging", "revision": "abc"}, "is staging, not dev-localstack"),
        ("", "answered 200 without JSON: nothing"),
    ],
)
def test_another_application_is_not_taken_for_ours(scene: Callable[..., Scene], body: object, text: str) -> None:
    with serving(http(body)) as url:
        verdict = judged(scene(url), "identity.health")
    assert verdict.outcome is FAIL
    assert text in verdict.message
    with serving(http(HEALTHY)) as url:
        assert judged(scene(url), "identity.health").outcome is PASS


LISTED = {"APP_ENV_CORS_ORIGINS": "https://a.example, https://b.example"}


def preflight(headers: dict[str, Any], *, everybody: bool = False, methods: str = "GET, POST") -> bytes:
    """Answer as a server that allows a.example and b.example, or everybody."""
    known = everybody or headers["origin"] in {"https://a.example", "https://b.example"}
    allowed = {"Access_Control_Allow_Origin": headers["origin"]} if known else {}
    return message("", "204 No Content", Access_Control_Allow_Methods=methods, **allowed)


def test_listed_origins_may_call_and_others_may_not(scene: Callable[..., Scene]) -> None:
    with serving(by_path({"OPTIONS /soundbite": preflight})) as url:
        assert found(scene(url, **LISTED), "api.cors") == (PASS, "POST from https://a.example, https://b.example")
        assert judged(scene(url, **LISTED), "api.cors_refused").outcome is PASS
        third = scene(url, APP_ENV_CORS_ORIGINS="https://c.example")
        assert "a page of https://c.example may not call it" in judged(third, "api.cors").message
        none = scene(url, APP_ENV_CORS_ORIGINS="")
        assert found(none, "api.cors") == (SKIP, "APP_ENV_CORS_ORIGINS lists none")
        assert judged(none, "api.cors_refused").outcome is PASS
        assert judged(scene(url), "api.cors_refused").outcome is SKIP
    with serving(by_path({"OPTIONS": lambda headers: preflight(headers, everybody=True)})) as url:
        assert judged(scene(url), "api.cors").outcome is PASS
        assert judged(scene(url, **LISTED), "api.cors_refused").outcome is FAIL
    with serving(by_path({"OPTIONS": lambda headers: preflight(headers, methods="GET")})) as url:
        assert "may not POST" in judged(scene(url, **LISTED), "api.cors").message


def error(status: str, says: str = "no", *, id: str = "1", header: str = "1", **more: object) -> bytes:
    """Return an error of SoundBite's shape."""
    code, _, phrase = status.partition(" ")
    body = {"statusCode": int(code), "error": phrase, "message": says, "requestId": id, **more}
    return message(body, status, X_Request_Id=header)


@pytest.mark.parametrize(
    ("missing", "bad", "text"),
    [
        (error("404 Not Found"), error("400 Bad Request"), ""),
        (error("404 Not Found", stack="at x"), error("400 Bad Request"), "not in the shape of errors"),
        (error("404 Not Found"), error("400 Bad Request", header="2"), "X-Request-Id is 2, and requestId is 1"),
        (error("404 Not Found"), error("400 Bad Request", "x\n    at f (/app/dist/a.js:3)"), "where in the code"),
        (message("<h1>404</h1>", "404 Not Found"), error("400 Bad Request"), "without JSON"),
        (error("404 Not Found"), message({"id": "x"}, "202 Accepted"), "answered 202, not 400"),
        (error("404 Not Found", statusCode=500), error("400 Bad Request"), "its body says 500"),
    ],
)
def test_errors_have_the_one_shape(scene: Callable[..., Scene], missing: bytes, bad: bytes, text: str) -> None:
    routes = {"GET /no-such-route-": lambda _: missing, "POST /soundbite": lambda _: bad}
    with serving(by_path(routes)) as url:
        verdict = judged(scene(url), "api.errors")
    assert verdict.outcome is (FAIL if text else PASS), verdict
    assert text in verdict.message


DESCRIPTION: dict[str, Any] = {
    "openapi": "3.0.0",
    "info": {"title": "SoundBite", "version": "1"},
    "paths": {path: {"get": {"responses": {"200": {"description": "yes"}}}} for path in ("/soundbite", "/health")},
}


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"swagger": "2.0"}, "/api-json is not OpenAPI 3"),
        (DESCRIPTION | {"info": {}}, "/api-json is not valid: "),
        (DESCRIPTION, "/api-json describes no /soundbite/{id}"),
        ("no", "without JSON"),
    ],
)
def test_the_description_is_validated(scene: Callable[..., Scene], document: object, text: str) -> None:
    with serving(http(document)) as url:
        verdict = judged(scene(url), "api.openapi")
    assert (verdict.outcome, text in verdict.message) == (FAIL, True), verdict


class Limited:
    """A server that lets in so many requests."""

    def __init__(
        self, limit: int, told: str | None = None, after: str = "60", status: str = "429 Too Many Requests"
    ) -> None:
        self.count = 0
        self._limit, self._after, self._status = limit, after, status
        self._told = told or str(limit)
        self._lock = threading.Lock()

    def __call__(self, _: dict[str, Any]) -> bytes:
        with self._lock:
            self.count += 1
            late = self.count > self._limit
        answer = error(self._status) if late else error("400 Bad Request")
        more = f"\r\nRetry-After: {self._after}" if late else ""
        return answer.replace(b"\r\n\r\n", f"\r\nRateLimit-Limit: {self._told}{more}\r\n\r\n".encode(), 1)


def test_the_rate_limit_is_as_configured_and_refuses(scene: Callable[..., Scene]) -> None:
    server = Limited(30)
    with serving(by_path({"GET /soundbite/": server})) as url:
        here = scene(url, APP_ENV_RATE_LIMIT="30")
        assert found(here, "api.rate_limit") == (PASS, "30 requests a window")
        verdict = judged(here, "api.rate_limit_refuses")
        assert verdict.outcome is PASS, verdict
        assert server.count <= 30 + 8
    with serving(by_path({"GET /soundbite/": Limited(10**6, told="100")})) as url:
        text = "RateLimit-Limit is 100, not 30 (APP_ENV_RATE_LIMIT)"
        assert found(scene(url, APP_ENV_RATE_LIMIT="30"), "api.rate_limit") == (FAIL, text)
        text = "none of 76 requests was refused, the limit being 30"
        assert found(scene(url, APP_ENV_RATE_LIMIT="30"), "api.rate_limit_refuses") == (FAIL, text)


def test_a_window_that_ends_while_the_limit_is_used_up_is_no_failure(scene: Callable[..., Scene]) -> None:
    class Ending(Limited):
        """Its window ends after 25 requests."""

        def __call__(self, request: dict[str, Any]) -> bytes:
            with self._ending:
                self._seen += 1
                if self._seen == 25:
                    self.count = 0
            return super().__call__(request)

        _seen, _ending = 0, threading.Lock()

    with serving(by_path({"GET /soundbite/": Ending(30)})) as url:
        verdict = judged(scene(url, APP_ENV_RATE_LIMIT="30"), "api.rate_limit_refuses")
    assert verdict.outcome is PASS, verdict


def test_whoever_is_slower_than_the_limit_cannot_tell_whether_it_refuses(scene: Callable[..., Scene]) -> None:
    def slow(_: dict[str, Any]) -> bytes:
        time.sleep(0.15)
        return error("400 Bad Request")

    with serving(by_path({"GET /soundbite/": slow})) as url:
        here = scene(url, APP_ENV_RATE_LIMIT="30", APP_ENV_RATE_WINDOW_SECONDS="1")
        outcome, text = found(here, "api.rate_limit_refuses")
    assert outcome is INCONCLUSIVE
    assert re.fullmatch(r"76 requests took \d+ s, and a window of 1 s lets 30 in", text)


@pytest.mark.parametrize(("platform", "hosts", "tasks"), [("hosts", 3, 0), ("ecs", 0, 4)])
def test_the_limit_is_that_of_every_process_that_answers(
    scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch, platform: str, hosts: int, tasks: int
) -> None:
    class Service:
        """A service of some tasks."""

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            """Hold nothing."""

        def find(self) -> None:
            """Be there."""

        def look(self) -> dict[str, dict[str, int]]:
            """Return how many tasks run."""
            return {"api": {"tasks": tasks}}

    monkeypatch.setattr("app.checks.hosts.find", lambda _: [None] * hosts)
    monkeypatch.setattr("app.checks.platform.of", lambda _: Service())
    count = max(hosts, tasks)
    with serving(by_path({"GET /soundbite/": Limited(76 * count)})) as url:
        here = scene(url, "staging", APP_ENV_RATE_LIMIT="30", HOSTS_COUNT="0", PLATFORM=platform)
        text = f"none of {76 * count} requests was refused, the limit being 30"
        assert found(here, "api.rate_limit_refuses") == (FAIL, text)
    with serving(by_path({"GET /soundbite/": Limited(76 * count - 1)})) as url:
        here = scene(url, "staging", APP_ENV_RATE_LIMIT="30", HOSTS_COUNT="0", PLATFORM=platform)
        assert judged(here, "api.rate_limit_refuses").outcome is PASS


def test_the_rate_limit_is_not_used_up_where_that_would_hurt(scene: Callable[..., Scene]) -> None:
    server = Limited(10)
    with serving(by_path({"GET": server})) as url:
        assert judged(scene(url, "production"), "api.rate_limit_refuses").outcome is SKIP
        text = "limit 100000 needs too many requests"
        assert found(scene(url), "api.rate_limit_refuses") == (SKIP, text)
    assert server.count == 0


def test_who_is_refused_by_the_validation_before_comes_again(scene: Callable[..., Scene]) -> None:
    server = Limited(0, told="30", after="1")
    opened = threading.Timer(0.5, lambda: setattr(server, "_limit", 100))
    with serving(by_path({"GET /soundbite/": server})) as url:
        opened.start()
        assert judged(scene(url, APP_ENV_RATE_LIMIT="30"), "api.rate_limit").outcome is PASS
    with serving(by_path({"GET /soundbite/": Limited(0, after="3600")})) as url:
        verdict = judged(scene(url, APP_ENV_RATE_LIMIT="30"), "api.rate_limit")
        assert verdict.outcome is INCONCLUSIVE
        assert "refused by the rate limit for 3600 s" in verdict.message


def test_production_is_not_written_to_unless_asked(scene: Callable[..., Scene]) -> None:
    with serving(http("", "500 Internal Server Error")) as url:
        for name in ("journey.clip", "journey.idempotent"):
            assert found(scene(url, "production"), name) == (SKIP, "changes production: --journey")


# Audio


def wav(samples: bytes, rate: int = 22050) -> bytes:
    """Return a WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(samples)
    return file.getvalue()


def test_a_wav_is_read_to_its_end() -> None:
    good = wav(b"\x01\x02" * 22050)
    assert seconds_of_wav(good) == 1.0
    for bad, why in (
        (good[:-100], "ends after"),
        (wav(bytes(44100)), "silent"),
        (b"RIFFnothing", "no WAV"),
        (b"", "no WAV"),
    ):
        with pytest.raises(ValueError, match=why):
            seconds_of_wav(bad)


def test_an_mp3_is_read_frame_by_frame() -> None:
    # MPEG-2, layer III, 48 kbit/s, 24 kHz, as Polly has it: 144 bytes a frame, 24 ms.
    frame = b"\xff\xf3\x64\xc4" + bytes(140)
    id3 = b"ID3\x04\x00\x00\x00\x00\x01\x00" + bytes(128)
    assert seconds_of_mp3(frame * 50) == pytest.approx(1.2)
    assert seconds_of_mp3(id3 + frame * 50 + b"TAG" + bytes(125)) == pytest.approx(1.2)
    # MPEG-1, 128 kbit/s, 44.1 kHz, padded: 418 bytes.
    assert seconds_of_mp3((b"\xff\xfb\x92\x64" + bytes(414)) * 10) == pytest.approx(10 * 1152 / 44100)
    for bad, why in (
        (frame * 4, "only 4 frames"),
        (frame * 50 + b"\xff", "no frame of MP3 at byte 7200"),
        (frame * 49 + frame[:100], "ends within frame 50"),
        (b"\xff\xf3" + bytes(1000), "no frame of MP3 at byte 0"),
        (b"ID3", "no frame"),
        (b"", "only 0 frames"),
        (wav(b"\x01\x02" * 100), "no frame"),
    ):
        with pytest.raises(ValueError, match=why):
            seconds_of_mp3(bad)


def test_groups_and_speed_of_these_checks() -> None:
    mine = [each for each in REGISTRY.checks.values() if each.group in {"api", "performance"}]
    assert [each.id for each in mine if each.quick] == ["api.resolves", "api.reachable", "api.health", "api.ready"]
    assert REGISTRY.checks["identity.health"].quick
    alone = {each.id for each in mine if each.alone}
    assert alone == {"api.rate_limit_refuses", "performance.latency", "performance.errors"}
    assert all(isinstance(each, Check) and each.title.endswith(".") for each in mine)
    assert choose(["api"])
    assert app.checks.__doc__
    assert soundbite.checks.api.__doc__


def test_a_report_of_many_latencies_keeps_the_slowest() -> None:
    latencies = [1.0] * 25_000
    latencies[12_345] = 900.0
    kept = _thinned(latencies)
    assert len(kept) <= 1000
    assert max(kept) == 900.0
    assert _thinned([3.0, 1.0, 2.0]) == [3.0, 1.0, 2.0]
