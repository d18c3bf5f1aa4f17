"""The journal: items of the ledger's table as a hand, a newer version or an accident would leave them."""

from __future__ import annotations

import json
import types
from dataclasses import asdict, fields, is_dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Union, cast, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from bench.fuzzing.subject import Fault, Subject, teaches
from bench.fuzzing.texts import ANY, PIECES
from soundbite import environment
from soundbite.errors import SoundbiteError
from soundbite.releases import Deployment, Ledger, Lock, Operation, Release
from soundbite.releases.records import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable

Item = dict[str, dict[str, Any]]

_RELEASE = Release("r-1f0c22aa91be", "sha256:1", "sha256:2", "abc", {"cdk": "1"}, "2026-11-23T14:00:00Z")
_DEPLOYMENT = Deployment(
    *("staging-1", 1, "staging", "deploy", "r-1f0c22aa91be", "a/b@sha256:1", "abc", None, None),
    *("arn:aws:iam::1:user/a", "here", "2026-11-23T14:00:00Z", {"A": "b"}, {"B": ["env:B", "1"]}),
)
_OPERATION = Operation("staging-1", "deploy", "staged", {"before": {}})
_HOLDER = {"who": "a", "where": "b", "reason": "c", "operation": "staging-1", "since": "2026-11-23T14:00:00Z"}

_ASKED: dict[str, tuple[Any, Callable[[Ledger], Any]]] = {
    "release": (asdict(_RELEASE), lambda ledger: ledger.release("r-1f0c22aa91be")),
    "deployment": (asdict(_DEPLOYMENT), lambda ledger: ledger.deployment("staging-1")),
    "deployments": (asdict(_DEPLOYMENT), lambda ledger: ledger.deployments(1)),
    "operation": (asdict(_OPERATION), lambda ledger: ledger.operation("staging-1")),
    "serving": ({"deployment": "staging-1"}, Ledger.serving),
    "bad": ({"reason": "it was slow"}, lambda ledger: ledger.bad("r-1f0c22aa91be")),
    "audit": ({"at": "2026-11-23T14:00:00Z", "event": "deploy"}, Ledger.audited),
    "verdict": ({"started": "2026-11-23T14:00:00Z", "outcome": "pass"}, Ledger.verdicts),
    "templates": (None, lambda ledger: ledger.templates("0123")),
    "lock": (_HOLDER, lambda ledger: Lock(ledger, 20).look()),
}
_OPTIONS = {
    "state": {"planned", "staged", "switched", "recorded"},
    "outcome": {"", "succeeded", "failed", "aborted"},
}
"""What some fields of records may be, as their classes document it."""

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY, inner, max_size=3),
    max_leaves=5,
)
_LARGEST = 1e300
"""What is larger is no time of anybody's, and cannot be formatted as one."""

_NUMBERS = st.sampled_from(["0", "1", "-1", "1.5", "1E+125", "1e-130", "9" * 38])
_ATTRIBUTES: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.fixed_dictionaries({"S": PIECES}),
    st.fixed_dictionaries({"N": _NUMBERS}),
    st.sampled_from([{"BOOL": True}, {"NULL": True}, {"L": []}, {"M": {}}, {"B": b"\xff"}, {"SS": ["a"]}]),
)
"""What DynamoDB can keep as an attribute."""


