"""SoundBite's own checks: what it promises whoever sends it a text."""

from __future__ import annotations

import re
import threading
import time
import uuid
from http import HTTPStatus
from typing import Any

from app.audio import seconds_of_mp3, seconds_of_wav
from app.traces import removed
from soundbite.checks import Evidence, Failed, Scene, Skipped, check
from soundbite.checks.calling import Answer, call, connected, short
from soundbite.errors import Inconclusive
from soundbite.platforms import hosts, platform

_USER = "validate"
_READY_WITHIN = 15.0
_TIDYING = 3.0
"""Seconds before the end of all checks that removing a clip is begun, whatever has become of it."""
_SHORTEST = 0.3
"""Seconds of audio that the sentence below takes at the very least."""

_LONGEST_WINDOW = 60
"""Seconds of a rate limit's window that a check waits for: the validation before may have used it up."""

_MOST_REQUESTS = 300
_AT_ONCE = 8
_STRANGER = "https://not-listed.invalid"
_PATHS = {"/soundbite", "/soundbite/{id}"}
_ERROR = {"statusCode", "error", "message", "requestId"}
_TRACE = re.compile(r"\n\s+at |node_modules|\.[jt]s:\d+")


@check("identity.health", deadline=10, quick=True)
def says_who_it_is(scene: Scene) -> str:
    """The application says that it is this environment."""
    connected(scene)  # where nobody answers, nobody is this environment
    answer = call(scene, "GET", scene.environment.app.health_path).expect(200)
    found = answer.json()
    if not isinstance(found, dict) or "environment" not in found:
        raise Failed(f"{scene.url} is another application: it answered {answer.short}")
    if found["environment"] != scene.environment.name:
        raise Failed(f"{scene.url} is {found['environment']}, not {scene.environment.name}")
    return f"{scene.url} is {found['environment']}, revision {found.get('revision')}"


@check("api.openapi", deadline=90)
def describes_itself(scene: Scene) -> str:
    """The description at /api-json is valid OpenAPI 3 and has the routes of clips."""
    document = _let_in(scene, "GET", "/api-json").expect(200).json()
    version = str(document.get("openapi", "")) if isinstance(document, dict) else ""
    if not version.startswith("3."):
        raise Failed(f"/api-json is not OpenAPI 3: {short(str(document))}")
    from openapi_spec_validator import OpenAPIV30SpecValidator, OpenAPIV31SpecValidator

    validator = OpenAPIV30SpecValidator if version.startswith("3.0.") else OpenAPIV31SpecValidator
    problems = [short(str(each.message)) for each in validator(document).iter_errors()]
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise Failed(f"/api-json is not valid: {problems[0]}{more}")
    missing = _PATHS - set(document["paths"])
    if missing:
        raise Failed(f"/api-json describes no {', '.join(sorted(missing))}")
    return f"OpenAPI {version}, {len(document['paths'])} paths"


@check("api.cors")
def lets_listed_pages_call(scene: Scene) -> str:
    """Web pages of the listed origins may send texts."""
    origins = _origins(scene)
    if not origins:
        raise Skipped("APP_ENV_CORS_ORIGINS lists none")
    for origin in origins:
        asks = "https://any.example" if origin == "*" else origin
        answer = _preflight(scene, asks)
        allowed = answer.headers.get("access-control-allow-origin")
        if allowed not in ({"*", asks} if origin == "*" else {asks}):
            raise Failed(f"a page of {asks} may not call it: the preflight answered {answer.status}, {_says(allowed)}")
        methods = answer.headers.get("access-control-allow-methods", "")
        if "POST" not in {each.strip() for each in methods.split(",")}:
            raise Failed(f"a page of {asks} may not POST: the preflight allows {methods or 'no methods'}")
    return f"POST from {'anywhere' if origins == ['*'] else ', '.join(origins)}"


@check("api.cors_refused")
def keeps_other_pages_out(scene: Scene) -> str:
    """Web pages of an origin that is not listed may not."""
    if "*" in _origins(scene):
        raise Skipped("APP_ENV_CORS_ORIGINS is *")
    allowed = _preflight(scene, _STRANGER).headers.get("access-control-allow-origin")
    if allowed in {"*", _STRANGER}:
        raise Failed(f"a page of {_STRANGER}, which is not listed, may call it: {_says(allowed)}")
    return f"not from {_STRANGER}"


@check("api.errors", deadline=90)
def explains_errors(scene: Scene) -> str:
    """Errors have the one shape, a request id, and nothing of the inside."""
    key = {"Idempotency-Key": str(uuid.uuid4())}
    _expect_error(call(scene, "GET", f"/no-such-route-{uuid.uuid4()}"), 404)
    _expect_error(_let_in(scene, "POST", "/soundbite", json={"text": 1}, headers=key), 400)
    return "404 and 400 as promised"


