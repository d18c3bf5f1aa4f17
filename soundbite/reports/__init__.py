"""Reports of checks: one model of the result, and a writer for each form it is read in."""

from .github import annotate
from .live import live
from .model import Report, exit_code
from .terminal import show
from .writing import write

__all__ = ["Report", "annotate", "exit_code", "live", "show", "write"]
