"""Local environments: from nothing to a working service on this machine, and back."""

from .showing import logs, services, status
from .starting import setup, up
from .stopping import down, reset
from .trying import prove, shell, smoke

__all__ = ["down", "logs", "prove", "reset", "services", "setup", "shell", "smoke", "status", "up"]