@check("api.rate_limit", deadline=90)
def tells_the_rate_limit(scene: Scene) -> str:
    """The rate limit is the configured one."""
    wanted = _limit(scene)
    answer = _let_in(scene, "GET", "/soundbite/no-uuid")
    found = answer.headers.get("ratelimit-limit")
    if found != str(wanted):
        raise Failed(f"RateLimit-Limit is {found or 'not told'}, not {wanted} (APP_ENV_RATE_LIMIT)")
    return f"{wanted} requests a window"


@check("api.rate_limit_refuses", deadline=60, last=True)
def refuses_too_many(scene: Scene) -> Evidence:
    """Whoever sends more than the rate limit is refused, and told when to come again."""
    if scene.environment.workflow.confirm:
        raise Skipped(f"{scene.environment.name} has real clients: they would be counted with us behind one address")
    limit, window = _limit(scene), _window(scene)
    if limit > _MOST_REQUESTS:
        raise Skipped(f"limit {limit} needs too many requests")
    began = time.monotonic()
    # Twice as many as one window takes: a window may end while they are sent.
    sent, refused = _flood(scene, 2 * (limit + _AT_ONCE) * _processes(scene))
    took = time.monotonic() - began
    if refused is None and took >= window:
        raise Inconclusive(f"{sent} requests took {took:.0f} s, and a window of {window} s lets {limit} in")
    if refused is None:
        raise Failed(f"none of {sent} requests was refused, the limit being {limit}")
    _expect_error(refused, HTTPStatus.TOO_MANY_REQUESTS)
    after = refused.headers.get("retry-after", "")
    if not after.isdigit():
        raise Failed(f"429 came with Retry-After {after or 'missing'}, not a number of seconds")
    return Evidence(f"429 after {sent} requests, to come again in {after} s", {"requests": sent, "limit": limit})


@check("config.clip_days")
def keeps_clips_as_long_as_their_audio(scene: Scene) -> str:
    """The application gives clips the time that table and bucket keep them for."""
    setting = scene.environment.app_env.get("CLIP_TTL_DAYS")
    if setting is None:
        raise Skipped("APP_ENV_CLIP_TTL_DAYS is not set")
    wanted = scene.environment.table.ttl_days
    if setting.text != str(wanted):
        raise Failed(f"APP_ENV_CLIP_TTL_DAYS is {setting.text}, and TABLE_TTL_DAYS is {wanted} ({setting.origin})")
    return f"{wanted} days"


@check("journey.clip", deadline=90)
def speaks_a_clip(scene: Scene) -> Evidence:
    """A text posted becomes audio that plays."""
    connected(scene)  # a journey that cannot begin has failed
    _may_change(scene)
    key = str(uuid.uuid4())
    with removed(scene, "journey.clip", _USER, key):
        posted = _post(scene, key, "SoundBite is working.").expect(202)
        started = time.monotonic()
        clip = _ready(scene, posted.json()["id"], started + _READY_WITHIN)
        took = time.monotonic() - started
        audio = call(scene, "GET", clip["url"]).expect(200)
        kind = audio.headers.get("content-type", "")
        seconds = _plays(audio.content, kind)
        name = f"{clip['id']}.{'mp3' if kind == 'audio/mpeg' else 'wav'}"
    data: dict[str, Any] = {"ready_seconds": round(took, 3), "audio_seconds": round(seconds, 2)}
    told = f"ready after {took:.1f} s, {seconds:.1f} s of audio"
    try:
        scene.keep.mkdir(parents=True, exist_ok=True)
        (scene.keep / name).write_bytes(audio.content)
    except OSError as error:
        return Evidence(f"{told}, not kept: {scene.keep}: {error.strerror}", data)
    return Evidence(f"{told}, kept as {name}", {**data, "audio": name})


@check("journey.idempotent", deadline=90)
def makes_a_clip_once(scene: Scene) -> str:
    """The same request again gets the same clip; its key with another text is refused."""
    _may_change(scene)
    key = str(uuid.uuid4())
    with removed(scene, "journey.idempotent", _USER, key):
        first = _post(scene, key, "Only once.").expect(202).json()["id"]
        second = _post(scene, key, "Only once.").expect(202).json()["id"]
        if second != first:
            raise Failed(f"the same request made two clips, {first} and {second}")
        other = _post(scene, key, "Something else.")
        if other.status != HTTPStatus.CONFLICT:
            raise Failed(f"the same key with another text answered {other.status}, not 409: {other.short}")
        _ready(scene, first, time.monotonic() + _READY_WITHIN)
    return "the same clip twice, then 409"


def _may_change(scene: Scene) -> None:
    if scene.environment.workflow.confirm and not scene.wishes.journey:
        raise Skipped(f"changes {scene.environment.name}: --journey")


def _post(scene: Scene, key: str, text: str) -> Answer:
    body = {"text": text, "userId": _USER}
    return _let_in(scene, "POST", "/soundbite", json=body, headers={"Idempotency-Key": key})


