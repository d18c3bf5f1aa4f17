"""What bench/fuzz runs."""

import sys

from bench.fuzzing.command import main

if __name__ == "__main__":
    sys.exit(main())