@st.composite
def items(draw: st.DrawFn) -> tuple[str, Item]:
    """Return what is asked for, and the item that is there."""
    asked = draw(st.sampled_from(sorted(_ASKED)))
    content = _ASKED[asked][0]
    if isinstance(content, dict):
        content = {name: value for name, value in content.items() if draw(st.integers(0, 29))}
        for name in draw(st.lists(st.sampled_from(sorted(content) or ["id"]), max_size=2)):
            content[name] = draw(_JSON)
    if asked == "templates":
        body = draw(
            st.sampled_from(["1 eNqrrgUAAXUA+Q==", "2 eNqrrgUAAXUA+Q==", "1 W10=", "", "1", "x y", "99999 a"]) | PIECES
        )
    else:
        body = json.dumps(content) if draw(st.integers(0, 9)) else draw(PIECES | _JSON.map(json.dumps))
    item: Item = {
        "pk": {"S": asked},
        "sk": {"S": "x"},
        "schema": {"N": str(SCHEMA)},
        "tool": {"S": "0.1.0"},
        "body": {"S": body},
    }
    if asked == "lock":
        item |= {
            "token": {"N": "3"},
            "state": {"S": "held"},
            "beat": {"N": "7"},
            "lease": {"N": "20.0"},
            "holder": {"S": body},
        }
    for name in draw(st.lists(st.sampled_from(sorted({*item} - {"pk", "sk"})), max_size=2)):
        item[name] = draw(_ATTRIBUTES)
    if draw(st.integers(0, 9)) == 0:
        item["schema"] = {"N": draw(st.sampled_from([str(SCHEMA + 1), "9" * 38, "0", "-1", "1.5"]))}
    for name in draw(st.lists(st.sampled_from(sorted({*item} - {"pk", "sk"})), max_size=1)):
        if not draw(st.integers(0, 4)):
            del item[name]
    return asked, item


class _Table:
    """A table that holds one item, whatever is asked for."""

    def __init__(self, item: Item) -> None:
        self._item = item

    def get_item(self, **_: Any) -> dict[str, Any]:
        """Return it."""
        return {"Item": self._item}

    def query(self, **_: Any) -> dict[str, Any]:
        """Return it as all there is."""
        return {"Items": [self._item]}


def judge(given: tuple[str, Item]) -> bool:
    """Ask a ledger for what lies in its table."""
    asked, item = given
    cloud = SimpleNamespace(environment=_ENVIRONMENT, client=lambda _: _Table(item))
    try:
        found = _ASKED[asked][1](Ledger(cast("Any", cloud)))
    except SoundbiteError as error:
        teaches(str(error))
        if not error.hint:
            raise Fault("it is not said what to do") from None
        return False
    schema = item.get("schema", {}).get("N", "0")
    if float(schema) > SCHEMA:
        raise Fault("it accepts a newer schema")
    _require_whole(asked, found)
    return True


def _require_whole(asked: str, found: Any) -> None:
    """See that what was read is of the types that its users rely on."""
    plain = {
        "serving": str | None,
        "bad": str,
        "audit": list[dict[str, Any]],
        "verdict": list[dict[str, Any]],
        "templates": dict[str, Any] | None,
    }
    if asked in plain:
        if not _is(found, plain[asked]):
            raise Fault(f"it accepts a {asked} of a wrong type")
        return
    for record in found if isinstance(found, list) else [found]:
        if not is_dataclass(record):
            raise Fault(f"it takes an empty {asked} for none")
        hints = get_type_hints(type(record))
        for each in fields(record):
            value = getattr(record, each.name)
            if not _is(value, hints[each.name]):
                raise Fault(f"it accepts a {asked} with a field of a wrong type")
            if asked != "lock" and value not in _OPTIONS.get(each.name, {value} if isinstance(value, str) else [value]):
                raise Fault(f"it accepts a {asked} with an unknown {each.name}")
    if asked == "lock" and found.state not in {"free", "held", "interrupted", "kept"}:
        raise Fault("it accepts a lock in an unknown state")


def _is(value: Any, wanted: Any) -> bool:
    """Tell whether a value is of a type, and all in it."""
    origin, inner = get_origin(wanted), get_args(wanted)
    if wanted is Any:
        return True
    if origin in {Union, types.UnionType}:
        return any(_is(value, each) for each in inner)
    if origin is dict:
        return isinstance(value, dict) and all(_is(k, inner[0]) and _is(v, inner[1]) for k, v in value.items())
    if origin is list:
        return isinstance(value, list) and all(_is(each, inner[0]) for each in value)
    if wanted is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST
    return isinstance(value, wanted) and not (wanted is int and isinstance(value, bool))


_ENVIRONMENT = environment.load("staging", committed=True)
SUBJECT = Subject("records", items(), judge, 0.2)
