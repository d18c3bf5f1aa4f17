"""SoundBite's own checks: what it promises whoever sends it a text."""

from __future__ import annotations

import io
import time
import uuid
import wave

import httpx

from soundbite.checks import Failed, Scene, check

_READY_WITHIN = 15.0
_SHORTEST = 0.3
"""Seconds of audio that the sentence below takes at the very least."""


@check("identity.health")
def says_who_it_is(scene: Scene) -> str:
    """The application says that it is this environment."""
    answer = httpx.get(f"{scene.url}/health", timeout=5, trust_env=False)
    found = answer.json() if answer.status_code == httpx.codes.OK else {}
    if found.get("environment") != scene.environment.name:
        raise Failed(f"{scene.url}/health answers {answer.status_code} {answer.text[:200]}")
    return f"{scene.url} is {found['environment']}, revision {found['revision']}"


@check("journey.clip", deadline=30)
def speaks_a_clip(scene: Scene) -> str:
    """A text posted becomes audio that plays."""
    started = time.monotonic()
    with httpx.Client(base_url=scene.url, timeout=10, trust_env=False) as client:
        key = {"Idempotency-Key": str(uuid.uuid4())}
        body = {"text": "SoundBite is working.", "userId": "smoke"}
        posted = client.post("/soundbite", json=body, headers=key)
        _expect("POST /soundbite", posted, httpx.codes.ACCEPTED)
        clip = posted.json()
        while clip["status"] == "pending":
            if time.monotonic() - started > _READY_WITHIN:
                raise Failed(f"clip {clip['id']} is still pending after {_READY_WITHIN:.0f} s")
            time.sleep(0.05)
            got = client.get(f"/soundbite/{clip['id']}")
            _expect(f"GET /soundbite/{clip['id']}", got, httpx.codes.OK)
            clip = got.json()
        took = time.monotonic() - started
        if clip["status"] != "ready":
            raise Failed(f"clip {clip['id']} is {clip['status']}: {clip.get('reason')}")
        audio = httpx.get(clip["url"], timeout=10, trust_env=False)
        _expect("the audio's address", audio, httpx.codes.OK)
    kind = audio.headers["content-type"]
    file = scene.keep / f"{clip['id']}.{'mp3' if kind == 'audio/mpeg' else 'wav'}"
    file.write_bytes(audio.content)
    return f"ready after {took:.1f} s, {_length(audio.content, kind)}, kept as {file}"


def _length(audio: bytes, kind: str) -> str:
    if kind == "audio/mpeg":
        if audio[:3] != b"ID3" and audio[:1] != b"\xff":
            raise Failed("the audio is not MP3, though it is called audio/mpeg")
        return f"{len(audio)} bytes of MP3"
    try:
        with wave.open(io.BytesIO(audio)) as sound:
            seconds = sound.getnframes() / sound.getframerate()
            silent = not any(sound.readframes(sound.getnframes()))
    except (wave.Error, EOFError) as error:
        raise Failed(f"the audio cannot be read: {error}") from None
    if seconds < _SHORTEST or silent:
        raise Failed(f"the audio is {seconds:.2f} s long{' and silent' if silent else ''}")
    return f"{seconds:.1f} s of audio"


def _expect(what: str, answer: httpx.Response, wanted: int) -> None:
    if answer.status_code != wanted:
        raise Failed(f"{what} answered {answer.status_code}: {answer.text[:300]}")
