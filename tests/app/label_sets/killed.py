"""Processes that tests kill with SIGKILL. A fork server has imported everything, so they start in milliseconds."""

import asyncio
import itertools
import multiprocessing
import socket
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import uvicorn

from app.label_sets.class_embeddings import embeddings_content
from app.label_sets.definition import LabelSetDefinition
from app.label_sets.definition_text import definition_text
from app.label_sets.sqlite_store import SQLiteStore
from app.label_sets.store import Embeddings
from app.main import create_app
from app.settings import Settings
from tests.fakes import EMBED_DIM, FakeEncoder

# "forkserver" and not "fork": the test process has threads, and a fork would copy locks that they hold.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([__name__])

ANIMALS = LabelSetDefinition(labels=[f"animal {i}" for i in range(200)])
PLANTS = LabelSetDefinition(labels=[f"plant {i}" for i in range(150)], templates=["a {}"])


def embeddings(definition: LabelSetDefinition) -> np.ndarray:
    """Returns embeddings [K, E] that differ for each definition."""
    values = np.random.default_rng(int(definition.digest, 16)).standard_normal((len(definition.labels), EMBED_DIM))
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


def write_forever(data_dir: Path, written: Connection) -> None:
    """Writes two definitions in turn under one name, until it is killed. Sends an empty message before each write."""

    async def write() -> None:
        store = SQLiteStore(data_dir)
        await store.open()
        revision = (await store.versions()).sets.get("zoo", 0)
        for definition in itertools.cycle((ANIMALS, PLANTS)):
            written.send_bytes(b"")
            content = embeddings_content(embeddings(definition))
            kept = Embeddings("encoder", definition.texts_digest, content)
            revision = await store.change("zoo", definition_text(definition), revision, kept)

    asyncio.run(write())


def serve(data_dir: Path, listener: socket.socket) -> None:
    """Serves on a socket that the parent process keeps open after this process has ended."""
    app = create_app(Settings(data_dir=data_dir), FakeEncoder())
    uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, ws="none")).run([listener])
