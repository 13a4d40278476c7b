"""Encoders for replicas on Ray Serve, which import this module."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import ray

from tests.fakes import FakeEncoder


@dataclass(frozen=True)
class MakeEncoder:
    """Makes a fake encoder in a replica, and says in a folder in which one: with an empty file `NODE-PID`.

    Attributes:
        folder: The folder. A file `broken-PID` in it makes every batch of that process fail.
        batch_s: How long a batch takes.
        loads: Whether the model can be loaded.
    """

    folder: Path
    batch_s: float = 0.01
    loads: bool = True

    def __call__(self) -> FakeEncoder:
        """Returns the encoder."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / f"{ray.get_runtime_context().get_node_id()}-{os.getpid()}").touch()
        return FakeEncoder(before_batch=self.before_batch, before_warm_up=self.before_warm_up)

    def before_batch(self) -> None:
        """Waits, or fails."""
        time.sleep(self.batch_s)
        if (self.folder / f"broken-{os.getpid()}").exists():
            raise RuntimeError("this device is broken")

    def before_warm_up(self) -> None:
        """Fails if the model cannot be loaded."""
        if not self.loads:
            raise RuntimeError("this model cannot be loaded")


@dataclass(frozen=True)
class Replica:
    """A replica that has started."""

    node: str
    pid: int


def replicas(folder: Path) -> list[Replica]:
    """Returns the replicas that have started with this folder, oldest first."""
    files = sorted(folder.glob("*-*"), key=lambda file: file.stat().st_mtime_ns)
    parts = [file.name.split("-") for file in files if not file.name.startswith("broken")]
    return [Replica(node, int(pid)) for node, pid in parts]
