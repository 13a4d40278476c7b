"""The program of a worker process: it decodes and prepares untrusted image files, one after the other.

The process limits its memory and its CPU time per image, and it needs neither files nor the network. A message is two
lengths, JSON and bytes. It is never a pickle: a file that takes over this process must not take over the service.

    request: {"frame": 0} and the file
    reply:   {"width": 640, "height": 480, "format": "JPEG", "notes": []} and the prepared image,
             or {"error_type": "invalid_image", "detail": "..."}, also with a "traceback"
"""

import json
import logging
import math
import os
import resource
import signal
import socket
import struct
import sys
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from app.errors import DecoderFailed, ImageTooExpensive, ServiceError
from app.images.decoder_errors import address_space_bytes
from app.images.prepare import Preparation

LENGTHS = struct.Struct(">II")
MAX_TRACEBACK = 5_000  # characters

T = TypeVar("T", bytes, bytearray)


class Limits(NamedTuple):
    """What one image may cost: bytes of memory, seconds of CPU time, and seconds.

    The slowest 50 megapixels take seconds to decode (benchmarks/decode_memory.py). Converting the colours of Lab, the
    slowest, would take nine more, in proportion to benchmarks/colours.py.
    """

    memory_bytes: int
    cpu_s: int = 20
    wall_s: float = 40.0


def send(connection: socket.socket, facts: dict[str, Any], content: bytes | memoryview = b"") -> None:
    """Sends a message.

    Raises:
        OSError: The other side is gone, or does not receive within the connection's timeout.
    """
    text = json.dumps(facts).encode()
    connection.sendall(LENGTHS.pack(len(text), len(content)) + text)
    connection.sendall(content)


def receive(connection: socket.socket, read: Callable[[socket.socket, int], T]) -> tuple[dict[str, Any], T]:
    """Returns a message, whose parts `read(connection, count)` returns.

    Raises:
        OSError: The other side is gone, or `read` has waited too long.
        ValueError: It is not a message.
    """
    text_bytes, content_bytes = LENGTHS.unpack(read(connection, LENGTHS.size))
    facts = json.loads(read(connection, text_bytes))
    if not isinstance(facts, dict):
        raise ValueError("the message is not an object")  # noqa: TRY004 (as json.loads does)
    return facts, read(connection, content_bytes)


def read_all(connection: socket.socket, count: int) -> bytes:
    """Returns the next `count` bytes of a blocking connection. They are not copied: the file may be large."""
    content = connection.recv(count, socket.MSG_WAITALL)
    if len(content) < count:
        raise ConnectionResetError("the service has closed the connection")
    return content


def work(connection: socket.socket, preparation: Preparation, limits: Limits) -> None:
    """Answers requests until the service closes the connection, or a limit ends the process."""
    for ignored in (signal.SIGINT, signal.SIGTERM):  # a terminal or a service manager may signal all processes
        signal.signal(ignored, signal.SIG_IGN)
    # Libraries warn about damaged files, with numbers of the file, and Python keeps each different text for ever. A
    # client could fill the log.
    warnings.simplefilter("ignore")
    logging.disable()
    with Path(os.devnull).open("wb") as nothing:  # for libraries that print
        os.dup2(nothing.fileno(), 1)
        os.dup2(nothing.fileno(), 2)
    limit_process(limits)
    with suppress(OSError):
        while True:
            request, data = receive(connection, read_all)
            limit_cpu(limits.cpu_s)
            send(connection, *reply(data, request["frame"], preparation))


def reply(data: bytes, frame: int, preparation: Preparation) -> tuple[dict[str, Any], memoryview]:
    """Returns the reply for one file."""
    nothing = memoryview(b"")
    try:
        pixels, decoded = preparation.prepare(data, frame)
    except ServiceError as error:
        return {"error_type": error.code, "detail": error.detail}, nothing
    except MemoryError:
        return {"error_type": ImageTooExpensive.code, "detail": "The image needs more memory than is allowed."}, nothing
    except Exception:  # a fault of ours; the next image may be fine
        facts = {"error_type": DecoderFailed.code, "detail": "The image cannot be prepared because of a fault."}
        return facts | {"traceback": traceback.format_exc()[-MAX_TRACEBACK:]}, nothing
    found = {"width": decoded.width, "height": decoded.height, "format": decoded.format, "notes": decoded.notes}
    return found, pixels.reshape(-1).data


def limit_process(limits: Limits) -> None:
    """Limits this process's memory to what it has now and `memory_bytes`, and forbids it to write files."""
    if sys.platform == "linux":
        # If the container runs out of memory, the kernel shall end this process rather than the service.
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
        limit_bytes = address_space_bytes() + limits.memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    os.nice(10)  # the service goes first: benchmarks/decode_workers.py measures a text next to 12 decodes


def limit_cpu(seconds: int) -> None:
    """Lets the kernel end this process with SIGXCPU after this many more seconds of CPU time."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(used.ru_utime + used.ru_stime) + seconds, hard))
