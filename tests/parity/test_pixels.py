"""Preprocessed pixels, compared bit for bit with `transformers.SiglipImageProcessorPil`."""

import numpy as np
import pytest
from PIL import Image
from transformers import SiglipImageProcessorPil
from transformers.image_utils import load_image

from model.preprocess import BICUBIC, BILINEAR, FILTERS, resize
from model.processor import SigLIPProcessor
from tests.golden.cases import HERE, photos
from tests.model.conftest import write_checkpoint

SIZES = [(224, 224), (384, 384), (16, 16), (24, 40)]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"))


def reference(image: Image.Image, size: tuple[int, int], **options) -> np.ndarray:
    """Returns the pixels of the reference, [H, W, 3]."""
    processor = SiglipImageProcessorPil(size={"height": size[0], "width": size[1]}, do_convert_rgb=True)
    return processor(image, return_tensors="np", **options)["pixel_values"][0].transpose(1, 2, 0)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", photos())
def test_resized_pixels_are_bit_equal_and_scaled_pixels_are_close(name, size, checkpoint):
    image = Image.fromarray(photos()[name])
    ours = SigLIPProcessor(weights=checkpoint, image_size=size)(images=image)["images"][0]
    np.testing.assert_array_equal(ours, reference(image, size, do_rescale=False, do_normalize=False))
    np.testing.assert_allclose(ours.astype(np.float32) / 127.5 - 1, reference(image, size), rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [(224, 224), (16, 16)], ids=str)
@pytest.mark.parametrize("name", photos())
@pytest.mark.parametrize("resample", FILTERS)
def test_every_filter_is_bit_equal(resample, name, size):
    expected = reference(Image.fromarray(photos()[name]), size, resample=resample, do_rescale=False, do_normalize=False)
    np.testing.assert_array_equal(resize(photos()[name], size, resample), expected)


@pytest.mark.parametrize("mode", ["RGBA", "L", "P", "CMYK", "LA", "1"])
def test_other_modes_are_converted_like_in_the_reference(mode, checkpoint):
    image = Image.fromarray(photos()["noise 480 x 640"]).convert(mode)
    ours = SigLIPProcessor(weights=checkpoint)(images=image)["images"][0]
    np.testing.assert_array_equal(ours, reference(image, (32, 32), do_rescale=False, do_normalize=False))


@pytest.mark.parametrize(("suffix", "orientation"), [("png", 1), ("jpg", 6), ("webp", 3)])
def test_files_are_read_like_in_the_reference(suffix, orientation, checkpoint, tmp_path):
    image, path = Image.fromarray(photos()["noise 17 x 23"]), tmp_path / f"photo.{suffix}"
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(path, exif=exif)
    ours = SigLIPProcessor(weights=checkpoint)(image_paths=path)["images"][0]
    np.testing.assert_array_equal(
        ours, reference(load_image(str(path)), (32, 32), do_rescale=False, do_normalize=False)
    )


def test_the_stored_pixels_still_equal_the_reference():
    for file, resample in (("pixels.npz", BICUBIC), ("pixels_bilinear.npz", BILINEAR)):
        stored = np.load(HERE / file)
        for name, photo in photos().items():
            expected = reference(
                Image.fromarray(photo), (32, 32), resample=resample, do_rescale=False, do_normalize=False
            )
            np.testing.assert_array_equal(stored[f"{name} to 32"], expected)
