import base64
import warnings
from contextlib import suppress
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import InvalidRequest, OtherEncoder
from app.inference.embedding_rows import (
    MAX_SCORES,
    check_fingerprint,
    check_num_scores,
    check_rows,
    read_header,
    read_npy,
    read_rows,
)

WIDTH = 8


def unit_rows(count: int, dtype: str = "float32") -> np.ndarray:
    """Returns random rows of length 1, [count, WIDTH]."""
    rows = np.random.default_rng(0).standard_normal((count, WIDTH))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(dtype)


def npy(array: np.ndarray, version: tuple[int, int] | None = None) -> bytes:
    file = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.lib.format.write_array(file, array, version=version, allow_pickle=True)
    return file.getvalue()


def text(row: np.ndarray) -> str:
    return base64.b64encode(row.astype("<f4").tobytes()).decode()


def test_rows_may_be_base64_or_lists_also_mixed():
    rows = unit_rows(3)
    read = read_rows([text(rows[0]), rows[1].tolist(), text(rows[2])], WIDTH)
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, rows)


def test_whole_numbers_are_numbers():
    np.testing.assert_array_equal(read_rows([[1] + [0] * 7], WIDTH), np.eye(WIDTH, dtype=np.float32)[:1])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("not base64!", "Embedding 2 is not base64; send standard base64 of float32 numbers."),
        ("AAA=", "Embedding 2 is not base64 of float32 numbers, four bytes each."),
        ("", "Embedding 2 has 0 numbers; this model's embeddings have 8."),
        (text(unit_rows(1)[0][:7]), "Embedding 2 has 7 numbers; this model's embeddings have 8."),
        ([0.5] * 9, "Embedding 2 has 9 numbers; this model's embeddings have 8."),
        ([True] + [0] * 7, "Embedding 2 must be base64 of float32 numbers, or a list of numbers."),
        ([[1.0]] * 8, "Embedding 2 must be base64 of float32 numbers, or a list of numbers."),
        (1.0, "Embedding 2 must be base64 of float32 numbers, or a list of numbers."),
        (None, "Embedding 2 must be base64 of float32 numbers, or a list of numbers."),
        ([10**400] + [0] * 7, "Embedding 2 has a number that is too large."),
        ([1e300] + [0] * 7, "Embedding 2 has a value that is not finite."),
        (text(np.full(WIDTH, np.nan)), "Embedding 2 has a value that is not finite."),
        (text(np.zeros(WIDTH)), "Embedding 2 is not L2-normalised: divide it by its length."),
        (text(2 * unit_rows(1)[0]), "Embedding 2 is not L2-normalised: divide it by its length."),
        ([1e30] * WIDTH, "Embedding 2 is not L2-normalised: divide it by its length."),
    ],
)
def test_a_wrong_row_is_named(row, message):
    with pytest.raises(InvalidRequest) as error:
        read_rows([text(unit_rows(1)[0]), row], WIDTH)
    assert error.value.detail == message
    assert error.value.faults[0].pointer == "/embeddings/1"


def test_at_least_one_row_is_needed():
    with pytest.raises(InvalidRequest, match="There are no embeddings; send at least one"):
        read_rows([], WIDTH)


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", ">f8", "<f2", ">f2"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_a_npy_file_of_any_float_and_order_is_read(dtype, order, version):
    rows = unit_rows(5).astype(dtype)
    read = read_npy(npy(np.asarray(rows, order=order), version), WIDTH)
    assert read.dtype == np.float32
    assert read.flags.c_contiguous
    np.testing.assert_array_equal(read, rows.astype(np.float32))


