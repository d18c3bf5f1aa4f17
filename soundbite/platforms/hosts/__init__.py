"""EC2 hosts, or any that SSH reaches: two colours of the application on each, behind a proxy."""

from .inventory import Host, find, remembered
from .platform import Hosts
from .remote import RESTART, HostFailed, Remote, Remotes, require
from .rollout import Rollout

__all__ = ["RESTART", "Host", "HostFailed", "Hosts", "Remote", "Remotes", "Rollout", "find", "remembered", "require"]
