import os
from typing import Any

import pytest

from app.batch import BatchError, BatchMistake
from app.batch.job import Job, JobRequest, begin
from app.batch.parts import MAX_ROWS
from app.label_sets.definition import LabelDefinition
from app.settings import Settings
from model.config import CheckpointError
from model.text.tokenizer import SIGLIP_2
from tests.app.batch.conftest import NUM_IMAGES, request_for
from tests.golden.cases import NAFLEX
from tests.model.conftest import write_checkpoint


@pytest.fixture
def request_(images, tmp_path) -> JobRequest:
    return request_for(images, tmp_path / "out", images_per_part=2)


def test_a_job_begins_once_and_is_found_again_with_the_parts_that_are_stored(request_, tmp_path):
    job = begin(request_)
    assert (job.listing.num_images, job.listing.num_chunks, job.done()) == (NUM_IMAGES, 4, set())
    for name in ("part-000000.parquet", "part-000002.parquet", "part-000009.parquet", ".part-000001.parquet.x-1.tmp"):
        (tmp_path / "out" / name).touch()
    again = begin(request_)
    assert again.listing == job.listing
    assert again.done() == {0, 2}


def test_finishing_marks_the_job_and_removes_what_is_unfinished(request_, tmp_path):
    job = begin(request_)
    (tmp_path / "out/.part-000001.parquet.x-1.tmp").touch()
    job.finish()
    assert sorted(os.listdir(tmp_path / "out")) == ["_SUCCESS", "_job"]


DIFFERENT: dict[str, tuple[dict[str, Any], str]] = {
    "labels": ({"labels": ["cat", "bird"]}, 'labels, number 2: "dog" before, "bird" now'),
    "fewer labels": ({"labels": ["cat"]}, "labels: 2 before, 1 now"),
    "a threshold": ({"labels": ["cat", LabelDefinition(label="dog", threshold=0.5)]}, "label_set_version: "),
    "top_k": ({"options": {"top_k": 2}}, "top_k: 1 before, 2 now"),
    "threshold": ({"options": {"top_k": 1, "threshold": 0.5}}, "threshold: null before, 0.5 now"),
    "frame": ({"options": {"top_k": 1, "frame": 1}}, "frame: 0 before, 1 now"),
    "embeddings": ({"embeddings": True}, "embeddings: false before, true now"),
    "images_per_part": ({"images_per_part": 3}, "images_per_part: 2 before, 3 now"),
    "column": ({"column": "x"}, 'column: null before, "x" now'),
    "label_set": ({"label_set": "pets"}, 'label_set: null before, "pets" now'),
    "precision": ({"settings": Settings(dtype="bfloat16")}, 'precision: "exact" before, "bfloat16" now'),
    "colours": ({"settings": Settings(color_profiles="ignore")}, 'color_profiles: "convert" before, "ignore" now'),
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_another_job_in_the_same_folder_is_refused_and_the_difference_is_named(what, images, tmp_path, request_):
    begin(request_)
    fields, message = DIFFERENT[what]
    with pytest.raises(BatchMistake, match=r"^.*/out has the results of another job: ") as error:
        begin(request_for(images, tmp_path / "out", **({"images_per_part": 2} | fields)))
    assert f"another job: {message}" in str(error.value)
    assert "; " not in str(error.value)


def test_another_checkpoint_is_refused(images, tmp_path, request_):
    from model.published import EMBEDDED, EMBEDDED_DIRECTORY

    begin(request_)
    copy, original = tmp_path / "checkpoint", EMBEDDED_DIRECTORY / EMBEDDED[1]
    copy.mkdir()
    for path in original.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    request = request_for(images, tmp_path / "out", images_per_part=2, settings=Settings(weights=str(copy)))
    assert begin(request).listing.num_images == NUM_IMAGES  # a copy is the same checkpoint
    with (copy / "model.safetensors").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))
    with pytest.raises(BatchMistake, match=r"another job: checkpoint: \"\w+\" before, \"\w+\" now\. "):
        begin(request)


