"""The ground of a rehearsal: emulated AWS, a registry, and hosts that are containers with an engine of their own.

Nothing that deploys knows of it: it finds EC2 instances by their tags, and signs in to them by SSH.
"""

from .showing import status
from .starting import up
from .stopping import down

__all__ = ["down", "status", "up"]
