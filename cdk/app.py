"""Synthesize the infrastructure of one environment: `SYNTH_SETTINGS=settings.json python cdk/app.py`.

A pure function from one JSON file to one cloud assembly, so that the workflow may keep the assembly by the
hash of what went in. README.md beside this file says what is built.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

# A script's own folder is where Python looks for modules first; ours are named from the checkout's root.
sys.path[0] = str(Path(__file__).absolute().parent.parent)

from cdk.settings import Settings  # noqa: E402
from soundbite.errors import ConfigurationError  # noqa: E402


def main() -> int:
    """Read the settings, build the application, write the assembly; return the exit code."""
    # The library takes context, debugging and an output folder from these, and then more than the settings decides.
    for name in [name for name in os.environ if name.startswith("CDK_")]:
        del os.environ[name]
    try:
        settings = Settings.read(os.environ.get("SYNTH_SETTINGS", ""))
        # Not before the settings are known to be good: this starts node.
        from cdk.application import build

        build(settings).synth()
    except ConfigurationError as error:
        sys.stderr.write(f"{error.message} {error.hint}".strip() + "\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
