"""NaFlex, compared with `transformers.Siglip2Model` and its processor: |d cosine| <= 5e-6, |d logit| <= 1e-3."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModel, AutoProcessor, Siglip2ImageProcessorPil, Siglip2Model

from model.checkpoint.hf_config import config_json
from model.checkpoint.variants import load_model
from model.checkpoint.weights import save_checkpoint
from model.engines.load import load_encoder
from model.network.naflex import split_records
from model.patches import NaFlexPreprocessor, patch_grid
from model.processor import SigLIPProcessor
from model.text.tokenizer import SIGLIP_2, SigLIPTokenizer
from tests.golden.cases import (
    HERE,
    NAFLEX,
    NAFLEX_PATCHES,
    PATCH_LIMITS,
    naflex_images,
    patch_photos,
    token_ids,
)
from tests.golden.stages import COSINE, LOGIT, compare_stages, our_naflex_stages
from tests.parity.reference import naflex_inputs, reference_model, reference_naflex_stages

LIMITS = (*PATCH_LIMITS, 1024, 1)


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("name", patch_photos())
def test_patches_their_order_grid_and_mask_equal_the_reference(name, limit):
    image = patch_photos()[name]
    theirs = Siglip2ImageProcessorPil(max_num_patches=limit)(
        Image.fromarray(image), return_tensors="np", do_rescale=False, do_normalize=False
    )
    patches, grids = (np.asarray(values) for values in split_records(NaFlexPreprocessor(limit)(image)[None], 16))
    np.testing.assert_array_equal(grids, theirs["spatial_shapes"])
    np.testing.assert_array_equal(patches, theirs["pixel_values"])
    np.testing.assert_array_equal(np.arange(limit)[None] < grids.prod(), theirs["pixel_attention_mask"])


def test_scaled_pixels_are_close_to_the_reference():
    images = naflex_images()
    theirs = naflex_inputs(images, 256)
    patches, _ = split_records(np.stack([NaFlexPreprocessor()(image) for image in images]), 16)
    valid = theirs["pixel_attention_mask"].numpy()[:, :, None]
    ours = (np.asarray(patches, np.float32) / 127.5 - 1) * valid
    np.testing.assert_allclose(ours, theirs["pixel_values"].numpy(), rtol=0, atol=1e-6)


def test_the_grids_of_random_sizes_equal_the_reference():
    from transformers.models.siglip2.image_processing_pil_siglip2 import get_image_size_for_max_num_patches

    rng = np.random.default_rng(0)
    for height, width, limit in rng.integers(1, (8_000, 8_000, 1_500), (2_000, 3)).tolist():
        theirs = get_image_size_for_max_num_patches(height, width, 16, limit)
        assert tuple(16 * side for side in patch_grid(height, width, 16, limit)) == theirs


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("limit", [NAFLEX_PATCHES, 256])
def test_a_small_model_agrees_at_every_stage(limit, attention, tmp_path):
    reference = reference_model(config_json(NAFLEX), tmp_path)
    reference.set_attn_implementation(attention)
    images, ids = naflex_images(), token_ids(NAFLEX, 5)
    records = np.stack([NaFlexPreprocessor(limit)(image) for image in images])
    ours = our_naflex_stages(load_model(None, tmp_path), records, ids)
    assert compare_stages(ours, reference_naflex_stages(reference, images, ids, limit)).proves_equal


def saved(directory, **image_settings) -> SigLIPTokenizer:
    """Writes a NaFlex by `save_checkpoint`, with other image settings, and returns its tokenizer."""
    reference_model(config_json(NAFLEX), directory)
    tokenizer = SigLIPTokenizer(HERE / "tokenizer.model", 16, 600, SIGLIP_2)
    save_checkpoint(load_model(None, directory), directory, tokenizer=tokenizer)
    path = directory / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | image_settings))
    return tokenizer


@pytest.mark.parametrize("settings", [{}, {"max_num_patches": 30}, {"resample": 3}], ids=str)
def test_auto_classes_of_transformers_give_our_logits_from_our_directory(settings, tmp_path):
    tokenizer, images = saved(tmp_path, **settings), naflex_images()
    texts = ["a photo of a cat", "dog", ""]
    model, report = Siglip2Model.from_pretrained(tmp_path, dtype="float32", output_loading_info=True)
    assert {key: value for key, value in report.items() if value} == {}
    assert isinstance(AutoModel.from_pretrained(tmp_path), Siglip2Model)
    processor = AutoProcessor.from_pretrained(tmp_path, backend="pil")
    assert type(processor).__name__ == "Siglip2Processor"
    pixels = processor.image_processor([Image.fromarray(image) for image in images], return_tensors="pt")
    encoder = load_encoder(weights=str(tmp_path), device="cpu", max_batch=8)
    ids = encoder.prepare_text(texts)
    padded = processor.tokenizer(texts, padding="max_length", truncation=True, max_length=16)["input_ids"]
    assert ids.tolist() == tokenizer(texts).tolist() == padded
    output = model(input_ids=torch.from_numpy(ids).long(), **pixels)
    image, text = encoder.encode_images(np.stack(list(map(encoder.preprocessor, images)))), encoder.encode_texts(ids)
    logits = encoder.scale * image @ text.T + encoder.bias
    np.testing.assert_allclose(logits, output.logits_per_image.numpy(), rtol=0, atol=LOGIT)
    inputs = SigLIPProcessor(weights=tmp_path)(text=texts, images=images)
    library = load_model(None, tmp_path)({"images": inputs["images"], "token_ids": inputs["input_ids"]})
    np.testing.assert_allclose(library["image_logits"], output.logits_per_image.numpy(), rtol=0, atol=LOGIT)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_openvino_agrees_with_the_reference(dtype, tmp_path):
    saved(tmp_path)
    images, ids = naflex_images(), token_ids(NAFLEX, 5)
    theirs = reference_naflex_stages(Siglip2Model.from_pretrained(tmp_path), images, ids, 256)
    encoder = load_encoder(weights=str(tmp_path), engine="openvino", dtype=dtype, max_batch=8)
    encoder.self_test()
    cosines = encoder.encode_images(np.stack(list(map(encoder.preprocessor, images)))) @ encoder.encode_texts(ids).T
    difference = np.abs(cosines - theirs["image_embedding"] @ theirs["text_embedding"].T).max()
    # int8 has its own bar: the cosine with the float32 embeddings, which the self-test checks.
    assert difference <= (COSINE if dtype == "float32" else 0.02)
