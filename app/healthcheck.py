"""The container's own probe: `python -m app.healthcheck`.

Asks for readiness, not liveness: Docker itself restarts nothing, and whoever reads its health (Swarm, a proxy,
`depends_on`) wants to know whether requests may come. Runs every few seconds beside the server, so it imports nothing
but the standard library, and little of that.
"""

import http.client
import os
import sys

DEFAULT_PORT = 8000  # of `app.settings`, which would import pydantic
TIMEOUT_S = 4  # under the Dockerfile's --timeout, so that the reason is told


def main() -> int:
    """Returns 0 if the service in this container is ready; else 1, and tells why in one line."""
    try:
        port = int(os.environ.get("SIGLIP_PORT") or os.environ.get("AIP_HTTP_PORT") or DEFAULT_PORT)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
        connection.request("GET", "/health/ready")
        answer = connection.getresponse()
        body = answer.read(1000).decode(errors="replace")
    except (OSError, ValueError, http.client.HTTPException) as error:
        print(f"{type(error).__name__}: {error}")
        return 1
    if answer.status != http.client.OK:
        print(f"{answer.status}: {' '.join(body.split())}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
