"""Names in the cloud that more than one part of the workflow must know beforehand."""

from __future__ import annotations

_LONGEST = 32
"""The length of a load balancer's name (CreateLoadBalancer)."""


def ledger(project: str, environment: str) -> str:
    """Return the name of the table with an environment's ledger."""
    return f"{project.lower()}-{environment}-ledger"


def balancer(project: str, environment: str) -> str:
    """Return the name of an environment's load balancer."""
    return f"{project}-{environment}"[:_LONGEST].rstrip("-")
