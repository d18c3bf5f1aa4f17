"""Reports of checks: one model of the result, and a writer for each form it is read in."""

from .github import annotate
from .live import live
from .model import Report
from .terminal import exit_code, show
from .writing import write

__all__ = ["Report", "annotate", "exit_code", "live", "show", "write"]