NAMES = np.array(["cat", object()], dtype=object)
GOOD = npy(unit_rows(2))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "The body is not a .npy file"),
        (b"PK\x03\x04 a .npz file", "The body is not a .npy file"),
        (GOOD[:20], "The body is not a .npy file"),
        (npy(unit_rows(2), (3, 0)), "The body is not a .npy file"),
        (GOOD.replace(b"'descr'", b"'decsr'"), "The body is not a .npy file"),
        (GOOD.replace(b"(2, 8)", b"2 ** 8"), "The body is not a .npy file"),
        (npy(np.array(["cat"] * 8, dtype=object)), "must have the dtype float32, float16 or float64"),
        (npy(np.ones((2, WIDTH), np.int32)), "must have the dtype float32, float16 or float64"),
        (npy(np.ones((2, WIDTH), np.complex64)), "must have the dtype float32, float16 or float64"),
        (npy(np.ones((2, WIDTH), np.longdouble)), "must have the dtype float32, float16 or float64"),
        (npy(np.ones(2, [("row", np.float32, WIDTH)])), "must have the dtype float32, float16 or float64"),
        (npy(unit_rows(1)[0]), r"must have the shape \[N, 8\], with N at least 1"),
        (npy(unit_rows(2)[:, :7]), r"must have the shape \[N, 8\]"),
        (npy(unit_rows(0)), r"must have the shape \[N, 8\], with N at least 1"),
        (GOOD[:-1], "has 63 bytes of values; its shape and dtype need 64"),
        (GOOD + b"\0", "has 65 bytes of values; its shape and dtype need 64"),
        (GOOD.replace(b"(2, 8)", b"(9, 8)"), "has 64 bytes of values; its shape and dtype need 288"),
        (GOOD.replace(b"(2, 8), }         ", b"(999999999, 8), } "), "its shape and dtype need 31,999,999,968"),
        (npy(3 * unit_rows(2)), "Embedding 1 is not L2-normalised"),
        (npy(np.full((1, WIDTH), np.inf)), "Embedding 1 has a value that is not finite"),
        (npy(np.full((1, WIDTH), 1e200)), "Embedding 1 has a value that is not finite"),
    ],
)
def test_another_body_is_refused_without_allocating_what_it_claims(body, message):
    with pytest.raises(InvalidRequest, match=message):
        read_npy(body, WIDTH)


def test_a_pickle_is_never_read():
    class Trap:
        def __reduce__(self):
            return pytest.fail, ("unpickled",)

    with pytest.raises(InvalidRequest, match="must have the dtype"):
        read_npy(npy(np.array([Trap()] * 8, dtype=object)), WIDTH)


@settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(st.binary(max_size=120), st.integers(0, 127))
def test_any_damaged_header_is_an_error_of_ours(noise, place):
    body = GOOD[:place] + noise + GOOD[place + len(noise) :]
    with suppress(InvalidRequest):
        read_npy(body, WIDTH)


def test_a_header_that_is_too_long_is_refused():
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 8), }" + b" " * 2_000 + b"\n"
    file = BytesIO(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(64))
    with pytest.raises(ValueError, match=r"it has no \.npy header"):
        read_header(file)


def test_rows_of_float16_are_normalised_enough():
    check_rows(unit_rows(1_000, "float16").astype(np.float32))


def test_an_error_counts_rows_from_the_first_one():
    with pytest.raises(InvalidRequest, match=r"^Embedding 103 is not L2-normalised"):
        check_rows(np.stack([*unit_rows(2), np.zeros(WIDTH, np.float32)]), first=100)


def test_only_the_same_fingerprint_is_accepted():
    check_fingerprint("a" * 64, "a" * 64)
    with pytest.raises(OtherEncoder):
        check_fingerprint("a" * 64, "b" * 64)


@pytest.mark.parametrize(("rows", "labels", "top_k"), [(1_000, 1_000, None), (100_000, 1_000, 10), (100, 10_000, 99)])
def test_a_response_may_have_a_million_scores(rows, labels, top_k):
    assert rows * min(labels, top_k or labels) <= MAX_SCORES
    check_num_scores(rows, labels, top_k)


@pytest.mark.parametrize(
    ("rows", "labels", "top_k", "message"),
    [
        (1_001, 1_000, None, "1,001 embeddings with 1,000 labels each are 1,001,000 scores; a response has at most "),
        (100_000, 1_000, 11, "100,000 embeddings with 11 labels each are 1,100,000 scores"),
        (1_001, 1_000, 5_000, "1,001 embeddings with 1,000 labels each"),
    ],
)
def test_more_scores_need_a_top_k(rows, labels, top_k, message):
    with pytest.raises(InvalidRequest, match=message) as error:
        check_num_scores(rows, labels, top_k)
    assert error.value.faults[0].pointer == "/top_k"
