"""Checks: small functions that look and tell, and change nothing.

One ends as pass, fail, skip, or inconclusive (could not be measured, which never counts as pass).
"""

from .model import Check, Failed, Outcome, Scene, Skipped, Verdict, check
from .running import load_modules, run

__all__ = ["Check", "Failed", "Outcome", "Scene", "Skipped", "Verdict", "check", "load_modules", "run"]
