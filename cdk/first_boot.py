"""What a new host runs at its first boot: it fetches its agent, with what serves, from the environment's ledger.

    python3 first_boot.py TABLE REGION [ENDPOINT]

It stands in the user data of EC2, whose changes replace hosts: so it does no more than that.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from pathlib import Path
from typing import Any


def main(table: str, region: str, endpoint: str | None = None) -> None:
    """Install the agent and become it; where nothing was deployed yet, say so and end."""
    import boto3

    session: Any = boto3
    dynamodb = session.client("dynamodb", region_name=region, endpoint_url=endpoint)

    def body(kind: str, key: str) -> dict[str, Any]:
        named = {"pk": {"S": kind}, "sk": {"S": key}}
        item = dynamodb.get_item(TableName=table, Key=named, ConsistentRead=True).get("Item")
        return dict(json.loads(item["body"]["S"])) if item else {}

    try:
        serving = body("environment", "serving").get("deployment")
    except dynamodb.exceptions.ResourceNotFoundException:
        serving = None
    if not serving:
        sys.stderr.write("Nothing was deployed yet.\n")
        return
    plan = body("operation", serving).get("plan", {})
    if "agent" not in plan:
        sys.stderr.write(f"{serving} was deployed by an older workflow: inv hosts.converge brings it here.\n")
        return
    home = Path(plan["home"])
    os.umask(0o077)
    home.mkdir(parents=True, exist_ok=True)
    (home / "ledger.json").write_text(json.dumps(plan["ledger"]), encoding="utf-8")
    (home / ".agent.new").write_bytes(base64.b64decode(plan["agent"]))
    agent = (home / ".agent.new").replace(home / "agent.pyz")
    os.execv(sys.executable, [sys.executable, str(agent), "boot"])  # noqa: S606 - the agent takes our place


if __name__ == "__main__":
    main(*sys.argv[1:])
