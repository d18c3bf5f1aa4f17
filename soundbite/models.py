"""What botocore knows of services, in files of its own: read once in a process, and no more of it than is needed."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from botocore.loaders import Loader


class Models(Loader):
    """Reads botocore's files; sessions share one, since each of its own would parse all of it again (75 ms).

    Parameters
    ----------
    more:
        Folders with more such files, as `AWS_DATA_PATH` lists them; they come first.
    """

    def __init__(self, more: str | None = None) -> None:
        folders = [os.path.expandvars(folder) for folder in (more or "").split(os.pathsep) if folder]
        super().__init__([str(Path(folder).expanduser()) for folder in folders])

    def list_available_services(self, type_name: str) -> list[str]:
        """Return the services that have a folder, whatever is in it.

        For each type of file that a client needs, botocore looks into all 445 of them (20 ms); whether one has it shows
        when it is read.
        """
        del type_name
        return sorted(set().union(*map(_inside, dict.fromkeys(self.search_paths))))


@cache
def _inside(folder: str) -> frozenset[str]:
    """Return the names in a folder: each client asks twice."""
    path = Path(folder)
    return frozenset(found.name for found in path.iterdir()) if path.is_dir() else frozenset()
