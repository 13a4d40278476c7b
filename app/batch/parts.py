"""A part of the result: the scores of one chunk of images, as the content of a `.parquet` file.

| column        | content                                                                                     |
|---------------|---------------------------------------------------------------------------------------------|
| `path`        | the image's name                                                                            |
| `label`       | one of its best labels; null if there is an error, or no label reaches `--threshold`        |
| `logit`, `sigmoid`, `softmax` | the label's scores                                                          |
| `accepted`    | whether the sigmoid reaches the label's threshold; null without one                         |
| `probability` | only if the label set has a calibration                                                     |
| `error`       | why the image has no scores, or null                                                        |
| `embedding`   | only with `--embeddings`: [E] float32, in the first row of each image                       |

Every image has at least one row.
"""

import re
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np

from app.batch.embedding import LocalEmbedding
from app.batch.files import NotScored
from app.inference.acceptance import TunedScore
from app.observability.logs import printable
from app.schemas import ScoredImage

MAX_ROWS = 100_000  # of a part
NAME = re.compile(r"part-(\d{6,})\.parquet")


def part_name(chunk: int) -> str:
    """Returns the name of the part of a chunk."""
    return f"part-{chunk:06}.parquet"


def chunk_of(name: str) -> int | None:
    """Returns the chunk of a part, or None if a file is not a part."""
    match = NAME.fullmatch(name)
    return int(match[1]) if match and part_name(int(match[1])) == name else None


class Columns(NamedTuple):
    """Which columns a job's parts have, in addition to those of all jobs."""

    probability: bool = False
    embed_dim: int | None = None
    """The width of the embeddings, or None if they are not stored."""

    def schema(self, metadata: dict[str, str]) -> Any:
        """Returns the schema of the job's parts."""
        import pyarrow

        text, number = pyarrow.string(), pyarrow.float32()
        columns = {"path": text, "label": text, "logit": number, "sigmoid": number, "softmax": number}
        columns["accepted"] = pyarrow.bool_()
        if self.probability:
            columns["probability"] = number
        columns["error"] = text
        if self.embed_dim is not None:
            columns["embedding"] = pyarrow.list_(number, self.embed_dim)
        return pyarrow.schema(columns, metadata)


class PartRows:
    """The rows of a part.

    Args:
        columns: Its columns.
        metadata: Facts that the file keeps, such as the model's name.
    """

    def __init__(self, columns: Columns, metadata: dict[str, str]) -> None:
        self._schema = columns.schema(metadata)
        self._rows: dict[str, list[Any]] = {name: [] for name in self._schema.names}

    def add_failed(self, path: str, reason: NotScored) -> None:
        """Adds an image without scores."""
        self._add(path, error=str(reason))

    def add(self, path: str, scored: ScoredImage, embedding: LocalEmbedding) -> None:
        """Adds an image."""
        row: np.ndarray | None = embedding.row
        if not scored.scores:
            self._add(path, embedding=row)
        for score in scored.scores:
            own: dict[str, Any] = {name: getattr(score, name) for name in ("label", "logit", "sigmoid", "softmax")}
            if isinstance(score, TunedScore):
                own |= {"accepted": score.accepted, "probability": score.probability}
            self._add(path, embedding=row, **own)
            row = None

    def _add(self, path: str, **values: Any) -> None:
        for name, column in self._rows.items():
            column.append(values.get(name))
        self._rows["path"][-1] = path

    def content(self) -> bytes:
        """Returns the file."""
        import pyarrow
        from pyarrow.parquet import write_table

        texts = ("path", "label", "error")
        for name in texts:  # may have characters that are not UTF-8
            self._rows[name] = [text and printable(text) for text in self._rows[name]]
        content = BytesIO()
        write_table(pyarrow.Table.from_pydict(self._rows, self._schema), content, compression="zstd")
        return content.getvalue()
