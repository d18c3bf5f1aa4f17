"""The stacks of an environment, one module each."""

from .api import Api
from .bootstrap import Bootstrap
from .compute import Compute
from .database import Database
from .observability import Observability
from .queue import Queue
from .service import Service
from .storage import Storage

__all__ = ["Api", "Bootstrap", "Compute", "Database", "Observability", "Queue", "Service", "Storage"]
