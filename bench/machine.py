"""The machine that was measured on, and when: without it the numbers say little."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

from soundbite import checkout, node


def facts() -> dict[str, str]:
    """Return what the numbers depend on, in the order to print it."""
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "revision": checkout.revision(),
        "cores": f"{_cores()} ({_processor()})",
        "load": f"{os.getloadavg()[0]:.1f}",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "node": node.choose().version,
    }


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
