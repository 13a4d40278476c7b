"""The container's health check: `python -m app.healthcheck`.

It checks readiness, not liveness: Docker itself does not restart unhealthy containers, and those that read the status
(Swarm, a proxy, `depends_on`) need to know whether to send requests. It runs every few seconds next to the server, so
it imports only a little of the standard library.
"""

import http.client
import os
import sys

DEFAULT_PORT = 8000  # as in `app.settings`, which imports pydantic
TIMEOUT_S = 4  # less than the Dockerfile's --timeout, so that the reason is printed


def main() -> int:
    """Returns 0 if the service in this container is ready; otherwise prints the reason in one line and returns 1."""
    try:
        port = int(os.environ.get("SIGLIP_PORT") or os.environ.get("AIP_HTTP_PORT") or DEFAULT_PORT)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
        connection.request("GET", "/health/ready")
        response = connection.getresponse()
        body = response.read(1000).decode(errors="replace")
    except (OSError, ValueError, http.client.HTTPException) as error:
        print(f"{type(error).__name__}: {error}")
        return 1
    if response.status != http.client.OK:
        print(f"{response.status}: {' '.join(body.split())}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
