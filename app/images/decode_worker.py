"""One decode worker: a process that is started when it is first needed, and again after it has ended."""

import logging
import math
import multiprocessing
import signal
import socket
import threading
import time
from functools import partial
from typing import NamedTuple

import numpy as np
from pydantic import ValidationError

from app.errors import IMAGE_ERRORS, ImageTooExpensive
from app.images.prepare import Preparation
from app.images.worker_process import Limits, receive, send, work
from app.schemas import ImageFacts

log = logging.getLogger("app")

# A process of this method starts from one that has imported Pillow and NumPy, in about 20 ms, and never from the
# service's own process, whose TensorFlow threads would not survive a fork.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["app.images.worker_process"])

ERRORS = {error.code: error for error in IMAGE_ERRORS}
MAX_JSON_BYTES = 100_000


class PreparedImage(NamedTuple):
    """The tower's input, uint8 of the preprocessor's shape, the facts for the response, and the seconds it took."""

    pixels: np.ndarray
    facts: ImageFacts
    decode_s: float


class Crashed(Exception):
    """The worker has ended, or its reply cannot be used."""


class OutOfTime(Exception):
    """The worker was ended, because the image took too long."""


class DecodeWorker:
    """One process, started when it is first needed and again after it has ended. One thread at a time may use it."""

    def __init__(self, preparation: Preparation, limits: Limits) -> None:
        self._preparation = preparation
        self._limits = limits
        self._lock = threading.Lock()  # `close` is called on another thread
        self._closed = False
        self._process: multiprocessing.process.BaseProcess | None = None
        self._connection: socket.socket | None = None

    @property
    def pid(self) -> int | None:
        """The id of the process, or None if none runs."""
        process = self._process
        return process.pid if process and process.is_alive() else None

    def prepare(self, data: bytes, frame: int) -> PreparedImage:
        """Returns the prepared image.

        Raises:
            ServiceError: One of `IMAGE_ERRORS`.
            Crashed, OutOfTime: The process has ended.
        """
        if len(data) > self._limits.memory_bytes // 2:
            raise ImageTooExpensive(f"The file has {len(data):,} bytes, which is too much for decoding it.")
        started_s = time.perf_counter()
        connection = self._connection if self.pid else None
        connection = connection or self._start()
        shape = self._preparation.preprocessor.shape
        read = partial(read_before, time.monotonic() + self._limits.wall_s, MAX_JSON_BYTES + math.prod(shape))
        try:
            connection.settimeout(self._limits.wall_s)
            send(connection, {"frame": frame}, memoryview(data))
            reply, content = receive(connection, read)
        except TimeoutError:
            self.kill()
            raise OutOfTime(f"Decoding the image takes more than {self._limits.wall_s:g} s.") from None
        except (OSError, ValueError) as error:
            raise self._ended() from error
        if failure := ERRORS.get(str(reply.get("error_type"))):
            if "traceback" in reply:
                log.error("an image could not be prepared: %s", reply["traceback"])
            raise failure(str(reply.get("detail")))
        try:
            facts = ImageFacts.model_validate(reply)
            pixels = np.frombuffer(content, np.uint8).reshape(shape)
        except (ValidationError, ValueError) as error:
            raise self._ended() from error
        return PreparedImage(pixels, facts, time.perf_counter() - started_s)

    def _start(self) -> socket.socket:
        self.kill()
        with self._lock:
            if self._closed:
                raise Crashed("the service is shutting down")
            ours, theirs = socket.socketpair()
            process = PROCESSES.Process(
                target=work,
                args=(theirs, self._preparation, self._limits),
                name="decode-worker",
                daemon=True,
            )
            try:
                with theirs:
                    process.start()
            except OSError:
                ours.close()
                raise
            self._connection, self._process = ours, process
            return ours

    def _ended(self) -> Exception:
        """Returns why the process has ended by itself, or sent nonsense and is ended here."""
        process = self._process
        if process:
            process.join(1)  # the connection closes a little before the process ends
        exit_status = process.exitcode if process else None
        self.kill()
        if exit_status == -signal.SIGXCPU:
            return OutOfTime(f"Decoding the image takes more than {self._limits.cpu_s} s of CPU time.")
        return Crashed(f"exit status {exit_status}")

    def close(self) -> None:
        """Ends the process for ever."""
        self._closed = True
        self.kill()

    def kill(self) -> None:
        """Ends the process."""
        with self._lock:
            process, self._process = self._process, None
            connection, self._connection = self._connection, None
        if process:
            process.kill()
            process.join()
        if connection:
            connection.close()


def read_before(deadline_s: float, max_bytes: int, connection: socket.socket, count: int) -> bytearray:
    """Returns the next `count` bytes.

    Raises:
        TimeoutError: The deadline, a time of `time.monotonic`, has passed.
        OSError: The worker has ended.
        ValueError: These are more than `max_bytes`.
    """
    if count > max_bytes:
        raise ValueError("the message is too long")
    content = bytearray(count)
    missing = memoryview(content)
    while missing:
        connection.settimeout(max(deadline_s - time.monotonic(), 0.001))
        received = connection.recv_into(missing)
        if not received:
            raise ConnectionResetError("the worker has ended")
        missing = missing[received:]
    return content
