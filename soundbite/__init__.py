"""The deployment workflow of SoundBite: everything that `inv` does, usable without Invoke."""

import sys

# httpx imports its own command line, and with it two libraries for terminals, where they happen to be installed: 0.1 s
# at each start. So it takes them for missing, and does without as it is made to.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
