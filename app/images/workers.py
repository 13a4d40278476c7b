"""A pool of worker processes that decode images: one that crashes, hangs or eats memory costs only its image.

Each worker has its own connection, and no lock is shared: a process that is killed at any moment blocks no other. Pools
of libraries share a queue or do not say how a worker ended, which tells a crash from an exceeded limit.
"""

import atexit
import logging
import queue
from collections.abc import Callable

from app.errors import DecoderFailed, ImageTooExpensive, InvalidImage
from app.images.decode_worker import Crashed, DecodeWorker, OutOfTime, PreparedImage
from app.images.prepare import Preparation
from app.images.worker_process import Limits

log = logging.getLogger("app")

CRASHED, OUT_OF_TIME = "crashed", "out_of_time"
EXITS = (CRASHED, OUT_OF_TIME)
# multiprocessing makes a socket there, whose path may have 107 characters on Linux.
MAX_FOLDER_CHARACTERS = 75


class WorkersError(Exception):
    """The processes cannot be started. The message says why."""


class Workers:
    """A pool of worker processes. Thread-safe.

    Args:
        preparation: How images are prepared.
        processes: The number of workers, and so of images that are decoded at once.
        limits: What one image may cost.
        on_exit: Called with a reason from `EXITS` when a worker has ended, on any thread.
    """

    def __init__(
        self,
        preparation: Preparation,
        *,
        processes: int,
        limits: Limits,
        on_exit: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self.processes = processes
        self._on_exit = on_exit
        self._closed = False
        self._all = [DecodeWorker(preparation, limits) for _ in range(processes)]
        self._idle: queue.LifoQueue[DecodeWorker] = queue.LifoQueue()  # the last used one has its caches warm
        for worker in self._all:
            self._idle.put(worker)
        atexit.register(self.close)  # before multiprocessing's own, which would wait for the processes

    def start(self) -> None:
        """Starts all workers, and waits until each has answered.

        Raises:
            WorkersError: They cannot be started.
        """
        for worker in self._all:
            try:
                self._prepare(worker, b"", 0)  # an empty file: that it is invalid is the answer
            except InvalidImage:
                continue
            except (OSError, DecoderFailed) as error:
                raise WorkersError(
                    f"the decode workers cannot be started: {error}. They need a folder for temporary files that is "
                    f"writable and whose path has at most {MAX_FOLDER_CHARACTERS} characters"
                ) from error

    @property
    def pids(self) -> list[int]:
        """The ids of the processes that run."""
        return [worker.pid for worker in self._all if worker.pid]

    def prepare(self, data: bytes, frame: int = 0) -> PreparedImage:
        """Returns a decoded and prepared image. Waits for an idle worker and for the result: call it in a thread.

        Raises:
            ServiceError: One of `IMAGE_ERRORS`.
        """
        worker = self._idle.get()
        try:
            return self._prepare(worker, data, frame)
        finally:
            self._idle.put(worker)

    def _prepare(self, worker: DecodeWorker, data: bytes, frame: int) -> PreparedImage:
        for last in (False, True):
            try:
                return worker.prepare(data, frame)
            except OutOfTime as error:
                self._on_exit(OUT_OF_TIME)
                raise ImageTooExpensive(str(error)) from None
            except Crashed as error:
                if self._closed:
                    break
                self._on_exit(CRASHED)
                log.warning("a decode worker has ended: %s; %s", error, "gave up" if last else "trying again")
        raise DecoderFailed("The decoder crashes on this image. Save it again, as a PNG or JPEG.")

    def close(self) -> None:
        """Ends all workers, also those that decode."""
        self._closed = True
        atexit.unregister(self.close)
        for worker in self._all:
            worker.close()
