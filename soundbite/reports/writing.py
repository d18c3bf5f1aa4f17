"""Reports as files: each written whole or not at all, and one that cannot be written is told, not raised."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from soundbite import files

from . import junit, markdown, page

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .model import Report

FORMS = {"junit": junit.render, "markdown": markdown.render, "html": page.render}
"""What writes each form."""


def write(report: Report, paths: Mapping[str, Path | str]) -> list[str]:
    """Write a report in some forms.

    Parameters
    ----------
    paths:
        A file for each form in FORMS, empty where it is not wanted; folders above it are made.

    Returns
    -------
    list
        What could not be written and why; the others are.
    """
    problems = []
    for form, path in paths.items():
        problem = _write(report, form, Path(path)) if str(path) else ""
        if problem:
            problems.append(f"The {form} report is not written to {path}: {problem}")
    return problems


def _write(report: Report, form: str, path: Path) -> str:
    try:
        text = FORMS[form](report)
    except Exception as error:  # noqa: BLE001 - a bug in a writer must not take the verdict away
        return f"{type(error).__name__}: {error}.\n→ This is a bug in the workflow; the other forms have the same."
    try:
        path = path.resolve()  # a link stays a link
        if path.exists() and not path.is_file():
            return "it is a folder or a device.\n→ Name a file."
        files.write(path, text)
    except (OSError, ValueError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        return f"{reason}.\n→ Name a file in a folder that is writable to you, on a disk with space."
    return ""
