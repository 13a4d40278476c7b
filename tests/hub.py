"""A fake Hugging Face hub on localhost, for the real client: model info, file listing, small files, tensors from a CDN.

Source: the requests that huggingface_hub 2.4.0 sends and the headers that it reads (`_snapshot_download.py`,
`file_download.py`). Tests with this hub cannot detect that the real hub responds differently.
"""

import hashlib
import json
import os
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

HUB_ID, COMMIT = "someone/siglip-fine-tune", "7fd15f0689c79d79e38b1c2e2e2370a7bf2761ed"
CHUNK_BYTES = 10 * 2**20  # the client stores received bytes in whole chunks of this size
REVISIONS = {"main": COMMIT, "v1.0": COMMIT, COMMIT: COMMIT}


@dataclass
class Hub:
    """A hub with one repository, which has one commit: `main` and `v1.0`. It serves inside its `with` block.

    Args:
        directory: The files of the repository.
        token: Requests without this token get the error for a gated repository. None means a public repository.
        break_after_bytes: The first response body longer than this is cut off there.
        hold: Until this event is set, large files stop after `CHUNK_BYTES`.
        gone_after_break: Whether requests for large files fail after that first cut.
    """

    directory: Path
    token: str | None = None
    break_after_bytes: int | None = None
    gone_after_break: bool = False
    hold: threading.Event | None = None
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def __enter__(self) -> "Hub":
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (HubHandler,), {"hub": self}))
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    @property
    def cdn_url(self) -> str:
        """The same server under another host name, because the real hub stores large files on another host."""
        return f"http://localhost:{self.server.server_port}"

    def environment(self, home: Path, **variables: str) -> dict[str, str]:
        """Returns the environment of a process that uses only this hub and the cache in `home`."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "SIGLIP_"))}
        settings = {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "NO_PROXY": "*",
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        return ours | settings | variables

    def headers_of(self, method: str, pattern: str) -> list[dict[str, str]]:
        """Returns the headers of all received requests with this method and a path that matches the pattern."""
        return [headers for verb, path, headers in self.requests if verb == method and re.search(pattern, path)]

    def listing(self) -> list[dict[str, object]]:
        """Returns the repository's files as the hub lists them."""
        return [self.entry(path) for path in sorted(self.directory.rglob("*")) if path.is_file()]

    def entry(self, path: Path) -> dict[str, object]:
        """Returns the listing's entry for one file. Only large files have `lfs`."""
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        lfs = {"oid": digest, "size": path.stat().st_size, "pointerSize": 133}
        entry = {
            "type": "file",
            "path": path.relative_to(self.directory).as_posix(),
            "size": path.stat().st_size,
            "oid": digest[:40],
        }
        return entry | ({"lfs": lfs} if path.suffix == ".safetensors" else {})


class HubHandler(BaseHTTPRequestHandler):
    """Serves the hub's paths: `/api/models/...`, `/<id>/resolve/...`, and `/cdn/...` for large files."""

    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.respond()

    def do_GET(self) -> None:
        self.respond()

    def log_message(self, *_: object) -> None:
        """Writes no log."""

    def respond(self) -> None:
        self.hub.requests.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
        path = self.path.split("?")[0]
        api, resolve = f"/api/models/{HUB_ID}/", f"/{HUB_ID}/resolve/"
        if path.startswith("/cdn/") and self.hub.gone_after_break and self.hub.break_after_bytes is None:
            self.close_connection = True
        elif path.startswith("/cdn/"):
            self.send(200, (self.hub.directory / path.removeprefix("/cdn/")).read_bytes())
        elif not path.startswith((api, resolve)):
            self.send(404, b"", **{"X-Error-Code": "RepoNotFound"})
        elif self.hub.token and self.headers["Authorization"] != f"Bearer {self.hub.token}":
            self.send(401, b"", **{"X-Error-Code": "GatedRepo"})
        elif path.startswith(resolve):
            self.resolve(*path.removeprefix(resolve).split("/", 1))
        else:
            self.api(*path.removeprefix(api).split("/"))

    def api(self, what: str, revision: str) -> None:
        if revision not in REVISIONS:
            self.send(404, b"", **{"X-Error-Code": "RevisionNotFound"})
            return
        content = {"id": HUB_ID, "sha": REVISIONS[revision]} if what == "revision" else self.hub.listing()
        self.send(200, json.dumps(content).encode())

    def resolve(self, _revision: str, name: str) -> None:
        entry = self.hub.entry(self.hub.directory / name)
        facts = {"X-Repo-Commit": COMMIT, "ETag": f'"{entry["oid"]}"'}
        if "lfs" in entry:
            linked = {"X-Linked-Size": str(entry["size"]), "X-Linked-ETag": f'"{entry["lfs"]["oid"]}"'}
            self.send(302, b"", **facts, **linked, Location=f"{self.hub.cdn_url}/cdn/{name}")
        else:
            self.send(200, (self.hub.directory / name).read_bytes(), **facts)

    def send(self, status: int, body: bytes, **headers: str) -> None:
        if start := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
            status, headers["Content-Range"] = 206, f"bytes {start[1]}-{len(body) - 1}/{len(body)}"
            body = body[int(start[1]) :]
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        limit = self.hub.break_after_bytes
        if limit is not None and len(body) > limit:
            self.hub.break_after_bytes, self.close_connection = None, True
            body = body[:limit]
        self.wfile.write(body[:CHUNK_BYTES])
        if self.hub.hold and body[CHUNK_BYTES:]:
            self.hub.hold.wait()
        self.wfile.write(body[CHUNK_BYTES:])
