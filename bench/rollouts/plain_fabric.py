"""The same host steps with Fabric alone, one command after another: python plain_fabric.py ORDER.json."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import fabric


def main(order: dict[str, Any]) -> None:
    """Bring one version onto one host."""
    site, colour, old = order["site"], order["colour"], order["old"]
    connection = fabric.Connection(
        order["address"],
        user=order["user"],
        port=order["port"],
        connect_kwargs={"key_filename": order["key"], "look_for_keys": False, "allow_agent": False},
        config=fabric.Config(overrides={"load_ssh_configs": False}),
    )
    connection.client.load_host_keys(order["known_hosts"])
    with connection:
        for path in sorted(Path(order["folder"]).iterdir()):
            connection.put(str(path), f"{site}/{colour}/{path.name}")
        image = order["image"]
        connection.run(f"sudo docker image inspect {image} >/dev/null || sudo docker pull --quiet {image}", hide=True)
        connection.run(f"cd {site}/{colour} && sudo docker compose up --detach --force-recreate", hide=True)
        connection.run(f"python3 {site}/await.py {site}/colours/{colour}/app.sock", hide=True)
        connection.run(f"cd {site}/colours && ln -s {colour} new && mv -T new live", hide=True)
        connection.run(f"sleep {order['drain']}", hide=True)
        connection.run(f"cd {site}/{old} && sudo docker compose down", hide=True)


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
