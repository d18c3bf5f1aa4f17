"""Releases and deployments: the ledger, the lock that guards it, and what is kept of each operation."""

from .ledger import Ledger, LedgerUnreachable
from .lock import Lock
from .records import Deployment, Operation, Release

__all__ = ["Deployment", "Ledger", "LedgerUnreachable", "Lock", "Operation", "Release"]
