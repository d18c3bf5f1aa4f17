"""Another application: no Nest, no npm, no build. It says where it runs and which table it was given."""

from __future__ import annotations

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Answer(BaseHTTPRequestHandler):
    """Answers /up, and nothing else."""

    def do_GET(self) -> None:
        """Answer a GET."""
        found = self.path == "/up"
        known = {"environment": os.environ["ENVIRONMENT"], "table": os.environ["TABLE"]}
        body = json.dumps(known if found else {"error": "there is only /up"}).encode()
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    server = ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Answer)
    print(f"tiny listens on {server.server_port}", flush=True)  # noqa: T201 - its log
    server.serve_forever()
