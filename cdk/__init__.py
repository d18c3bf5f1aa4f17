"""The infrastructure: one cloud assembly an environment."""

import os
from pathlib import Path

_NODE = Path(__file__).absolute().with_name("node")
if os.access(_NODE, os.X_OK):
    # CDK's library starts it as soon as it is imported.
    os.environ.setdefault("JSII_NODE", str(_NODE))
