"""A real browser, for pages that tests open."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

from tests.conftest import clean_environ

if TYPE_CHECKING:
    from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--hide-scrollbars"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--virtual-time-budget=2000", "--force-device-scale-factor=1"),
)


def installed() -> str | None:
    """Return a browser of this machine; None without one."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def opened(browser: str, file: Path, *more: str) -> str:
    """Open a file in the browser, with a profile of its own; return what it printed."""
    done = subprocess.run(
        [browser, *OPTIONS, f"--user-data-dir={file.parent / 'profile'}", *more, file.as_uri()],
        env=clean_environ(HOME=str(file.parent)),
        cwd=file.parent,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
