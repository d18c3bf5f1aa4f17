"""On a host, for the others: waits until an application answers on its unix socket. python3 await.py SOCKET."""

import http.client
import socket
import sys
import time

_WITHIN = 30


def healthy(path: str) -> bool:
    """Tell whether /health and /health/ready answer 200."""
    for url in ("/health", "/health/ready"):
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.sock.connect(path)
            connection.request("GET", url)
            if connection.getresponse().status != http.client.OK:
                return False
        except OSError:
            return False
        finally:
            connection.close()
    return True


if __name__ == "__main__":
    until = time.monotonic() + _WITHIN
    while not healthy(sys.argv[1]):
        if time.monotonic() > until:
            sys.exit(f"not healthy within {_WITHIN} s")
        time.sleep(0.05)
