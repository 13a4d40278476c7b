"""Inputs for the stored reference, the live reference and our model: small configs, weights, texts and images.

All random values come from seeded NumPy, so only the outputs of the reference are stored.
"""

import math
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from model.config import NaFlexVisionConfig, SigLIPConfig, TextConfig, VisionConfig

HERE = Path(__file__).parent

CONFIGS: Mapping[str, SigLIPConfig] = {
    "square": SigLIPConfig(
        vision=VisionConfig(width=32, depth=2, num_heads=4, mlp_dim=64, image_size=(32, 32), patch_size=8),
        text=TextConfig(width=32, depth=2, num_heads=4, mlp_dim=64, vocab_size=400, context_length=16),
        embed_dim=32,
    ),
    # Like the So400m: pixels that do not fill a patch are dropped, and mlp_dim is not a multiple of the width.
    "dropped_pixels": SigLIPConfig(
        vision=VisionConfig(width=36, depth=3, num_heads=2, mlp_dim=67, image_size=(48, 48), patch_size=14),
        text=TextConfig(width=36, depth=3, num_heads=2, mlp_dim=67, vocab_size=400, context_length=8),
        embed_dim=36,
    ),
    # Like SigLIP 2's giant: the towers have different sizes, and the text head projects to the image tower's width.
    "unequal_towers": SigLIPConfig(
        vision=VisionConfig(width=48, depth=3, num_heads=3, mlp_dim=96, image_size=(32, 32), patch_size=16),
        text=TextConfig(width=24, depth=2, num_heads=4, mlp_dim=52, vocab_size=400, context_length=16),
        embed_dim=48,
    ),
}
# Patches of 16 x 16 as in the published ones; fewer positions, so that they are enlarged for some images.
NAFLEX = SigLIPConfig(
    vision=NaFlexVisionConfig(width=32, depth=2, num_heads=4, mlp_dim=64, grid=(6, 6)),
    text=TextConfig(width=32, depth=2, num_heads=4, mlp_dim=64, vocab_size=600, context_length=16),
    embed_dim=32,
)
NAFLEX_PATCHES = 40
PATCH_LIMITS = (256, 7)
NAFLEX_SIZES = [(480, 640), (16, 400), (5000, 300), (33, 31), (1, 1)]  # (H, W)
# Image sizes (H, W) that differ from the config's: larger, smaller, not square, and the same number of patches in
# another shape.
OTHER_SIZES = {"square": [(64, 64), (16, 24), (40, 24), (16, 64)], "dropped_pixels": [(70, 30)]}

# Difficult texts for a tokenizer. `\u2581` is the character that SentencePiece uses for a space.
TEXTS = [
    "a photo of a cat", "A PHOTO, of CATS!", "This is a photo of 2 cats.", "", " ", "\t\n  \r\n", "...", "!?",
    "_", "-", "snow_leopard", "golden_retriever dog", "it's", "rock'n'roll", "a/b\\c_d.e,f;g:h?i!",
    "$100 & 50% #1 @home *star*", "ΣΟΣ", "ΟΔΥΣΣΕΥΣ ΣΑΣ", "ΑΒΓ δεζ", "İstanbul", "ıI", "STRASSE Straße ẞ", "ǅ Ǆ",
    "ﬁne ﬂow", "Ⅷ ½ ² ①", "café déjà vu", "cafe\u0301 de\u0301ja\u0300", "Zürich", "ñandú", "Å Å",
    "ｆｕｌｌｗｉｄｔｈ ＡＢＣ１２３！", "Ａ／Ｂ，Ｃ！", "红色盔甲的角色", "猫と犬。", "고양이", "人物（正面）",
    "日本語 テキスト", "ﾊﾝｶｸ", "кошка и СОБАКА", "قطة وكلب", "חתול ו-כלב", "\u202bקט\u202c", "गाय और बिल्ली",
    "ภาพแมว", "🦊✨ portrait", "👩‍👩‍👧‍👦", "👍🏽", "🇩🇪", "❤️", "zero\u200bwidth", "soft\u00adhyphen",
    "\ufeffbom", "non\u00a0breaking", "thin\u2009space\u3000wide", "line\u2028sep\u2029par",
    "vertical\vtab\fform", "\x1cfs\x85nel", "\u2581leading", "mid\u2581dle \u2581", "\u2581\u2581",
    "“curly” ‘quotes’ – — …", "don’t", "a\u0000b", "\x07bell", "e\u0301\u0327\u0323", "Z̸̢̛a̶l̷g̵o̴", "𝕳𝖊𝖑𝖑𝖔",
    "\U0010ffff", "cat " * 200, "x" * 300, "猫" * 80, "a" * 63, "the " * 15 + "end", "the " * 14 + "end",
    "<pad>", "<0x41>", "<extra_id_0>", "[CLS]", "<s>", "2 people 35mm f1.4 2026", "set_001/IMG-20260827.JPG",
]  # fmt: skip

