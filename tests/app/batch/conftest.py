"""What all tests of jobs need."""

from pathlib import Path
from typing import Any

import pytest

from app.batch.job import JobRequest
from app.label_sets.definition import LabelSetDefinition
from app.schemas import ClassifyOptions
from app.settings import Settings
from tests.app.image_files import encoded, plain_image

NUM_IMAGES = 7


@pytest.fixture
def images(tmp_path) -> Path:
    """A folder with seven images of different colours, of which the fourth is damaged."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(NUM_IMAGES):
        content = encoded(plain_image((number * 20, 40, 90)))
        (folder / f"{number}.png").write_bytes(content[: 50 if number == 3 else None])
    return folder


def request_for(given: Path, out: Path, labels: list[Any] | None = None, **fields: Any) -> JobRequest:
    """Returns a job over one input."""
    members = {name: fields.pop(name) for name in ("threshold", "calibration", "tuned_for") if name in fields}
    definition = LabelSetDefinition(labels=labels or ["cat", "dog"], **members)
    options = ClassifyOptions(labels=definition.names, **fields.pop("options", {"top_k": 1}))
    return JobRequest((str(given),), str(out), definition, options, fields.pop("settings", Settings()), **fields)
