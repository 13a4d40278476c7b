"""Starts the processes of a service, replaces front ends that end, and passes signals on. It serves nothing itself.

    supervisor --+-- front end 1 --+
                 +-- front end 2 --+-- rows --> device process
                 +-- front end N --+

A front end that is killed is replaced. If the device process ends, or a front end cannot start, the service ends with
status 1, so that what runs it starts it again. If the supervisor is killed, all others end.
"""

import logging
import os
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from types import FrameType

FAILED = 1  # the exit status of a process that failed for a reason that its replacement would have too
END_S = 10.0  # after a failure, how long the others may answer what is in progress
PAUSE_S = 1.0  # before a front end is replaced that ended soon after its start

log = logging.getLogger("app")


class Supervisor:
    """The processes of one service.

    Args:
        start_device: Starts the device process.
        start_front_end: Starts the front end with this number.
        on_end: Called with the number and the process id of a front end that has ended.
        on_stop: Called when no front end will be started any more.
    """

    def __init__(
        self,
        start_device: Callable[[], SpawnProcess],
        start_front_end: Callable[[int], SpawnProcess],
        on_end: Callable[[int, int], None],
        on_stop: Callable[[], None],
    ) -> None:
        self._start_front_end = start_front_end
        self._on_end = on_end
        self._on_stop = on_stop
        self._signal: int | None = None  # the one that stops the service
        self._device = start_device()
        self._front_ends: dict[int, SpawnProcess] = {}
        self._started_s: dict[int, float] = {}

    def run(self, front_ends: int) -> int:
        """Runs this many front ends until the service is stopped or fails. Returns the exit status."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        for row in range(front_ends):
            self._start(row)
        pids = ", ".join(str(process.pid) for process in self._front_ends.values())
        log.info("supervisor %d, device process %d, front ends %s", os.getpid(), self._device.pid, pids)
        failed = False
        while self._front_ends and not failed:
            ended = wait([self._device.sentinel, *(process.sentinel for process in self._front_ends.values())])
            if self._device.sentinel in ended:
                self._device.join()
                log.error("the device process has ended: %s", how(self._device))
                failed = True
            for row, process in list(self._front_ends.items()):
                if process.sentinel in ended:
                    failed |= self._treat_end(row, process)
        if failed:
            self._on_stop()
        self._end(signal.SIGINT if failed else None)
        return int(failed)

    def _start(self, row: int) -> None:
        self._started_s[row] = time.monotonic()
        self._front_ends[row] = process = self._start_front_end(row)
        if self._signal is not None:  # it came while the process was started
            send(process, self._signal)

    def _treat_end(self, row: int, process: SpawnProcess) -> bool:
        """Replaces a front end that has ended, unless the service stops. Returns whether the service has failed."""
        process.join()
        self._on_end(row, process.pid or 0)
        del self._front_ends[row]
        if process.exitcode == FAILED:
            return True
        if self._signal is None:
            log.error("front end %d has ended and is replaced: %s", row + 1, how(process))
            if time.monotonic() - self._started_s[row] < PAUSE_S:
                time.sleep(PAUSE_S)
            self._start(row)
        return False

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        """Passes the first signal on, which starts the drain, and ends everything at the second."""
        if self._signal is not None:
            self._kill()
            os._exit(128 + number)
        self._signal = number
        self._on_stop()
        for process in self._front_ends.values():
            send(process, number)

    def _end(self, number: int | None) -> None:
        """Ends what still runs: with a signal to the front ends, then the device process, then by force."""
        if number is not None:
            for process in self._front_ends.values():
                send(process, number)
        until_s = time.monotonic() + END_S
        for process in self._front_ends.values():
            process.join(max(0.0, until_s - time.monotonic()))
        send(self._device, signal.SIGTERM)
        self._device.join(END_S)
        self._kill()

    def _kill(self) -> None:
        for process in (*self._front_ends.values(), self._device):
            send(process, signal.SIGKILL)


def send(process: SpawnProcess, number: int) -> None:
    """Sends a signal to a process, unless it has ended."""
    if process.pid and process.exitcode is None:
        os.kill(process.pid, number)


def how(process: SpawnProcess) -> str:
    """Returns how a process has ended, for the log."""
    code = process.exitcode or 0
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"status {code}"
