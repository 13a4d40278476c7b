"""The rows of a request with embeddings: read from JSON or a .npy file, and checked.

They come from a client. Sizes are checked against the received bytes before memory is allocated, and nothing is
unpickled.
"""

from collections.abc import Sequence
from io import BytesIO
from typing import IO, Any, NamedTuple

import numpy as np

from app.errors import InvalidRequest, OtherEncoder
from app.inference.embeddings import LITTLE_ENDIAN_FLOAT32
from app.validation import parse_base64

MAX_SCORES = 1_000_000  # in one response
LENGTH_TOLERANCE = 1e-3  # float16 changes lengths by up to 0.0005
MAX_HEADER_CHARACTERS = 1_000  # of a .npy file; NumPy writes about 100


def check_fingerprint(theirs: str, ours: str) -> None:
    """Raises OtherEncoder if embeddings are not this encoder's."""
    if theirs != ours:
        raise OtherEncoder()


def check_num_scores(num_rows: int, num_labels: int, top_k: int | None) -> None:
    """Raises InvalidRequest if the response would have more than `MAX_SCORES` scores."""
    returned = min(num_labels, top_k or num_labels)
    if num_rows * returned > MAX_SCORES:
        raise InvalidRequest.at(
            "/top_k",
            f"{num_rows:,} embeddings with {returned:,} labels each are {num_rows * returned:,} scores; a response has "
            f"at most {MAX_SCORES:,}. Send a smaller top_k, or fewer embeddings.",
        )


def read_rows(rows: Sequence[Any], embed_dim: int) -> np.ndarray:
    """Returns the rows of a JSON body, [N, E] float32.

    Args:
        rows: Each is base64 of little-endian float32, or a list of numbers.
        embed_dim: E.

    Raises:
        InvalidRequest: A row is not an embedding of this width. The first such row is named.
    """
    found = []
    for index, row in enumerate(rows):
        try:
            values = decoded_row(row)
        except ValueError as error:
            raise row_error(index, str(error)) from None
        if len(values) != embed_dim:
            raise row_error(index, f"has {len(values):,} numbers; this model's embeddings have {embed_dim:,}")
        found.append(values)
    if not found:
        raise InvalidRequest.at("/embeddings", "There are no embeddings; send at least one.")
    return check_rows(np.stack(found))


def decoded_row(row: Any) -> np.ndarray:
    """Returns one row of a JSON body, float32.

    Raises:
        ValueError: It is neither base64 of float32 nor a list of numbers.
    """
    if isinstance(row, str):
        try:
            content = parse_base64(row)
        except ValueError as error:
            raise ValueError(f"{error}; send standard base64 of float32 numbers") from None
        if len(content) % 4:
            raise ValueError("is not base64 of float32 numbers, four bytes each")
        return np.frombuffer(content, LITTLE_ENDIAN_FLOAT32)
    if not isinstance(row, list) or not all(type(value) in (int, float) for value in row):
        raise ValueError("must be base64 of float32 numbers, or a list of numbers")
    try:
        with np.errstate(over="ignore"):  # becomes infinite, which `check_rows` refuses
            return np.array(row, np.float32)
    except OverflowError:  # a whole number with hundreds of digits
        raise ValueError("has a number that is too large") from None


class ArrayHeader(NamedTuple):
    """The header of a .npy file."""

    shape: tuple[int, ...]
    is_fortran: bool
    dtype: np.dtype[Any]


def read_header(file: IO[bytes]) -> ArrayHeader:
    """Returns the header of a .npy file. Afterwards the file is at its first value.

    Raises:
        ValueError: It is not a .npy file of version 1 or 2, or the header is damaged or too long.
    """
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        header = read[np.lib.format.read_magic(file)](file, max_header_size=MAX_HEADER_CHARACTERS)
    except Exception as error:  # NumPy parses the header as Python, which raises many kinds of errors
        raise ValueError(f"it has no .npy header: {error}") from error
    return ArrayHeader(*header)


def read_npy(body: bytes, embed_dim: int) -> np.ndarray:
    """Returns the rows of a .npy file, [N, E] float32.

    Args:
        body: The file: float16, float32 or float64, in any byte order, in C or Fortran order.
        embed_dim: E.

    Raises:
        InvalidRequest: It is not such a file, or its rows are not embeddings of this width.
    """
    file = BytesIO(body)
    try:
        shape, is_fortran, dtype = read_header(file)
    except ValueError:
        raise InvalidRequest("The body is not a .npy file. numpy.save writes one.") from None
    if dtype.kind != "f" or dtype.itemsize > 8:
        raise InvalidRequest("The .npy file must have the dtype float32, float16 or float64.")
    if len(shape) != 2 or shape[1] != embed_dim or shape[0] < 1:
        raise InvalidRequest(f"The .npy file must have the shape [N, {embed_dim}], with N at least 1.")
    expected_bytes, given_bytes = shape[0] * shape[1] * dtype.itemsize, len(body) - file.tell()
    if expected_bytes != given_bytes:
        raise InvalidRequest(
            f"The .npy file has {given_bytes:,} bytes of values; its shape and dtype need {expected_bytes:,}."
        )
    values = np.frombuffer(body, dtype, offset=file.tell()).reshape(shape, order="F" if is_fortran else "C")
    with np.errstate(over="ignore"):  # becomes infinite, which `check_rows` refuses
        return check_rows(np.ascontiguousarray(values, np.float32))


def check_rows(rows: np.ndarray, first: int = 0) -> np.ndarray:
    """Returns embeddings [N, E] float32 unchanged.

    Args:
        rows: The embeddings.
        first: The index of the first row, for errors.

    Raises:
        InvalidRequest: A row is not finite, or not L2-normalised. The first such row is named.
    """
    with np.errstate(all="ignore"):
        lengths = np.sqrt(np.vecdot(rows, rows))
        wrong = np.flatnonzero(~(np.abs(lengths - 1) <= LENGTH_TOLERANCE))  # also those that are NaN
    if not len(wrong):
        return rows
    index = int(wrong[0])
    if not np.isfinite(rows[index]).all():
        raise row_error(first + index, "has a value that is not finite")
    raise row_error(first + index, "is not L2-normalised: divide it by its length")


def row_error(index: int, fault: str) -> InvalidRequest:
    """Returns the error for one row. The pointer counts from 0, the sentence from 1."""
    return InvalidRequest.at(f"/embeddings/{index}", f"Embedding {index + 1:,} {fault}")
