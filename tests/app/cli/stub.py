"""An HTTP server with prepared responses, for responses that this service never sends."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class StubResponse(NamedTuple):
    """A response with one header."""

    status: int
    body: bytes = b""
    header: tuple[str, str] = ("X-Stub", "1")


@contextmanager
def stub_server(*responses: StubResponse) -> Iterator[tuple[str, list[str]]]:
    """Yields the URL of a server, and the list of requests that it received, such as `GET /info`.

    It sends the responses in order, and then the last one for every further request.
    """
    left, requests = list(responses), []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def respond(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            requests.append(f"{self.command} {self.path}")
            response = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(response.status)
            self.send_header(*response.header)
            self.send_header("Content-Length", str(len(response.body)))
            self.end_headers()
            self.wfile.write(response.body)

        do_GET = do_POST = do_PUT = do_DELETE = respond

        def log_message(self, *_: object) -> None:
            """Logs nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Does not log that a client has disconnected."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", requests
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
