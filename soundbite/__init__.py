"""The deployment workflow of SoundBite: everything that `inv` does, usable without Invoke."""

import sys

# Where they happen to be installed, httpx imports its own command line with two libraries for terminals, and HTTP/2:
# 0.1 s at each start. So it takes them for missing, and does without as it is made to.
for _unneeded in ("httpx._main", "httpcore._sync.http2", "httpcore._async.http2"):
    sys.modules.setdefault(_unneeded, None)  # type: ignore[arg-type]
