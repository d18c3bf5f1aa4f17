"""Local environments: from nothing to a working service on this machine, and back."""

from . import multienv
from .showing import logs, services, status
from .starting import setup, up
from .stopping import down, reset
from .trying import prove, shell, smoke

__all__ = ["down", "logs", "multienv", "prove", "reset", "services", "setup", "shell", "smoke", "status", "up"]
