"""SigLIPProcessor: texts, arrays, Pillow images and files to model inputs."""

import numpy as np
import pytest
from PIL import Image

from model.config import CheckpointError
from model.patches import NaFlexPreprocessor
from model.preprocess import BILINEAR, resize
from model.processor import SigLIPProcessor
from model.text.tokenizer import SIGLIP_2
from tests.golden.cases import NAFLEX
from tests.model.conftest import VOCABULARY, write_checkpoint

RGB = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def processor(checkpoint) -> SigLIPProcessor:
    return SigLIPProcessor(weights=checkpoint)


def test_image_size_and_context_length_come_from_the_checkpoint(processor, checkpoint):
    assert processor.preprocessor.image_size == (32, 32)
    assert processor(text="a cat")["input_ids"].shape == (1, 16)
    assert SigLIPProcessor(weights=str(checkpoint), image_size=(8, 24))(images=RGB)["images"].shape == (1, 8, 24, 3)


def test_siglip_2_uses_the_bilinear_filter_and_its_padding_token(checkpoint_2):
    processor = SigLIPProcessor(weights=checkpoint_2)
    inputs = processor(text="A CAT", images=RGB)
    np.testing.assert_array_equal(inputs["images"][0], resize(RGB, (32, 32), BILINEAR))
    (ids,) = inputs["input_ids"].tolist()
    assert ids == processor(text="a cat")["input_ids"][0].tolist()
    assert ids[2:] == [1] + [0] * 13


def test_the_images_of_a_naflex_are_records_with_at_most_the_given_number_of_patches(tmp_path):
    directory = write_checkpoint(tmp_path, NAFLEX, rules=SIGLIP_2)
    for limit, options in ((256, {}), (10, {"max_num_patches": 10})):
        processor = SigLIPProcessor(weights=directory, **options)
        assert (processor.max_num_patches, processor.image_size) == (limit, None)
        pixels = processor(images=[RGB, RGB[:, :3]])["images"]
        np.testing.assert_array_equal(pixels[1], NaFlexPreprocessor(limit)(RGB[:, :3]))
        assert pixels.shape == (2, 4 + limit * 768)
        assert processor(images=[])["images"].shape == (0, 4 + limit * 768)
    assert f"aspect ratio kept; resized to at most {limit} patches of 16 x 16" in processor.preprocessor.description


def test_a_size_that_the_checkpoint_does_not_have_is_refused(checkpoint, tmp_path):
    with pytest.raises(CheckpointError, match=r"no max_num_patches, so leave it out. Images: whole image squashed"):
        SigLIPProcessor(weights=checkpoint, max_num_patches=64)
    with pytest.raises(CheckpointError, match=r"no image_size, so leave it out. Images: aspect ratio kept"):
        SigLIPProcessor(weights=write_checkpoint(tmp_path, NAFLEX, rules=SIGLIP_2), image_size=(32, 32))


@pytest.mark.parametrize(
    ("images", "count"),
    [
        (RGB, 1),
        ([RGB, RGB[:5]], 2),
        (np.stack([RGB] * 3), 3),
        (Image.fromarray(RGB), 1),
        ([Image.fromarray(RGB), RGB], 2),
        ((image for image in [RGB, RGB]), 2),
        ([], 0),
    ],
    ids=["array", "list", "batch", "pillow", "mixed", "iterator", "none"],
)
def test_images_may_be_one_or_several_arrays_or_pillow_images(processor, images, count):
    pixels = processor(images=images)["images"]
    assert pixels.shape == (count, 32, 32, 3)
    assert pixels.dtype == np.uint8
    if count:
        np.testing.assert_array_equal(pixels[0], resize(RGB, (32, 32)))


def test_image_paths_may_be_one_or_several(processor, tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(RGB).save(path)
    for paths, count in ((path, 1), (str(path), 1), ([path, str(path)], 2)):
        pixels = processor(image_paths=paths)["images"]
        np.testing.assert_array_equal(pixels, np.stack([resize(RGB, (32, 32))] * count))


def test_only_the_given_inputs_are_returned(processor):
    assert list(processor(text=["a", "b"])) == ["input_ids"]
    assert list(processor(images=RGB)) == ["images"]
    assert processor(text="a cat")["input_ids"].shape == (1, 16), "a string is one text, not a list of characters"


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "LA", "YCbCr"])
def test_every_pillow_mode_is_converted_to_rgb(processor, mode):
    image = Image.fromarray(RGB).convert(mode)
    np.testing.assert_array_equal(
        processor(images=image)["images"][0], resize(np.asarray(image.convert("RGB")), (32, 32))
    )


def test_a_file_is_rotated_by_its_exif_orientation(processor, tmp_path):
    image = Image.fromarray(RGB)
    exif = image.getexif()
    exif[0x0112] = 6  # viewers rotate the image by 90 degrees clockwise
    image.save(tmp_path / "rotated.png", exif=exif)
    expected = resize(np.rot90(RGB, -1).copy(), (32, 32))
    np.testing.assert_array_equal(processor(image_paths=tmp_path / "rotated.png")["images"][0], expected)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "give text, image_paths or images"),
        ({"images": RGB, "image_paths": "a.png"}, "give image_paths or images, not both"),
        ({"images": RGB / 255}, r"must be \[H, W, 3\] uint8. Received: \[20, 30, 3\] float64"),
        ({"images": [RGB[..., 0]]}, r"must be \[H, W, 3\] uint8. Received: \[20, 30\] uint8"),
    ],
)
def test_ambiguous_or_invalid_inputs_are_refused(processor, inputs, message):
    with pytest.raises(ValueError, match=message):
        processor(**inputs)


def test_a_missing_file_or_one_that_is_not_an_image_raises_os_error(processor, tmp_path):
    (tmp_path / "text.jpg").write_text("no image")
    for path in (tmp_path / "absent.jpg", tmp_path / "text.jpg"):
        with pytest.raises(OSError, match=path.name):
            processor(image_paths=path)


def test_multilingual_and_weights_cannot_be_given_together():
    with pytest.raises(ValueError, match="give multilingual or weights, not both"):
        SigLIPProcessor(multilingual=True, weights="google_224")


def test_the_error_names_the_missing_vocabulary_file(checkpoint, tmp_path):
    (tmp_path / "config.json").write_text((checkpoint / "config.json").read_text())
    with pytest.raises(CheckpointError, match=VOCABULARY.name):
        SigLIPProcessor(weights=tmp_path)
