"""How long audio plays, found by reading all of it: what cannot be decoded is a ValueError that says why."""

from __future__ import annotations

import io
import itertools
import wave

_FEWEST_FRAMES = 5
_ID3, _ID3_BYTES = b"ID3", 10
_TAG, _TAG_BYTES = b"TAG", 128

# By version (3: MPEG-1, 2: MPEG-2, 0: MPEG-2.5), layer III only, which is MP3. http://www.mp3-tech.org/programmer/frame_header.html
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_BITRATES_1 = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_BITRATES_2 = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_LAYER_3 = 1
_HEADER_BYTES = 4


def seconds_of_wav(audio: bytes) -> float:
    """Return how long a WAV file plays.

    Raises
    ------
    ValueError
        It cannot be read, or is silent.
    """
    try:
        with wave.open(io.BytesIO(audio)) as sound:
            samples = sound.readframes(sound.getnframes())
            seconds = float(sound.getnframes() / sound.getframerate())
            wanted = sound.getnframes() * sound.getnchannels() * sound.getsampwidth()
    except (wave.Error, EOFError, ZeroDivisionError) as error:
        raise ValueError(f"is no WAV file: {error}") from None
    if len(samples) < wanted:
        raise ValueError(f"ends after {len(samples)} of {wanted} bytes of sound")
    if not any(samples):
        raise ValueError("is silent")
    return seconds


def seconds_of_mp3(audio: bytes) -> float:
    """Return how long an MP3 file plays: its frames, one after another, by the lengths that their headers tell.

    Raises
    ------
    ValueError
        Something in it is no frame, or there are too few.
    """
    seconds, at = 0.0, _after_id3(audio)
    for number in itertools.count():
        rest = audio[at : at + _HEADER_BYTES]
        if not rest or (rest.startswith(_TAG) and len(audio) - at == _TAG_BYTES):
            if number < _FEWEST_FRAMES:
                raise ValueError(f"has only {number} frames of MP3")
            return seconds
        length, duration = _frame(rest, at)
        if at + length > len(audio):
            raise ValueError(f"ends within frame {number + 1} of MP3")
        at, seconds = at + length, seconds + duration
    raise AssertionError


def _frame(header: bytes, at: int) -> tuple[int, float]:
    """Return a frame's bytes and seconds, by its header."""
    bits = int.from_bytes(header, "big")
    version, layer = bits >> 19 & 3, bits >> 17 & 3
    bitrate, rate, padding = bits >> 12 & 15, bits >> 10 & 3, bits >> 9 & 1
    sane = len(header) == _HEADER_BYTES and bits >> 21 == 0x7FF and layer == _LAYER_3 and version in _RATES  # noqa: PLR2004
    if not sane or not 1 <= bitrate <= len(_BITRATES_1) or rate >= len(_RATES[3]):
        raise ValueError(f"has no frame of MP3 at byte {at}")
    first = version == 3  # noqa: PLR2004 - MPEG-1
    samples, hertz = (1152 if first else 576), _RATES[version][rate]
    kilobits = (_BITRATES_1 if first else _BITRATES_2)[bitrate - 1]
    return samples // 8 * kilobits * 1000 // hertz + padding, samples / hertz


def _after_id3(audio: bytes) -> int:
    if not audio.startswith(_ID3) or len(audio) < _ID3_BYTES:
        return 0
    size = 0
    for byte in audio[6:_ID3_BYTES]:  # seven bits each
        size = size << 7 | byte & 0x7F
    return _ID3_BYTES + size