def test_another_number_of_patches_is_refused_and_the_default_may_be_given(images, tmp_path):
    checkpoint = write_checkpoint(tmp_path / "naflex", NAFLEX, rules=SIGLIP_2)

    def begun(max_num_patches: int | None) -> Job:
        settings = Settings(weights=str(checkpoint), max_num_patches=max_num_patches)
        return begin(request_for(images, tmp_path / "out", settings=settings))

    assert begun(None).listing == begun(256).listing
    with pytest.raises(BatchMistake, match="another job: max_num_patches: 256 before, 64 now"):
        begun(64)


def test_a_setting_that_the_checkpoint_does_not_have_begins_no_job(images, tmp_path):
    with pytest.raises(CheckpointError, match="this checkpoint has no max_num_patches"):
        begin(request_for(images, tmp_path / "out", settings=Settings(max_num_patches=64)))
    assert not (tmp_path / "out/_job/job.json").exists()


def test_another_input_and_a_changed_input_are_refused_unless_the_list_is_to_be_used(images, tmp_path, request_):
    job = begin(request_)
    with pytest.raises(BatchMistake, match="input, number 1: "):
        begin(request_for(images / "1.png", tmp_path / "out", images_per_part=2))
    (images / "9.png").touch()
    with pytest.raises(BatchMistake, match=r"the input has changed since the job was begun: .*/9\.png is new"):
        begin(request_)
    assert begin(request_, as_listed=True).listing == job.listing


def test_how_a_folder_is_written_does_not_matter(images, tmp_path, request_, monkeypatch):
    job = begin(request_)
    monkeypatch.chdir(tmp_path)
    assert begin(request_._replace(inputs=("images/",), out=f"file://{tmp_path}/out/")).listing == job.listing


def test_a_folder_with_other_files_and_a_folder_inside_the_input_are_refused(images, tmp_path, request_):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/notes.txt").touch()
    with pytest.raises(BatchMistake, match=r"out has other files, such as notes\.txt: name a new or an empty folder"):
        begin(request_)
    with pytest.raises(BatchMistake, match=r"images/out is inside the input .*/images: name a folder outside of it"):
        begin(request_._replace(out=f"{images}/out"))


def test_a_job_that_was_killed_while_its_images_were_listed_begins_again(request_, tmp_path):
    (tmp_path / "out/_job/0123").mkdir(parents=True)
    (tmp_path / "out/_job/0123/000000.parquet").write_bytes(b"half")
    assert begin(request_).listing.num_images == NUM_IMAGES


def test_a_damaged_job_file_and_one_of_another_version_are_errors(request_, tmp_path):
    begin(request_)
    path = tmp_path / "out/_job/job.json"
    content = path.read_text()
    path.write_text(content.replace('"format": 1', '"format": 2'))
    with pytest.raises(BatchMistake, match="a job of another version of this program"):
        begin(request_)
    path.write_text(content[:20])
    with pytest.raises(BatchError, match=r"_job/job\.json is damaged"):
        begin(request_)


@pytest.mark.parametrize(("num_labels", "top_k", "expected"), [(3, None, 1_000), (1_000, None, 100), (1_000, 1, 1_000)])
def test_the_rows_of_a_part_are_limited(images, tmp_path, num_labels, top_k, expected):
    labels = [f"label {number}" for number in range(num_labels)]
    request = request_for(images, tmp_path / "out", labels, options={"top_k": top_k})
    assert request.chunk_size == expected
    assert request.chunk_size * min(top_k or num_labels, num_labels) <= MAX_ROWS


def test_examples_without_embeddings_are_refused_before_anything_is_stored(images, tmp_path):
    labels = [LabelDefinition(label="cat", examples=["aGk="]), "dog"]
    with pytest.raises(BatchMistake, match="examples without embeddings"):
        begin(request_for(images, tmp_path / "out", labels))
    assert not (tmp_path / "out").exists()
