"""The reference: SigLIP of transformers with perturbed tensors, the outputs of its stages, and its tokenizers."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import (
    Siglip2Config,
    Siglip2ImageProcessorPil,
    Siglip2Model,
    Siglip2Tokenizer,
    SiglipConfig,
    SiglipModel,
    SiglipTokenizer,
)
from transformers.initialization import no_init_weights
from transformers.utils import ModelOutput

from tests.golden.cases import perturbed_tensor

Tokenizer = Callable[[list[str], int], list[list[int]]]  # from texts and a length to rows of ids of that length

torch.set_num_threads(2)
torch.set_grad_enabled(False)


def reference_model(config: dict, directory: Path | None = None, seed: int = 0) -> SiglipModel | Siglip2Model:
    """Returns the model of transformers for a `config.json`, with perturbed tensors, saved in `directory` if given."""
    with no_init_weights():
        naflex = config.get("model_type") == "siglip2"
        model = (Siglip2Model(Siglip2Config(**config)) if naflex else SiglipModel(SiglipConfig(**config))).eval()
    for name, parameter in model.named_parameters():
        parameter.copy_(torch.from_numpy(perturbed_tensor(name, tuple(parameter.shape), seed)))
    if directory:
        model.save_pretrained(directory)
    return model


def normalized(images: np.ndarray) -> torch.Tensor:
    """Returns the input of the reference, [B, 3, H, W] in [-1, 1], from images [B, H, W, 3] uint8."""
    return torch.from_numpy(images.astype(np.float32) / 127.5 - 1).permute(0, 3, 1, 2)


def reference_stages(model: SiglipModel, images: np.ndarray, token_ids: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the output of each stage as NumPy. For another image size, the positions are interpolated."""
    pixel_values, input_ids = normalized(images), torch.from_numpy(token_ids).long()
    other_size = images.shape[1] != model.config.vision_config.image_size or images.shape[1] != images.shape[2]
    output = model(input_ids=input_ids, pixel_values=pixel_values, interpolate_pos_encoding=other_size)
    image_tokens = model.vision_model.embeddings(pixel_values, interpolate_pos_encoding=other_size)
    return named_stages(output, image_tokens, model.text_model.embeddings(input_ids))


def named_stages(output: ModelOutput, image_tokens: torch.Tensor, text_tokens: torch.Tensor) -> dict[str, np.ndarray]:
    """Returns the output of each stage as NumPy, from the output of a whole model."""
    stages = {
        "image_tokens": image_tokens,
        "image_hidden": output.vision_model_output.last_hidden_state,
        "image_pooled": output.vision_model_output.pooler_output,
        "text_tokens": text_tokens,
        "text_pooled": output.text_model_output.pooler_output,
        "image_embedding": output.image_embeds,
        "text_embedding": output.text_embeds,
        "image_logits": output.logits_per_image,
        "text_logits": output.logits_per_text,
    }
    return {name: value.numpy() for name, value in stages.items()}


def naflex_inputs(images: list[np.ndarray], max_num_patches: int) -> dict[str, torch.Tensor]:
    """Returns `pixel_values`, `pixel_attention_mask` and `spatial_shapes` of images [H, W, 3] uint8."""
    processor = Siglip2ImageProcessorPil(max_num_patches=max_num_patches)
    return dict(processor([Image.fromarray(image) for image in images], return_tensors="pt"))


def reference_naflex_stages(
    model: Siglip2Model, images: list[np.ndarray], token_ids: np.ndarray, max_num_patches: int
) -> dict[str, np.ndarray]:
    """Returns the output of each stage as NumPy; the positions of padding are zero."""
    inputs, input_ids = naflex_inputs(images, max_num_patches), torch.from_numpy(token_ids).long()
    output = model(input_ids=input_ids, **inputs)
    image_tokens = model.vision_model.embeddings(inputs["pixel_values"], inputs["spatial_shapes"])
    stages = named_stages(output, image_tokens, model.text_model.embeddings(input_ids))
    valid = inputs["pixel_attention_mask"][:, :, None].numpy()
    return stages | {name: stages[name] * valid for name in ("image_tokens", "image_hidden")}


def siglip_tokenizer(vocabulary: Path) -> Tokenizer:
    """Returns the tokenizer of the first SigLIP for a `spiece.model`."""
    return padded(SiglipTokenizer(str(vocabulary)))


def siglip_2_tokenizer(vocabulary: Path) -> Tokenizer:
    """Returns the tokenizer of SigLIP 2 for a `tokenizer.model`, with the settings in the hub's files."""
    return padded(Siglip2Tokenizer.from_pretrained(vocabulary.parent, **HUB_SETTINGS))


HUB_SETTINGS = {"add_bos_token": False, "add_eos_token": True, "padding_side": "right"}


def padded(tokenizer) -> Tokenizer:
    return lambda texts, length: tokenizer(texts, padding="max_length", truncation=True, max_length=length)["input_ids"]