def _ready(scene: Scene, clip: str, end: float) -> dict[str, Any]:
    """Return the clip when it is ready, asked for at growing intervals: each request counts for the rate limit."""
    pause = 0.05
    while True:
        found: dict[str, Any] = _let_in(scene, "GET", f"/soundbite/{clip}").expect(200).json()
        if found["status"] == "ready":
            return found
        if found["status"] != "pending":
            raise Failed(f"clip {clip} is {found['status']}: {found.get('reason')}")
        if time.monotonic() > scene.until - _TIDYING:
            raise Inconclusive(f"clip {clip} was still pending when the time for all checks was nearly over")
        if time.monotonic() > end:
            raise Failed(f"clip {clip} is still pending after {_READY_WITHIN:.0f} s")
        time.sleep(pause)
        pause = min(1.5 * pause, 1.0)


def _plays(audio: bytes, kind: str) -> float:
    try:
        seconds = seconds_of_mp3(audio) if kind == "audio/mpeg" else seconds_of_wav(audio)
    except ValueError as error:
        raise Failed(f"the audio ({kind}) {error}") from None
    if seconds < _SHORTEST:
        raise Failed(f"the audio is {seconds:.2f} s long")
    return seconds


def _let_in(scene: Scene, method: str, path: str, **arguments: Any) -> Answer:
    """Ask, and where the rate limit refuses, once more when it lets in."""
    answer = call(scene, method, path, **arguments)
    if answer.status != HTTPStatus.TOO_MANY_REQUESTS:
        return answer
    after = answer.headers.get("retry-after", "")
    if not after.isdigit() or int(after) > _LONGEST_WINDOW:
        raise Inconclusive(f"{answer.what} is refused by the rate limit for {after or 'an unknown number of'} s")
    time.sleep(int(after) + 0.5)
    return call(scene, method, path, **arguments)


def _expect_error(answer: Answer, status: int) -> None:
    answer.expect(status)
    body = answer.json()
    if not isinstance(body, dict) or set(body) != _ERROR:
        raise Failed(f"{answer.what} answered {status} not in the shape of errors: {answer.short}")
    if body["statusCode"] != status or body["error"] != HTTPStatus(status).phrase:
        raise Failed(f"{answer.what} answered {status}, and its body says {body['statusCode']} {body['error']}")
    header = answer.headers.get("x-request-id")
    if not header or body["requestId"] != header:
        raise Failed(f"{answer.what}: X-Request-Id is {header}, and requestId is {body['requestId']}")
    if _TRACE.search(str(body["message"])):
        raise Failed(f"{answer.what} shows where in the code it failed: {answer.short}")


def _preflight(scene: Scene, origin: str) -> Answer:
    asks = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,idempotency-key",
    }
    return call(scene, "OPTIONS", "/soundbite", headers=asks)


def _origins(scene: Scene) -> list[str]:
    setting = scene.environment.app_env.get("CORS_ORIGINS")
    return [each.strip() for each in setting.text.split(",") if each.strip()] if setting else []


def _says(allowed: str | None) -> str:
    return f"Access-Control-Allow-Origin {allowed}" if allowed else "no Access-Control-Allow-Origin"


def _limit(scene: Scene) -> int:
    setting = scene.environment.app_env.get("RATE_LIMIT")
    if setting is None:
        raise Skipped("APP_ENV_RATE_LIMIT is not set")
    return int(setting.text)


def _window(scene: Scene) -> int:
    setting = scene.environment.app_env.get("RATE_WINDOW_SECONDS")
    if setting is None:
        raise Skipped("APP_ENV_RATE_WINDOW_SECONDS is not set")
    return int(setting.text)


def _processes(scene: Scene) -> int:
    """Return how many processes answer: each counts requests for itself."""
    if scene.environment.local:
        return 1
    if scene.environment.workflow.platform == "hosts":
        return len(hosts.find(scene.cloud))
    with platform.of(scene.cloud) as found:
        found.find()
        return max(1, sum(int(told.get("tasks", 0)) for told in found.look().values()))


def _flood(scene: Scene, most: int) -> tuple[int, Answer | None]:
    """Send requests from a few threads until one is refused; return how many, and the refusal."""
    lock, sent, found = threading.Lock(), 0, list[Answer]()
    failures: list[Failed] = []

    def send() -> None:
        nonlocal sent
        while True:
            with lock:
                if found or failures or sent >= most:
                    return
                sent += 1
            try:
                # Refused before it costs anything: it is no id of a clip.
                answer = call(scene, "GET", "/soundbite/no-uuid")
            except Failed as failed:
                failures.append(failed)
                return
            if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
                found.append(answer)

    threads = [threading.Thread(target=send, daemon=True) for _ in range(_AT_ONCE)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    if failures and not found:
        raise failures[0]
    return sent, found[0] if found else None
