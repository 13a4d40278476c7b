"""The counts of several processes of one service, in memory that they share.

Each process changes only its own row, so there is no lock that a killed process could hold. A row is cleared when its
process has ended.
"""

import mmap
import os
from pathlib import Path

COLUMNS = 3  # images, bytes of request bodies, process id
ITEMS, BYTES, PID = range(COLUMNS)
CELL_BYTES = 8


class SharedCounts:
    """The rows of all processes, of which one may be changed.

    Args:
        file: The file that the processes share; see `make`.
        row: The row of this process.
    """

    def __init__(self, file: Path, row: int) -> None:
        with file.open("r+b") as opened:
            self._cells = memoryview(mmap.mmap(opened.fileno(), 0)).cast("q")
        self._start = row * COLUMNS
        self._cells[self._start + PID] = os.getpid()

    @staticmethod
    def make(file: Path, rows: int) -> None:
        """Creates the file, with empty rows."""
        file.write_bytes(bytes(rows * COLUMNS * CELL_BYTES))

    @property
    def items(self) -> int:
        """The images in the service."""
        return sum(self._cells[ITEMS::COLUMNS])

    @property
    def bytes(self) -> int:
        """The bytes of all request bodies in memory."""
        return sum(self._cells[BYTES::COLUMNS])

    @property
    def pids(self) -> list[int]:
        """The ids of the processes that run."""
        return [pid for pid in self._cells[PID::COLUMNS] if pid]

    def add(self, items: int = 0, body_bytes: int = 0) -> None:
        """Changes the row of this process."""
        self._cells[self._start + ITEMS] += items
        self._cells[self._start + BYTES] += body_bytes

    def clear(self, row: int) -> None:
        """Clears the row of a process that has ended."""
        for cell in range(row * COLUMNS, (row + 1) * COLUMNS):
            self._cells[cell] = 0
