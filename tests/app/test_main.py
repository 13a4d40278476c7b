import logging
import subprocess
import sys
import threading
from dataclasses import replace

import pytest

from app.inference.engine import FAILED
from app.main import create_app
from app.settings import Settings
from model.config import CheckpointError
from tests.fakes import INFO, FakeEncoder

pytestmark = pytest.mark.anyio


def refuse() -> None:
    raise CheckpointError("the checkpoint\nis broken")


@pytest.mark.parametrize("stage", ["before_warm_up", "before_self_test"])
async def test_a_failed_load_is_logged_in_one_line_and_ends_the_process(caplog, tmp_path, stage):
    ended = threading.Event()
    app = create_app(Settings(data_dir=tmp_path), FakeEncoder(**{stage: refuse}), ended.set)
    with caplog.at_level(logging.INFO, "app"):
        async with app.router.lifespan_context(app):
            await app.state.loading
    assert ended.is_set()
    assert [record.message for record in caplog.records] == ["cannot start: the checkpoint is broken"]
    assert caplog.records[0].exc_info is None


async def test_a_load_that_fails_for_an_unknown_reason_is_logged_with_a_traceback(caplog, tmp_path):
    def fail() -> None:
        {}["x"]

    ended = threading.Event()
    app = create_app(Settings(data_dir=tmp_path), FakeEncoder(before_warm_up=fail), ended.set)
    async with app.router.lifespan_context(app):
        await app.state.loading
    assert ended.is_set()
    (record,) = caplog.records
    assert record.message == "cannot start"
    assert record.exc_info
    assert record.exc_info[0] is KeyError


async def test_an_invalid_label_set_file_is_logged_in_one_line_and_ends_the_process(caplog, tmp_path):
    (tmp_path / "zoo.txt").write_text("cat\n" + "x" * 300)
    ended = threading.Event()
    app = create_app(Settings(data_dir=tmp_path / "data", label_sets_dir=tmp_path), FakeEncoder(), ended.set)
    async with app.router.lifespan_context(app):
        await app.state.loading
        assert app.state.engine.stage == FAILED
    assert ended.is_set()
    assert [record.message for record in caplog.records] == [
        f"cannot start: {tmp_path}/zoo.txt, line 2: label 2 has 300 characters; it must have 1 to 256"
    ]


@pytest.mark.parametrize("demonstration", [False, True])
async def test_the_start_logs_the_model_and_a_warning_for_the_demonstration(caplog, tmp_path, demonstration):
    app = create_app(Settings(data_dir=tmp_path), FakeEncoder(info=replace(INFO, demonstration=demonstration)))
    with caplog.at_level(logging.INFO, "app"):
        async with app.router.lifespan_context(app):
            await app.state.loading
    assert caplog.records[0].message == "ready: FakeSigLIP fake_8 on CPU, tensorflow, float32"
    assert ("not a photo classifier" in caplog.text) == demonstration


def test_the_app_is_imported_without_tensorflow_or_keras():
    check = "import sys, app.main, app.__main__; assert not {'tensorflow', 'keras'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True)
