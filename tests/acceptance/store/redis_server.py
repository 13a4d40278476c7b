"""A real `redis-server`, which tests kill, stop and start again."""

import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import redis

PASSWORD = "open/sesame?#"  # needs escapes in a URL
ESCAPED = "open%2Fsesame%3F%23"


class RedisServer:
    """A server on a free port of this machine, with a folder for its data.

    Args:
        folder: The folder.
        options: More options of `redis-server`.
    """

    def __init__(self, folder: Path, options: Sequence[str] = ()) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.folder = folder
        self.url = f"redis://127.0.0.1:{self.port}"
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> None:
        """Starts it, with the data that it has saved."""
        fixed = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder), "--logfile", "log"]
        fixed += ["--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(["redis-server", *fixed, *self._options])
        while wait:
            try:
                with redis.Redis(port=self.port) as client:
                    client.ping()
            except redis.AuthenticationError:
                return
            except redis.ConnectionError:
                assert self._process.poll() is None, (self.folder / "log").read_text()
                time.sleep(0.01)
            else:
                return

    def save(self) -> None:
        """Writes its data into a file, which it reads at its next start."""
        with redis.Redis(port=self.port) as client:
            client.save()

    def kill(self) -> None:
        """Kills it. Without `save`, its data is lost."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def hang(self) -> None:
        """Stops it, so that it accepts connections and answers nothing."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Lets it run again."""
        assert self._process
        self._process.send_signal(signal.SIGCONT)
