"""Local environments: from nothing to a working service on this machine, and back."""

from .down import down, reset
from .status import logs, services, status
from .trying import prove, shell, smoke
from .up import setup, up

__all__ = ["down", "logs", "prove", "reset", "services", "setup", "shell", "smoke", "status", "up"]
