"""EC2 hosts, or any that SSH reaches: two colours of the application on each, behind a proxy."""

from .inventory import Host, astray, find, remembered
from .platform import Hosts
from .remote import RESTART, Remote, Remotes, require
from .rollout import Rollout
from .ssh import HostFailed

__all__ = [
    "RESTART",
    "Host",
    "HostFailed",
    "Hosts",
    "Remote",
    "Remotes",
    "Rollout",
    "astray",
    "find",
    "remembered",
    "require",
]
