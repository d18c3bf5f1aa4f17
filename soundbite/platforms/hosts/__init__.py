"""EC2 hosts, or any that SSH reaches: two colours of the application on each, behind a proxy."""

from .inventory import Host, find, remembered
from .remote import RESTART, HostFailed, Remote, Remotes

__all__ = ["RESTART", "Host", "HostFailed", "Remote", "Remotes", "find", "remembered"]
