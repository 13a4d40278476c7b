import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from pyarrow.parquet import read_table, write_table

from app.batch import BatchError
from app.batch.job import JobRequest, begin
from app.batch.scorer import Report, make_scorer
from app.inference.identity import model_fingerprint
from app.label_sets.definition import Calibration, LabelDefinition, TunedFor
from app.settings import Settings
from tests.app.batch.conftest import NUM_IMAGES, request_for
from tests.app.image_files import plain_image
from tests.fakes import INFO, FakeEncoder, embed

LABELS: list[Any] = ["cat", LabelDefinition(label="dog", prompts=["ein Hund"])]


def compute(request: JobRequest, encoder: FakeEncoder | None = None) -> list[Report]:
    job = begin(request)
    missing = [chunk for chunk in range(job.listing.num_chunks) if chunk not in job.done()]
    with make_scorer(request, encoder or FakeEncoder(), lambda stage: None) as scorer:
        return list(scorer.store_parts(job, missing))


def rows(folder: Path) -> list[dict[str, Any]]:
    return read_table(folder).to_pylist()


def test_every_image_has_the_scores_of_its_own_embedding_and_a_damaged_one_its_error(images, tmp_path):
    encoder = FakeEncoder()
    request = request_for(images, tmp_path / "out", LABELS, images_per_part=2, options={"top_k": None})
    reports = compute(request._replace(settings=Settings(max_batch=3), embeddings=True), encoder)
    assert [(report.chunk, report.num_images, report.num_failed) for report in reports] == [
        (0, 2, 0),
        (1, 2, 1),
        (2, 2, 0),
        (3, 1, 0),
    ]
    reason = "The PNG is truncated: the file ends before the image does."
    assert reports[1].failures == [f"{images}/3.png: {reason}"]
    found = rows(tmp_path / "out")
    assert [row["path"] for row in found] == [f"{images}/{n}.png" for n in range(NUM_IMAGES) for _ in "ab"[n == 3 :]]
    for row in found:
        number = int(row["path"][-5])
        if number == 3:
            assert (row["label"], row["error"]) == (None, reason)
            continue
        prompt = {"cat": "This is a photo of cat.", "dog": "ein Hund"}[row["label"]]
        assert row["logit"] == pytest.approx(encoder.logit(plain_image((number * 20, 40, 90)), prompt), abs=1e-4)
        if row["embedding"] is not None:
            expected = embed(encoder.preprocessor(plain_image((number * 20, 40, 90))))
            np.testing.assert_array_equal(np.float32(row["embedding"]), expected)
    assert max(encoder.image_batches) <= 3  # batches do not end with a part
    assert len(encoder.image_batches) == 3


def test_only_the_chunks_that_are_asked_for_are_computed(images, tmp_path):
    request = request_for(images, tmp_path / "out", images_per_part=2)
    compute(request)
    before = rows(tmp_path / "out")
    (tmp_path / "out/part-000001.parquet").unlink()
    encoder = FakeEncoder()
    assert [report.chunk for report in compute(request, encoder)] == [1]
    assert sum(encoder.image_batches) == 1
    assert rows(tmp_path / "out") == before
    assert compute(request, encoder) == []


def test_thresholds_and_calibrations_of_a_set_apply(images, tmp_path):
    calibration = Calibration(slope=1, intercept=0)
    labels = [LabelDefinition(label="cat", threshold=0.0), LabelDefinition(label="dog", threshold=None), "bird"]
    request = request_for(images, tmp_path / "out", labels, calibration=calibration, options={"top_k": None})
    compute(request)
    accepted = {(row["label"], row["accepted"]) for row in rows(tmp_path / "out") if row["label"]}
    assert accepted == {("cat", True), ("dog", False), ("bird", None)}
    row = rows(tmp_path / "out")[0]
    assert row["probability"] == pytest.approx(row["sigmoid"], rel=1e-5)


def test_what_was_tuned_for_another_model_is_not_used_and_a_warning_says_so(images, tmp_path):
    request = request_for(
        images, tmp_path / "out", threshold=0.5, tuned_for=TunedFor(model_fingerprint="1" * 64, texts="1" * 64)
    )
    with make_scorer(request, FakeEncoder(), lambda stage: None) as scorer:
        assert [warning.code for warning in scorer.warnings] == ["tuned_not_in_force"]
    compute(request)
    assert {row["accepted"] for row in rows(tmp_path / "out")} == {None}


def test_with_a_threshold_for_rows_every_image_has_a_row_all_the_same(images, tmp_path):
    compute(request_for(images, tmp_path / "out", options={"top_k": None, "threshold": 1.0}))
    assert [row["label"] for row in rows(tmp_path / "out")] == [None] * NUM_IMAGES


def test_a_part_says_which_model_computed_it(images, tmp_path):
    compute(request_for(images, tmp_path / "out"))
    fingerprint = model_fingerprint(INFO, Settings()).encode()
    metadata = read_table(tmp_path / "out/part-000000.parquet").schema.metadata
    assert metadata == {b"model_fingerprint": fingerprint, b"model": b"FakeSigLIP fake_8"}


def test_a_device_that_fails_ends_the_job_and_what_was_stored_stays(images, tmp_path):
    batches: list[int] = []

    def fail_at_third() -> None:
        batches.append(1)
        if len(batches) == 4:  # the first is of the labels
            raise MemoryError("out of memory")

    request = request_for(images, tmp_path / "out", images_per_part=2, settings=Settings(max_batch=2))
    with pytest.raises(BatchError, match="out of memory"):
        compute(request, FakeEncoder(before_batch=fail_at_third))
    stored = len(rows(tmp_path / "out"))
    assert 0 < stored < NUM_IMAGES
    compute(request)
    assert [row["path"] for row in rows(tmp_path / "out")] == [f"{images}/{n}.png" for n in range(NUM_IMAGES)]


def test_a_table_and_a_tar_file_of_the_same_images_have_the_same_scores(images, tmp_path):
    files = sorted(images.iterdir())
    table = {"image": [file.read_bytes() for file in files], "path": [str(file) for file in files]}
    write_table(pyarrow.table(table), tmp_path / "images.parquet", row_group_size=3)
    with tarfile.open(tmp_path / "images.tar", "w") as archive:
        for file in files:
            archive.add(file, file.name)
    found = []
    for given in (images, tmp_path / "images.parquet", tmp_path / "images.tar"):
        compute(request_for(given, tmp_path / f"out {given.name}", images_per_part=2))
        found.append([row | {"path": row["path"][-5:]} for row in rows(tmp_path / f"out {given.name}")])
    assert len(found[0]) == NUM_IMAGES
    assert found[0] == found[1] == found[2]
