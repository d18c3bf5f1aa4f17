"""What botocore knows of services, in files of its own: read once in a process, and no more of it than is needed."""

from __future__ import annotations

import os
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
        folders = [Path(folder) for folder in self.search_paths]
        return sorted({found.name for folder in folders if folder.is_dir() for found in folder.iterdir()})
