"""The tags that say whose something in the cloud is: of every stack, and of every resource that can have tags."""

from __future__ import annotations


def of(*, project: str, environment: str, owner: str, cost_center: str) -> dict[str, str]:
    """Return the tags by name."""
    return {
        "Project": project,
        "Environment": environment,
        "Owner": owner,
        "CostCenter": cost_center,
        "ManagedBy": "inv",
    }
