"""The measured comparisons of the README's performance table.

    .venv/bin/python bench/run.py [--only=NAME,…] [--json=FILE] [--quick]

Works from any folder; prints a Markdown table; exit code 1 if a target was missed or something could
not be measured.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)  # not bench/, whose file names are common words

from bench.command import main  # noqa: E402 - the path comes first

if __name__ == "__main__":
    sys.exit(main())
