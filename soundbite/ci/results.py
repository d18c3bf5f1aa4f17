"""The files that test runners leave: JUnit XML, and coverage as JSON. What cannot be read is said to be unknown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import ParseError  # what junitparser raises; nothing is parsed with it here

if TYPE_CHECKING:
    from pathlib import Path


def tests(path: Path) -> dict[str, Any]:
    """Return how many `tests` there are in a JUnit file, and how many passed, failed or were skipped.

    Returns
    -------
    dict
        `{"unknown": why}` where it cannot be read.
    """
    from junitparser import JUnitXml, JUnitXmlError

    try:
        found = JUnitXml.fromfile(str(path))
        suites = list(found) if isinstance(found, JUnitXml) else [found]
        total, errors, failures, skipped = (
            sum(int(getattr(each, name) or 0) for each in suites) for name in ("tests", "errors", "failures", "skipped")
        )
    except FileNotFoundError:
        return {"unknown": "it left no results"}
    except (OSError, ValueError, TypeError, AttributeError, ParseError, JUnitXmlError) as error:
        return {"unknown": f"its results cannot be read: {type(error).__name__}: {_line(error)}"}
    failed = errors + failures
    if not total or failed + skipped > total:
        return {"unknown": f"its results make no sense: {total} tests, {failed} failed, {skipped} skipped"}
    return {"tests": total, "passed": total - failed - skipped, "failed": failed, "skipped": skipped}


def coverage(path: Path) -> dict[str, Any]:
    """Return how many `percent` of the code were covered, and of how many `statements`.

    Returns
    -------
    dict
        `{"unknown": why}` where it cannot be read.
    """
    try:
        totals = json.loads(path.read_text(encoding="utf-8"))["totals"]
        return {"percent": round(float(totals["percent_covered"]), 1), "statements": int(totals["num_statements"])}
    except FileNotFoundError:
        return {"unknown": "it was not measured"}
    except (OSError, ValueError, TypeError, KeyError) as error:
        return {"unknown": f"it cannot be read: {type(error).__name__}: {_line(error)}"}


def _line(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or "?"  # without the path of this machine
    return (str(error).splitlines() or ["?"])[0]
