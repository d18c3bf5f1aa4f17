"""The one host of pyinfra_deploy.py, from the file that ORDER names."""

import json
import os
from pathlib import Path

_order = json.loads(Path(os.environ["ORDER"]).read_text(encoding="utf-8"))
hosts = [
    (
        _order["address"],
        {
            "ssh_user": _order["user"],
            "ssh_port": _order["port"],
            "ssh_key": _order["key"],
            "ssh_known_hosts_file": _order["known_hosts"],
            "ssh_strict_host_key_checking": "yes",
            "ssh_look_for_keys": False,
            "ssh_allow_agent": False,
            "order": _order,
        },
    )
]
