"""Deployments: a release brought into an environment, taken back, gone on with, and told of."""

from .deploying import Wishes, deploy, plan
from .resuming import abort, resume
from .returning import rollback

__all__ = ["Wishes", "abort", "deploy", "plan", "resume", "rollback"]
