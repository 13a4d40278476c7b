"""The private folder through which the processes of one service find each other."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SharedFolder:
    """The paths in the folder."""

    path: Path

    @property
    def device(self) -> Path:
        """The Unix socket where the device process listens."""
        return self.path / "device"

    @property
    def counts(self) -> Path:
        """The file of `SharedCounts`."""
        return self.path / "counts"

    @property
    def metrics(self) -> Path:
        """The folder in which prometheus_client keeps the metrics of all processes."""
        return self.path / "metrics"
