"""Files of image embeddings: what `siglip embed` writes, and `siglip classify --embeddings` reads.

| `.npz`, for `numpy.load`     | `.parquet`            | content                                       |
|------------------------------|-----------------------|-----------------------------------------------|
| `embeddings` [N, E] float32  | column `embedding`    | one row for each image, L2-normalised         |
| `paths` [N] text             | column `path`         | the image files                               |
| `sha256` [N] text            | column `sha256`       | the SHA-256 of each file, in hex              |
| `model_fingerprint`, `model` | the schema's metadata | the encoder: its fingerprint, and its name    |

Both are written and read in parts, so that memory does not grow with the number of images.
"""

import shutil
import tempfile
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from app.cli import MISTAKE, CommandError
from app.errors import ServiceError
from app.inference.embedding_rows import ArrayHeader, check_rows, read_header
from app.inference.embeddings import LITTLE_ENDIAN_FLOAT32
from app.observability.logs import printable

ROWS_AT_ONCE = 4_096  # in memory
NPZ, PARQUET = ".npz", ".parquet"


class StoredModel(NamedTuple):
    """The encoder that computed embeddings: its fingerprint, and its name for people."""

    model_fingerprint: str
    model: str


class EmbeddedFile(NamedTuple):
    """An image file, its SHA-256 in hex, and its embedding [E] float32."""

    path: str
    sha256: str
    row: np.ndarray


class EmbeddingPart(NamedTuple):
    """Some of the images of a file: N paths, and embeddings [N, E]."""

    paths: list[str]
    rows: np.ndarray


class EmbeddingFile(NamedTuple):
    """An open file. `parts(size)` yields its content in order, at most `size` images at a time."""

    model: StoredModel
    num_rows: int
    parts: Callable[[int], Iterator[EmbeddingPart]]


Add = Callable[[EmbeddedFile], None]


def check_format(path: Path) -> None:
    """Raises CommandError if the name has no known format, or the format needs a package that is not installed."""
    if path.suffix not in (NPZ, PARQUET):
        message = f"the name of a file of embeddings ends in {NPZ} or {PARQUET}"
        raise CommandError(f"{printable(str(path))}: {message}", MISTAKE)
    if path.suffix == PARQUET and not find_spec("pyarrow"):
        raise CommandError(f"{PARQUET} needs the package pyarrow: pip install pyarrow", MISTAKE)


