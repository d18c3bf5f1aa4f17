"""What bench/faults runs."""

import sys

from bench.campaign.command import main

if __name__ == "__main__":
    sys.exit(main())
