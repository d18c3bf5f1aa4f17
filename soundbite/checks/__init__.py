"""Checks: small functions that look and tell, and change nothing.

One ends as pass, warn, fail, skip, or inconclusive (could not be measured, which never counts as pass).
"""

from .model import (
    DEPLOYED,
    LOCAL,
    Check,
    Debt,
    Evidence,
    Failed,
    Load,
    NotYet,
    Outcome,
    Scene,
    Severity,
    Skipped,
    Verdict,
    Warned,
    Wishes,
    check,
)
from .running import Halted, choose, hanging, load_modules, run, unfinished

__all__ = [
    "DEPLOYED",
    "LOCAL",
    "Check",
    "Debt",
    "Evidence",
    "Failed",
    "Halted",
    "Load",
    "NotYet",
    "Outcome",
    "Scene",
    "Severity",
    "Skipped",
    "Verdict",
    "Warned",
    "Wishes",
    "check",
    "choose",
    "hanging",
    "load_modules",
    "run",
    "unfinished",
]
