"""The agent's archive with what this host's Python makes of it: to compile it anew is a third of what a call takes."""

from __future__ import annotations

import shutil
from contextlib import suppress

from .home import ARCHIVE, HOME


def compile_archive() -> None:
    """Add to the archive, behind its modules, what each compiles to; not again where that is there.

    Each is an unchecked hash-based pyc (PEP 552), which Python takes before the source. Another Python than this one,
    after an upgrade, knows by the magic number that it is not for it, and takes the source, which stays where it is:
    who is reading the archive is not disturbed. Where there is no room for it, everything works as it did.
    """
    if __file__.endswith(".pyc"):
        return
    import marshal
    import zipfile
    from importlib.util import MAGIC_NUMBER

    compiled = HOME / ".agent.compiled"
    with suppress(OSError):
        try:
            shutil.copyfile(ARCHIVE, compiled)
            with zipfile.ZipFile(compiled, "a") as archive:
                names = archive.namelist()
                if any(name.endswith(".pyc") for name in names):
                    return
                for name in names:
                    code = marshal.dumps(compile(archive.read(name), name, "exec"))
                    archive.writestr(f"{name}c", MAGIC_NUMBER + b"\1" + bytes(11) + code)
            compiled.replace(ARCHIVE)
        finally:
            compiled.unlink(missing_ok=True)
