"""Names in the cloud that both the infrastructure and the workflow must know beforehand."""

from __future__ import annotations

ALIAS = "live"
"""The processor's alias, which a deployment's switch moves."""
SERVICE = "api"
"""The ECS service, which a deployment makes in the cluster."""
PORT = 3000
"""Where a deployed application listens, inside its container (`PORT` in its Dockerfile)."""

_LONGEST = 32
"""The length of a load balancer's name (CreateLoadBalancer)."""


def ledger(project: str, environment: str) -> str:
    """Return the name of the table with an environment's ledger."""
    return f"{project.lower()}-{environment}-ledger"


def balancer(project: str, environment: str) -> str:
    """Return the name of an environment's load balancer."""
    return f"{project}-{environment}"[:_LONGEST].rstrip("-")
