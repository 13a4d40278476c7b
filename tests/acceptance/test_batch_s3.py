"""`siglip batch` with inputs and results in S3: moto's server, over real HTTP."""

import os
import signal
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow
import pytest
import s3fs
from pyarrow.parquet import write_table

from tests.acceptance.batch_jobs import check_complete, finish, result, start, write_images

# In an environment of its own: it needs older versions of packages than the service.
MOTO = Path(sys.prefix) / "s3/bin/moto_server"
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, str]]:
    """Yields the variables with which clients use the server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [MOTO, "-H", "127.0.0.1", "-p", str(port)], env=os.environ | KEYS, stderr=subprocess.DEVNULL
    )
    while True:
        assert process.poll() is None, "the server has ended"
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    yield KEYS | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
    process.terminate()
    process.wait()


@pytest.fixture(scope="module")
def store(server) -> s3fs.S3FileSystem:
    fs = s3fs.S3FileSystem(key="test", secret="test", endpoint_url=server["AWS_ENDPOINT_URL"], use_listings_cache=False)
    fs.mkdir("data")
    return fs


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    return write_images(tmp_path_factory.mktemp("s3") / "images", 120)


def test_a_job_in_s3_is_killed_and_resumed_and_nothing_but_its_parts_appears(images, server, store):
    store.put(str(images), "data/images", recursive=True)
    arguments = ["s3://data/images", "--out", "s3://data/out", "--labels", "cat", "dog", "--images-per-part", "10"]
    process = start(*arguments, **server)
    while not store.glob("data/out/part-*"):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    stored = store.ls("data/out", detail=False)
    assert len(stored) < 13
    assert all(path.startswith(("data/out/part-", "data/out/_job")) for path in stored)
    finish(start(*arguments, **server))
    check_complete(result("data/out", store), 120)
    parts = written(store)
    assert len(parts) == 12
    assert "complete before, 120 images in 12 parts" in finish(start(*arguments, **server))
    assert written(store) == parts
    store.pipe_file("data/images/9999.png", b"")
    refused = start(*arguments, **server)
    assert "s3://data/images/9999.png is new" in refused.communicate()[1]
    assert refused.returncode == 2


def written(store: s3fs.S3FileSystem) -> dict[str, object]:
    """Returns when each part was written."""
    found = store.find("data/out", detail=True).items()
    return {path: info["LastModified"] for path, info in found if "part-" in path}


def test_tar_files_tables_and_lists_in_s3_give_the_same_scores(images, server, store, tmp_path):
    files = sorted(images.iterdir())
    with tarfile.open(tmp_path / "images.tar", "w") as archive:
        for file in files:
            archive.add(file, file.name)
    write_table(
        pyarrow.table({"image": [file.read_bytes() for file in files], "path": [file.name for file in files]}),
        tmp_path / "images.parquet",
        row_group_size=50,
    )
    (tmp_path / "list.txt").write_text("".join(f"listed/{file.name}\n" for file in files))
    store.put(str(images), "data/listed", recursive=True)
    scores = []
    for name in ("images.tar", "images.parquet", "list.txt"):
        store.put_file(str(tmp_path / name), f"data/{name}")
        out = tmp_path / f"out of {name}"
        finish(start(f"s3://data/{name}", "--out", out, "--labels", "cat", "dog", "--embeddings", **server))
        table = result(out)
        check_complete(table, 120)
        scores.append(table.drop_columns("path"))
    assert scores[0].equals(scores[1])
    assert scores[0].equals(scores[2])


def test_a_bucket_that_does_not_exist_ends_the_command_with_its_name(images, server):
    process = start(images, "--out", "s3://nowhere/out", "--labels", "cat", **server)
    _, errors = process.communicate()
    assert process.returncode == 1
    assert "s3://nowhere/out" in errors
    assert "Traceback" not in errors