@contextmanager
def create(path: Path, model: StoredModel, embed_dim: int) -> Iterator[Add]:
    """Yields a function that adds an image to a new file. The file gets its name at the end, and only without an error.

    Raises:
        OSError: It cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    write = write_parquet if path.suffix == PARQUET else write_npz
    try:
        with write(temporary, model, embed_dim) as add:
            yield add
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def write_npz(path: Path, model: StoredModel, embed_dim: int) -> Iterator[Add]:
    """Writes a .npz file. The rows wait in a temporary file, since the format begins with their number."""
    paths: list[str] = []
    digests: list[str] = []
    with tempfile.TemporaryFile(dir=path.parent) as rows:

        def add(file: EmbeddedFile) -> None:
            paths.append(file.path)
            digests.append(file.sha256)
            rows.write(file.row.astype(LITTLE_ENDIAN_FLOAT32).tobytes())

        yield add
        rows.seek(0)
        with zipfile.ZipFile(path, "x") as archive:
            with archive.open("embeddings.npy", "w", force_zip64=True) as member:
                write_header(member, LITTLE_ENDIAN_FLOAT32, (len(paths), embed_dim))
                shutil.copyfileobj(rows, member)
            for name, texts in (("paths", paths), ("sha256", digests)):
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    dtype = np.dtype(f"<U{max(map(len, texts), default=1)}")
                    write_header(member, dtype, (len(texts),))
                    for start in range(0, len(texts), ROWS_AT_ONCE):
                        member.write(np.array(texts[start : start + ROWS_AT_ONCE], dtype).tobytes())
            for name, text in model._asdict().items():
                with archive.open(f"{name}.npy", "w") as member:
                    np.lib.format.write_array(member, np.array(text, "<U"), allow_pickle=False)


def write_header(file: IO[bytes], dtype: np.dtype, shape: tuple[int, ...]) -> None:
    """Writes the header of a .npy file."""
    np.lib.format.write_array_header_1_0(file, {"descr": dtype.str, "fortran_order": False, "shape": shape})


@contextmanager
def write_parquet(path: Path, model: StoredModel, embed_dim: int) -> Iterator[Add]:
    """Writes a .parquet file."""
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    text, row = pyarrow.string(), pyarrow.list_(pyarrow.float32(), embed_dim)
    schema = pyarrow.schema({"path": text, "sha256": text, "embedding": row}, model._asdict())
    waiting: list[EmbeddedFile] = []

    def flush() -> None:
        values = np.stack([file.row for file in waiting]).astype(np.float32).ravel()
        arrays = [
            pyarrow.array([printable(file.path) for file in waiting]),  # a name may not be UTF-8
            pyarrow.array([file.sha256 for file in waiting]),
            pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(values), embed_dim),
        ]
        writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))
        waiting.clear()

    def add(file: EmbeddedFile) -> None:
        waiting.append(file)
        if len(waiting) == ROWS_AT_ONCE:  # one row group; many small ones are slow to read
            flush()

    with ParquetWriter(path, schema) as writer:
        yield add
        if waiting:
            flush()


@contextmanager
def open_file(path: Path) -> Iterator[EmbeddingFile]:
    """Yields an open file of embeddings. Its `parts` check each row.

    Raises:
        CommandError: It is not a file of embeddings, or it is damaged; also raised by `parts`.
    """
    check_format(path)

    def parts(size: int) -> Iterator[EmbeddingPart]:
        start = 0
        with as_file_error(path):
            for part in file.parts(size):
                check_rows(part.rows, start)
                yield part
                start += len(part.paths)

    with ExitStack() as stack:
        with as_file_error(path):
            file = (read_parquet if path.suffix == PARQUET else read_npz)(path, stack)
        yield file._replace(parts=parts)


@contextmanager
def as_file_error(path: Path) -> Iterator[None]:
    """Turns what is raised for a file that cannot be read into a CommandError."""
    name = printable(str(path))
    try:
        yield
    except OSError as error:
        raise CommandError(f"{name}: {error.strerror or error}", MISTAKE) from None
    except KeyError as error:
        raise CommandError(f"{name} is not a file of embeddings: {error.args[0]}", MISTAKE) from None
    except (ServiceError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise CommandError(f"{name} cannot be read: {error}", MISTAKE) from None


def read_npz(path: Path, stack: ExitStack) -> EmbeddingFile:
    """Returns an open .npz file; see `as_file_error` for what it raises."""
    archive = stack.enter_context(zipfile.ZipFile(path))
    names = (*StoredModel._fields, "embeddings", "paths")
    files = {name: stack.enter_context(archive.open(f"{name}.npy")) for name in names}
    headers = {name: read_header(file) for name, file in files.items()}

    def values(name: str, count: int) -> np.ndarray:
        return read_values(files[name], headers[name], count)

    shape = headers["embeddings"].shape
    if len(shape) != 2 or headers["embeddings"].dtype.kind != "f" or headers["embeddings"].is_fortran:
        raise ValueError("embeddings must be floats of shape [N, E], in C order")
    if headers["paths"].shape != shape[:1] or headers["paths"].dtype.kind != "U":
        raise ValueError("paths must be one text for each embedding")

    def parts(size: int) -> Iterator[EmbeddingPart]:
        for start in range(0, shape[0], size):
            count = min(size, shape[0] - start)
            yield EmbeddingPart(values("paths", count).tolist(), values("embeddings", count).astype(np.float32))

    model = StoredModel(*(str(values(name, 1)[0]) for name in StoredModel._fields))
    return EmbeddingFile(model, shape[0], parts)


def read_values(file: IO[bytes], header: ArrayHeader, count: int) -> np.ndarray:
    """Returns the next `count` elements along the first axis of a .npy file.

    Raises:
        ValueError: The file ends before them.
    """
    num_bytes = count * prod(header.shape[1:]) * header.dtype.itemsize
    content = file.read(num_bytes)
    if len(content) < num_bytes:
        raise ValueError("it ends too early")
    return np.frombuffer(content, header.dtype).reshape(count, *header.shape[1:])


def read_parquet(path: Path, stack: ExitStack) -> EmbeddingFile:
    """Returns an open .parquet file; see `as_file_error` for what it raises."""
    from pyarrow.parquet import ParquetFile

    file = stack.enter_context(ParquetFile(path))
    metadata = file.schema_arrow.metadata or {}
    model = StoredModel(*(metadata[name.encode()].decode() for name in StoredModel._fields))
    _ = file.schema_arrow.field("path"), file.schema_arrow.field("embedding")  # raises KeyError

    def parts(size: int) -> Iterator[EmbeddingPart]:
        for batch in file.iter_batches(size, columns=["path", "embedding"]):
            values = batch.column("embedding").flatten().to_numpy(zero_copy_only=False).astype(np.float32)
            yield EmbeddingPart(batch.column("path").to_pylist(), values.reshape(len(batch), -1))

    return EmbeddingFile(model, file.metadata.num_rows, parts)
