"""How the file is made and opened: with the sets of the old folder, and where nothing can be written."""

import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app.label_sets.definition import LabelSetDefinition, check_label_set
from app.label_sets.definition_text import definition_text
from app.label_sets.sqlite_store import SQLiteStore
from app.label_sets.sqlite_tables import FILE, open_file, open_read_only
from app.label_sets.store import StoreError
from tests.app.label_sets.test_old_folder import CAT, write_old

TUNED = check_label_set(LabelSetDefinition(labels=["dog"], threshold=0.5), 1)


def sets(connection: sqlite3.Connection) -> dict[str, str]:
    return dict(connection.execute("SELECT name, text FROM label_sets").fetchall())


def old_files(data_dir: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in data_dir.rglob("*.*") if not path.name.startswith(FILE)}


def test_the_sets_of_the_old_folder_are_imported_once_and_kept(tmp_path, caplog):
    write_old(tmp_path, "pets", CAT)
    write_old(tmp_path, "tuned", TUNED)
    before = old_files(tmp_path)
    with caplog.at_level("INFO", "app"), closing(open_file(tmp_path)) as connection:
        assert sets(connection) == {"pets": definition_text(CAT), "tuned": definition_text(TUNED)}
        found = connection.execute("SELECT encoder, texts FROM embeddings").fetchall()
        assert sorted(found) == sorted([("encoder", CAT.texts_digest), ("encoder", TUNED.texts_digest)])
        connection.execute("DELETE FROM label_sets WHERE name = 'pets'")
    assert "2 label sets were imported from" in caplog.text
    write_old(tmp_path, "later", CAT)
    with closing(open_file(tmp_path)) as connection:
        assert sets(connection).keys() == {"tuned"}
    assert before.items() <= old_files(tmp_path).items()


def test_an_import_that_fails_leaves_no_store(tmp_path):
    """Only a complete import counts as one."""
    write_old(tmp_path, "pets", CAT)
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        connection.execute("CREATE TABLE label_sets (other TEXT)")
    with pytest.raises(sqlite3.OperationalError, match="already exists"):
        open_file(tmp_path)
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (0,)
        assert connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall() == [("label_sets",)]


def test_where_nothing_can_be_written_the_old_folder_is_read(tmp_path):
    write_old(tmp_path, "pets", CAT)
    with closing(open_read_only(tmp_path)) as connection:
        assert sets(connection) == {"pets": definition_text(CAT)}
    assert not (tmp_path / FILE).exists()
    with closing(open_read_only(tmp_path / "none")) as connection:
        assert sets(connection) == {}


def test_where_nothing_can_be_written_the_file_is_read(tmp_path):
    write_old(tmp_path, "pets", CAT)
    open_file(tmp_path).close()
    with closing(open_read_only(tmp_path)) as connection:
        assert sets(connection) == {"pets": definition_text(CAT)}
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("DELETE FROM label_sets")


def test_a_file_without_tables_is_an_error_where_nothing_can_be_written(tmp_path):
    (tmp_path / FILE).touch()
    with pytest.raises(sqlite3.OperationalError):
        open_read_only(tmp_path)


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Callable[[Path], Path]]:
    """Mounts a folder once more, read-only, and returns where."""
    mounted = []

    def mount(folder: Path) -> Path:
        point = tmp_path / f"mounted-{len(mounted)}"
        point.mkdir()
        for options in (["--bind", str(folder), str(point)], ["-o", "remount,ro,bind", str(point)]):
            if subprocess.run(["mount", *options], capture_output=True, check=False).returncode:
                pytest.skip("needs the right to mount a folder")
        mounted.append(point)
        return point

    yield mount
    for point in mounted:
        subprocess.run(["umount", str(point)], check=True)


@pytest.mark.anyio
async def test_on_a_read_only_file_system_the_sets_are_read_with_and_without_a_log(tmp_path, read_only):
    written = SQLiteStore(tmp_path / "data")
    await written.open()
    await written.change("pets", "{}", 0)
    shutil.copytree(tmp_path / "data", tmp_path / "killed")
    shutil.copytree(tmp_path / "data", tmp_path / "half", ignore=shutil.ignore_patterns("*-shm"))
    await written.close()
    for folder in ("data", "killed"):
        store = SQLiteStore(read_only(tmp_path / folder))
        await store.open()
        assert "Read-only file system" in (store.fault or "")
        assert (await store.versions()).sets.keys() == {"pets"}
        await store.close()
    with pytest.raises(StoreError, match="has changes that cannot be read in a read-only folder"):
        await SQLiteStore(read_only(tmp_path / "half")).open()


@pytest.mark.anyio
async def test_a_file_with_a_log_that_a_killed_process_has_left_is_read_as_a_whole(tmp_path):
    store = SQLiteStore(tmp_path / "data")
    await store.open()
    await store.change("pets", "{}", 0)
    shutil.copytree(tmp_path / "data", tmp_path / "copy")  # as a kill leaves it
    await store.close()
    assert (tmp_path / "copy" / f"{FILE}-wal").stat().st_size > 0
    with closing(open_read_only(tmp_path / "copy")) as connection:
        assert sets(connection) == {"pets": "{}"}
