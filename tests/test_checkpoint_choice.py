"""The table that compares checkpoints."""

import pytest

from benchmarks.checkpoint_choice import num_parameters
from benchmarks.measured import read
from model.checkpoint.safetensors_files import read_tensor, tensor_files
from model.published import EMBEDDED, EMBEDDED_DIRECTORY, VARIANTS

HEADER_BYTES = 200_000  # at most, of a safetensors file


def test_the_number_of_parameters_is_that_of_the_embedded_checkpoint() -> None:
    variant, weights = EMBEDDED
    files = tensor_files(EMBEDDED_DIRECTORY / weights)
    stored = sum(read_tensor(path, name).size for name, path in files.items())
    assert num_parameters(VARIANTS[variant][weights].config) == stored


@pytest.mark.parametrize("row", read("load_memory")["rows"], ids=lambda row: row["variant"])
def test_the_number_of_parameters_is_that_of_full_size_files(row: dict) -> None:
    tensors_bytes = 4 * num_parameters(VARIANTS[row["variant"]][row["weights"]].config)
    assert 0 < row["file_bytes"] - tensors_bytes < HEADER_BYTES
