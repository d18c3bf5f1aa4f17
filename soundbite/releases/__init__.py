"""Releases and deployments: the ledger, the lock that guards it, and what is kept of each operation."""

from .items import LedgerUnreachable, NoLedger
from .ledger import Ended, Ledger
from .lock import Lock
from .records import Deployment, Operation, Release

__all__ = ["Deployment", "Ended", "Ledger", "LedgerUnreachable", "Lock", "NoLedger", "Operation", "Release"]
