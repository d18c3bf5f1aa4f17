"""What must hold after an operation, whatever struck it; what does not is a violation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.campaign import faults
from bench.campaign.plan import BAD, CONFIGURATION, ROLLBACK
from tests.containers.killing import settled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.campaign.performing import Performed
    from bench.campaign.plan import Blow
    from bench.campaign.stage import Stage

_SIGNAL_CODES = {"tool gets SIGTERM": 143, "tool gets SIGINT": 130, "tool gets SIGKILL": -9}
_LEFT = "Left running or lying there"


def judge(stage: Stage, blow: Blow, done: Performed, failed: Sequence[str]) -> tuple[list[str], str]:
    """Judge an operation, and bring the environment back to where the next one can begin.

    Parameters
    ----------
    failed:
        The requests of the load that failed meanwhile, each with its host before it.

    Returns
    -------
    tuple
        The violations, and how it was settled, in a word or two.
    """
    found = [*_words(done, stage.secrets), *_served(stage, blow, done), *_clients(stage, blow, failed)]
    before = stage.serving["id"]
    code_told = list(_told(stage, blow, done, _now(stage)))
    how, problems = _settle(stage, blow, done)
    found += code_told + problems
    if any(secret in stage.ledger() for secret in stage.secrets):
        found.append("secret: one stands in the ledger")
    if done.code == 5 and stage.serving["id"] != before and how == "free":  # noqa: PLR2004 - failed and went back
        found.append(f"code: 5, but {stage.serving['id']} serves, and {before} did")
    return found, how


def _words(done: Performed, secrets: Sequence[str]) -> Iterator[str]:
    if done.hung:
        yield "hang: it did not end in time"
    for said in (done.said, done.rival):
        if "Traceback" in said:
            yield "words: a traceback"
        if any(secret in said for secret in secrets):
            yield "secret: one was printed"
    if done.seen:
        yield f"secret: one stood in a command line: {done.seen[0]}"
    if done.code not in {0, *_SIGNAL_CODES.values()} and "✗ " not in done.said:
        yield f"words: exit code {done.code} and no reason"


def _served(stage: Stage, blow: Blow, done: Performed) -> Iterator[str]:
    """See that whatever answers is something that may serve."""
    may = stage.verified | ({done.wanted} if done.wanted else set())
    for host in stage.place.hosts:
        try:
            name = _answer(host)
        except (AssertionError, OSError, ValueError) as error:
            yield f"serving: {host} serves nothing: {type(error).__name__} {error}"
            continue
        if name not in may:
            yield f"serving: {host} serves {name}, which was never verified ({blow.operation})"


def _clients(stage: Stage, blow: Blow, failed: Sequence[str]) -> Iterator[str]:
    struck = faults.host_of(blow)
    excused = f"{stage.place.hosts[struck - 1]}:" if struck else "nobody"
    lost = [each for each in failed if not each.startswith(excused)]
    if lost:
        yield f"clients: {len(lost)} requests failed at hosts that were left alone, the first: {lost[0]}"


def _told(stage: Stage, blow: Blow, done: Performed, now: dict[str, Any]) -> Iterator[str]:
    """See that the exit code is true."""
    code, changed = done.code, now["id"] != stage.serving["id"]
    signalled = _SIGNAL_CODES.get(blow.fault)
    # A second operator may have finished what it began, or have begun where it had ended.
    alone = blow.fault != "second operator"
    if code in _SIGNAL_CODES.values() and code != signalled:
        yield f"code: {code}, and nobody had sent that signal"
    elif code == 4 and alone:  # noqa: PLR2004 - locked
        yield "code: 4, and nobody else was there"
    elif code not in {0, 1, 2, 3, 4, 5, *_SIGNAL_CODES.values()}:
        yield f"code: {code}, which there is not"
    elif code == 0 and alone:
        if blow.operation == BAD:
            yield "code: 0 for a release that cannot serve"
        elif blow.operation in {CONFIGURATION, ROLLBACK} and not changed:
            yield "code: 0, and nothing was deployed"
        elif done.wanted and {_answer(each) for each in stage.place.hosts} != {done.wanted}:
            yield f"code: 0, and not every host serves {done.wanted}"
    elif code in {2, 3} and alone and changed:
        yield f"code: {code} (nothing was changed), but {now['id']} serves"


def _settle(stage: Stage, blow: Blow, done: Performed) -> tuple[str, list[str]]:
    """Finish or take back what is left, see that all agree, and take note of what serves."""
    problems: list[str] = []
    how = "free"
    if stage.place.json("lock.status")["state"] != "free":
        how, problems = _gone_on(stage, blow)
    try:
        now = settled(stage.place)
    except (AssertionError, StopIteration) as error:
        # A host that was struck may have kept what could not be cleaned there, and that is said.
        excused = _LEFT in done.said or faults.host_of(blow) > 0
        if not excused:
            problems.append(f"agree: {_line(error)}")
        stage.place.run("hosts.converge")
        how += ", converged"
        try:
            now = settled(stage.place)
        except (AssertionError, StopIteration) as still:
            return how, [*problems, f"agree: not even after hosts.converge: {_line(still)}"]
    stage.serving = now
    stage.content = next(iter(stage.place.names()))
    stage.verified.add(stage.content)
    return how, problems


def _gone_on(stage: Stage, blow: Blow) -> tuple[str, list[str]]:
    problems = []
    refused = stage.place.inv(*stage.place.command(f"deploy.{stage.place.environment}"), timeout=150)
    if refused.returncode != 4:  # noqa: PLR2004 - locked
        problems.append(f"lock: not free, and a deployment ended with {refused.returncode}, not 4")
    elif "--resume" not in refused.stderr and "at work" not in refused.stderr and "hold" not in refused.stderr:
        problems.append(f"lock: who is refused is not told how to go on: {refused.stderr[-200:]}")
    who = stage.elsewhere if blow.elsewhere else stage.place
    for how in dict.fromkeys([blow.how, "--abort"]):
        gone = who.inv(*who.command(f"deploy.{who.environment}", how), timeout=150)
        if "Traceback" in gone.stderr:
            problems.append(f"words: a traceback of {how}")
        if gone.returncode == 0:
            return how.strip("-"), problems
        # Only the checkout that it was made from can go on where it had hardly begun, and a bad release goes back.
        fits = "Check out" in gone.stderr or gone.returncode == 5  # noqa: PLR2004 - failed and went back
        if gone.returncode == 5:  # noqa: PLR2004
            return f"{how.strip('-')} went back", problems
        if not fits:
            problems.append(f"lock: {how} ended with {gone.returncode}: {gone.stderr[-300:]}")
    return "left", problems


def _now(stage: Stage) -> dict[str, Any]:
    found = [each for each in stage.place.json("history") if each["serving"]]
    return dict(found[0]) if found else {"id": "nothing"}


def _answer(host: str) -> str:
    from tests.containers.rehearsals import answer

    return str(answer(host)["name"])


def _line(error: BaseException) -> str:
    return f"{type(error).__name__} {' '.join(str(error).split())[:300]}"
