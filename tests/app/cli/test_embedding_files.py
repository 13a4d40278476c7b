import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from app.cli import CommandError
from app.cli.embedding_files import EmbeddedFile, StoredModel, check_format, create, open_file

MODEL = StoredModel("f" * 64, "SigLIPBaseP16 google_224")
WIDTH = 8


def files(count: int) -> list[EmbeddedFile]:
    """Returns images with random embeddings of length 1."""
    rows = np.random.default_rng(0).standard_normal((count, WIDTH))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return [
        EmbeddedFile(f"photos/é {number}.jpg", f"{number:064x}", row.astype(np.float32))
        for number, row in enumerate(rows)
    ]


@pytest.fixture(params=[".npz", ".parquet"])
def path(request, tmp_path) -> Iterator[Path]:
    yield tmp_path / f"photos{request.param}"
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []  # no temporary file is left


def write(path: Path, images: list[EmbeddedFile]) -> None:
    with create(path, MODEL, WIDTH) as add:
        for image in images:
            add(image)


@pytest.mark.parametrize("size", [1, 3, 100])
def test_what_is_written_is_read_in_parts(path, size):
    images = files(10)
    write(path, images)
    with open_file(path) as file:
        assert (file.model, file.num_rows) == (MODEL, 10)
        parts = list(file.parts(size))
    assert [len(part.paths) for part in parts[:-1]] == [size] * (len(parts) - 1)
    assert [name for part in parts for name in part.paths] == [image.path for image in images]
    found = np.concatenate([part.rows for part in parts])
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [image.row for image in images])


def test_a_npz_file_is_readable_with_numpy(tmp_path):
    images = files(3)
    write(tmp_path / "a.npz", images)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as loaded:
        assert sorted(loaded) == ["embeddings", "model", "model_fingerprint", "paths", "sha256"]
        assert loaded["embeddings"].dtype == np.float32
        np.testing.assert_array_equal(loaded["embeddings"], [image.row for image in images])
        assert loaded["paths"].tolist() == [image.path for image in images]
        assert loaded["sha256"].tolist() == [image.sha256 for image in images]
        assert (str(loaded["model_fingerprint"]), str(loaded["model"])) == MODEL


def test_a_parquet_file_is_readable_with_pyarrow(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    images = files(3)
    write(tmp_path / "a.parquet", images)
    table = parquet.read_table(tmp_path / "a.parquet")
    assert table.column_names == ["path", "sha256", "embedding"]
    assert table["path"].to_pylist() == [image.path for image in images]
    assert table["sha256"].to_pylist() == [image.sha256 for image in images]
    np.testing.assert_array_equal(np.array(table["embedding"].to_pylist(), np.float32), [image.row for image in images])
    assert table.schema.metadata[b"model_fingerprint"].decode() == MODEL.model_fingerprint


def test_a_npz_file_of_numpy_is_read(tmp_path):
    images = files(5)
    np.savez_compressed(
        tmp_path / "own.npz",
        embeddings=np.array([image.row for image in images], np.float64),
        paths=[image.path for image in images],
        model_fingerprint=MODEL.model_fingerprint,
        model=MODEL.model,
    )
    with open_file(tmp_path / "own.npz") as file:
        (part,) = file.parts(100)
    np.testing.assert_array_equal(part.rows, [image.row for image in images])


def interrupt(path: Path, error: type[BaseException]) -> None:
    with create(path, MODEL, WIDTH) as add:
        add(files(1)[0])
        raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_interrupted_run_leaves_the_old_file_and_nothing_else(path, error):
    write(path, files(2))
    before = path.read_bytes()
    with pytest.raises(error):
        interrupt(path, error)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_new_file_appears_only_when_it_is_complete(path):
    with create(path, MODEL, WIDTH) as add:
        add(files(1)[0])
        assert not path.exists()
    assert path.exists()


@pytest.mark.parametrize("name", ["photos.npy", "photos", "photos.NPZ.gz"])
def test_a_file_of_another_format_is_refused(name):
    with pytest.raises(CommandError, match=r"ends in \.npz or \.parquet") as error:
        check_format(Path(name))
    assert error.value.status == 2


def test_without_pyarrow_a_parquet_file_is_refused_with_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # Python's own way to say that a package is not there
    check_format(Path("photos.npz"))
    with pytest.raises(CommandError, match=r"^\.parquet needs the package pyarrow: pip install pyarrow$") as error:
        check_format(Path("photos.parquet"))
    assert error.value.status == 2


def save(path: Path, **changes: object) -> None:
    rows = np.array([image.row for image in files(2)])
    arrays = {"embeddings": rows, "paths": ["a", "b"], "model_fingerprint": "0" * 64, "model": "a b"} | changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embeddings": None}, "is not a file of embeddings: There is no item named 'embeddings.npy' in the archive"),
        ({"model_fingerprint": None}, "There is no item named 'model_fingerprint.npy' in the archive"),
        ({"embeddings": np.eye(WIDTH)[0]}, r"embeddings must be floats of shape \[N, E\], in C order"),
        ({"embeddings": np.asfortranarray(np.eye(2, WIDTH))}, "in C order"),
        ({"embeddings": np.eye(2, WIDTH, dtype=int)}, "embeddings must be floats"),
        ({"paths": ["a"]}, "paths must be one text for each embedding"),
        ({"paths": [1, 2]}, "paths must be one text for each embedding"),
        ({"embeddings": np.eye(2, WIDTH) * [[1], [2]]}, "Embedding 2 is not L2-normalised"),
        ({"embeddings": np.full((2, WIDTH), np.nan)}, "Embedding 1 has a value that is not finite"),
    ],
)
def test_a_wrong_npz_file_is_an_error_with_its_own_message(tmp_path, changes, message):
    save(tmp_path / "wrong.npz", **changes)
    with pytest.raises(CommandError, match=message) as error, open_file(tmp_path / "wrong.npz") as file:
        list(file.parts(100))
    assert str(tmp_path / "wrong.npz") in str(error.value)
    assert error.value.status == 2


def test_damaged_and_missing_files_are_errors_with_their_own_message(tmp_path):
    for suffix in (".npz", ".parquet"):
        path = tmp_path / f"bad{suffix}"
        with pytest.raises(CommandError, match="No such file"), open_file(path):
            pass
        path.write_bytes(b"hello")
        with pytest.raises(CommandError, match="cannot be read: "), open_file(path):
            pass
    save(tmp_path / "bad.npz")
    content = bytearray((tmp_path / "bad.npz").read_bytes())
    with zipfile.ZipFile(tmp_path / "bad.npz") as archive:
        end = archive.getinfo("paths.npy").header_offset
    content[end - 8] ^= 1  # the last bit of the last number
    (tmp_path / "bad.npz").write_bytes(content)
    with (
        pytest.raises(CommandError, match=r"cannot be read: .*Bad CRC-32"),
        open_file(tmp_path / "bad.npz") as file,
    ):
        list(file.parts(100))


def test_a_parquet_file_of_something_else_is_refused(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"path": ["a"]}), tmp_path / "other.parquet")
    with pytest.raises(CommandError, match="is not a file of embeddings"), open_file(tmp_path / "other.parquet"):
        pass