# The same without `<pad>`, which the reference of SigLIP 2 reads as a special token. Added are runs of whitespace and
# HTML tags, which are single pieces in its vocabulary.
TEXTS_2 = [
    *(text for text in TEXTS if text != "<pad>"), "  two   spaces    four", "line\nend\n\ntwo\n\n\n\nfour",
    31 * " " + "a", 7 * " ", "a <table> b</table>", "<b>bold</b><sup>2</sup>", "<s>struck", "\u2581\u2581\u2581a",
    "2026 12 ３", " leading", "trailing ", "ÀÉÎ İI", "Ⅷ Ⓐ", "ԱԲ Ꭰ",
]  # fmt: skip

Weights = dict[str, np.ndarray]


def perturbed(shapes: Mapping[str, tuple[int, ...]], seed: int = 0) -> Weights:
    """Returns float32 tensors as in a trained model, each away from its initial value.

    A newly initialised model cannot show a swapped or forgotten tensor: its biases are zero, its LayerNorms are the
    identity, and its scale is 1. With these tensors the cosines differ, and each tensor changes the output.
    """
    return {name: perturbed_tensor(name, shape, seed) for name, shape in shapes.items()}


def perturbed_tensor(name: str, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Returns one tensor, scaled so that a deep tower's activations stay moderate and its attention stays selective."""
    if name == "logit_scale":
        return np.full(shape, 4.77, np.float32)
    if name == "logit_bias":
        return np.full(shape, -12.9, np.float32)
    tensor = np.random.default_rng([seed, zlib.crc32(name.encode())]).standard_normal(shape, np.float32)
    if "norm" in name and name.endswith("weight"):
        return 1 + np.float32(0.2) * tensor
    if name.endswith("bias"):
        return np.float32(0.1) * tensor
    if ("embedding.weight" in name and "patch" not in name) or name.endswith("probe"):
        return tensor
    # Larger queries and keys: otherwise attention averages every image equally, and all cosines are almost equal.
    gain = 2 if any(part in name for part in ("q_proj", "k_proj", "in_proj")) else 0.7
    tensor *= np.float32(gain / math.sqrt(math.prod(shape[1:])))
    return tensor


def token_ids(config: SigLIPConfig, count: int, seed: int = 0) -> np.ndarray:
    """Returns random token ids, [count, L] int32, of lengths from 0 to full, ended and padded with 1."""
    rng = np.random.default_rng(seed)
    length = config.text.context_length
    ids = rng.integers(2, config.text.vocab_size, (count, length), dtype=np.int32)
    ids[np.arange(length) >= np.linspace(0, length - 1, count).astype(int)[:, None]] = 1
    return ids


def pixels(image_size: tuple[int, int], count: int, seed: int = 0) -> np.ndarray:
    """Returns clearly different images, [count, H, W, 3] uint8: enlarged noise, each from a finer grid."""
    rng = np.random.default_rng(seed)
    height, width = image_size
    coarse = [rng.integers(0, 256, (2 + 3 * i, 3 + 2 * i, 3), dtype=np.uint8) for i in range(count)]
    return np.stack([np.asarray(Image.fromarray(image).resize((width, height))) for image in coarse])


def naflex_images() -> list[np.ndarray]:
    """Returns clearly different images of `NAFLEX_SIZES`, [H, W, 3] uint8."""
    return [pixels(size, 1, seed)[0] for seed, size in enumerate(NAFLEX_SIZES)]


def patch_photos() -> dict[str, np.ndarray]:
    """Returns source images by name, [H, W, 3] uint8, with extreme aspect ratios."""
    sizes = zip(NAFLEX_SIZES, naflex_images(), strict=True)
    return photos() | {f"{height} x {width}": image for (height, width), image in sizes}


def photos() -> dict[str, np.ndarray]:
    """Returns source images by name, [H, W, 3] uint8, of many aspect ratios."""
    rng = np.random.default_rng(5)
    noise = {
        f"noise {height} x {width}": rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        for height, width in [
            (480, 640),
            (640, 480),
            (1, 1),
            (1, 300),
            (300, 1),
            (2, 1000),
            (17, 23),
            (224, 224),
            (700, 33),
        ]
    }
    ramp = np.linspace(0, 255, 400).astype(np.uint8)
    checks = (np.indices((301, 199)).sum(axis=0) % 2 * 255).astype(np.uint8)
    return {
        **noise,
        "black": np.zeros((50, 60, 3), np.uint8),
        "nearly black": np.ones((50, 60, 3), np.uint8),
        "white": np.full((50, 60, 3), 255, np.uint8),
        "ramp": np.broadcast_to(ramp[None, :, None], (300, 400, 3)).copy(),
        "checks": np.broadcast_to(checks[..., None], (301, 199, 3)).copy(),
        "red edge": np.where(np.arange(256)[None, :, None] < 128, [255, 0, 0], [0, 0, 255])
        .astype(np.uint8)
        .repeat(99, 0),
    }
