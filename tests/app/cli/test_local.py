import numpy as np
import pytest

from app.batch.classifiers import text_classifiers
from app.batch.files import ImageFile, NotScored
from app.cli import CommandError
from app.cli.local import embed_definition, results_of_model
from app.label_sets.definition import LabelDefinition, LabelSetDefinition
from app.schemas import ClassifyOptions, ScoredImage
from app.settings import Settings
from tests.app.image_files import encoded, plain_image
from tests.fakes import BIAS, FakeEncoder

SETTINGS = Settings(max_batch=4)
COLOURS = [(number * 20, 40, 90) for number in range(9)]


@pytest.fixture
def files(tmp_path) -> list[ImageFile]:
    """Nine images, of which the fourth is damaged, and a text file."""
    for number, colour in enumerate(COLOURS):
        (tmp_path / f"{number}.png").write_bytes(encoded(plain_image(colour))[: 50 if number == 3 else None])
    (tmp_path / "notes.txt").write_text("hello")
    return [ImageFile(str(tmp_path / name)) for name in (*(f"{number}.png" for number in range(9)), "notes.txt")]


def classes_of(encoder: FakeEncoder, definition: LabelSetDefinition) -> np.ndarray:
    stages: list[str] = []
    classes = embed_definition(encoder, SETTINGS, definition, stages.append)
    assert stages[0].startswith("labels, 0 of ")
    return classes


def test_every_image_gets_its_own_scores_in_order_even_next_to_bad_files(files):
    encoder = FakeEncoder()
    options = ClassifyOptions(labels=["cat"])
    definition = LabelSetDefinition(labels=["cat"], templates=["a {}"])
    classes = text_classifiers(classes_of(encoder, definition), BIAS)
    results = list(results_of_model(encoder, SETTINGS, files, classes, options))
    assert [path for path, _ in results] == [file.path for file in files]
    for number, (_, result) in enumerate(results):
        if number == 3:
            assert str(result) == "The PNG is truncated: the file ends before the image does."
        elif number == 9:
            assert str(result).startswith("The file is not an image in an accepted format.")
        else:
            assert isinstance(result, ScoredImage)
            expected = encoder.logit(plain_image(COLOURS[number]), "a cat")
            assert result.scores[0].logit == pytest.approx(expected, abs=1e-5)
    assert max(encoder.image_batches) <= SETTINGS.max_batch
    assert sum(encoder.image_batches) == 8


def test_bad_files_alone_do_not_use_the_device(files):
    encoder = FakeEncoder()
    classes = text_classifiers(np.zeros((1, 32)), BIAS)
    results = list(results_of_model(encoder, SETTINGS, files[3:4], classes, ClassifyOptions(labels=["cat"])))
    assert [type(result) for _, result in results] == [NotScored]
    assert encoder.image_batches == []


def test_labels_are_embedded_in_batches_and_each_is_the_mean_of_its_own_prompts():
    encoder = FakeEncoder()
    labels = [f"label {number}" for number in range(5)]
    own = LabelDefinition(label="dog", prompts=["ein Hund", "un chien", "a dog"])
    definition = LabelSetDefinition(labels=[*labels, own], templates=["a {}"])
    classes = classes_of(encoder, definition)
    assert encoder.text_batches == [4, 4]
    expected = encoder.encode_texts(encoder.prepare_text(own.prompts)).mean(axis=0)
    np.testing.assert_allclose(classes[5], expected / np.linalg.norm(expected), rtol=1e-5)
    np.testing.assert_array_equal(classes[2], encoder.encode_texts(encoder.prepare_text(["a label 2"]))[0])


def test_a_device_error_ends_the_command():
    def fail() -> None:
        raise MemoryError("OOM when allocating\nand much more")

    with pytest.raises(CommandError, match=r"cannot compute a batch of 1, .*: OOM when allocating$"):
        classes_of(FakeEncoder(before_batch=fail), LabelSetDefinition(labels=["cat"]))
