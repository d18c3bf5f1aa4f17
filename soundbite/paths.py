"""Where the project's own files are."""

from pathlib import Path

ROOT = Path(__file__).absolute().parent.parent
"""The checkout: the folder that holds `tasks.py`."""

ENVS = ROOT / "envs"
CDK = ROOT / "cdk"
COMPOSE = ROOT / "compose"

CACHE = ROOT / ".soundbite" / "cache"
"""What can be made again from the checkout: cloud assemblies by content, stamps of installed dependencies."""

LOGS = ROOT / ".soundbite" / "logs"
"""Where the traceback of an unexpected error is kept."""

TESTS = ROOT / ".soundbite" / "tests"
"""What the last run of `inv test` left: its record, and the results of its suites as files."""
