"""Texts: what people type, what editors leave, and what nobody would."""

from __future__ import annotations

from hypothesis import strategies as st

NAMES = st.from_regex(r"[A-Z][A-Z0-9_]{0,5}", fullmatch=True)
_ARABIC = {ord(digit): 0x660 + int(digit) for digit in "0123456789"}
"""Digits that are none to a machine, though Python takes them for some."""

ANY = st.text(st.characters(codec="utf-8"), max_size=20)
LONG = st.builds(
    str.__mul__, st.sampled_from(["9", "a", "/a", "a.", "-a", "0", "://a:", " ", "$", "ssm:/"]), st.integers(100, 6000)
)

ODD = st.sampled_from(
    [
        *(
            "",
            " ",
            "\t",
            "\xa0",
            "\u2028",
            "\x0b",
            "\x0c",
            "\x85",
            "\ufeff",
            "\r",
            "\n",
            "\r\n",
            "\0",
            "\x7f",
            "é",
            "🎧",
        ),
        *("'", '"', "\\", "\\n", "`", "#", " #", "=", ":", "$", "$$", "${", "}", "${A", "${A:-", "${A:-b}", "$A", "%"),
        *(
            "٣",
            "\uff13",
            "²",
            "+1",
            "-1",
            "0x1",
            "1e3",
            "1_0",
            "007",
            "1.5",
            "nan",
            "inf",
            "99999999999",
            "/",
            "//",
            "..",
            "~",
        ),
        *("yes", "no", "None", "true", "-", "--", "export ", "@", "[", "]", "*", ";", "|", "&&", "$(id)"),
    ]
)
"""Pieces that have a meaning somewhere, or look as if they had."""

NUMBERS = st.one_of(
    st.integers(-2, 100_000).map(str),
    st.integers(0, 99).map(lambda number: str(number).translate(_ARABIC)),
    st.floats(0, 1e6, allow_nan=False).map("{:.2f}".format),
    ODD,
    LONG.filter(str.isdigit),
)
DURATIONS = st.builds(
    "{}{}".format, NUMBERS, st.sampled_from(["ms", "s", "m", "h", "d", "", "S", "us", "w", " s", "s ", "s\n"])
)
ADDRESSES = st.builds(
    "{}://{}{}{}".format,
    st.sampled_from(["http", "https", "HTTP", "ftp", ""]),
    st.sampled_from(["127.0.0.1", "a.example.com", "[::1]", "[", "]", ":", "a:b:c", "a@b", "ü", "-", "."]) | ANY,
    st.sampled_from(["", ":80", ":0", ":99999", ":", ":x"]),
    st.sampled_from(["", "/", "/a b", "/a?b", "/é", "/%zz"]),
)
PIECES = st.lists(ODD | ANY | NAMES, max_size=5).map("".join)
"""Anything, made of what is odd and what is not."""


def mutated(text: str) -> st.SearchStrategy[str]:
    """Return texts that are like one: something in it left out, put in, or doubled."""
    at = st.integers(0, len(text))
    return st.one_of(
        st.just(text),
        st.just(text.translate(_ARABIC)),
        st.builds(lambda one, odd: text[:one] + odd + text[one:], at, ODD),
        st.builds(lambda one, odd: text[:one] + odd + text[one + 1 :], at, ODD),
        st.builds(lambda one, other: text[: min(one, other)] + text[max(one, other) :], at, at),
        st.builds(lambda one, other: text[: max(one, other)] + text[min(one, other) :], at, at),
    )
