"""The table that compares checkpoints, for readers who must choose one: published accuracy, computation and memory.

Source of the accuracies: top-1 of zero-shot classification on ImageNet. SigLIP 2: google-research/big_vision@0127fb6b,
configs/proj/image_text/README_siglip2.md. SigLIP: mlfoundations/open_clip@89fb801f,
docs/openclip_classification_results.csv. This project has not measured them.
"""

from benchmarks.limit import image_multiply_adds
from model.config import SigLIPConfig, TowerConfig
from model.published import VARIANTS

UNIT = ("SigLIPBaseP16", "google_224")
# Variant, weights, published accuracy in percent, and when to choose it.
CHOICES = (
    ("SigLIP2BaseP16", "google_224", 78.2, "a good first choice"),
    ("SigLIPBaseP16", "google_224", 76.0, "English labels, least memory"),
    ("SigLIP2BaseP32", "google_256", 74.0, "highest speed"),
    ("SigLIP2BaseP16", "google_384", 80.6, "small details, at moderate cost"),
    ("SigLIP2BaseP16NaFlex", "google_naflex", 78.5, "wide or tall images, such as documents and screens"),
    ("SigLIP2LargeP16", "google_256", 82.5, "between base and So400m"),
    ("SigLIP2So400mP14", "google_224", 83.2, "high accuracy"),
    ("SigLIP2So400mP16", "google_512", 84.3, "high accuracy and small details"),
    ("SigLIP2GiantOptP16", "google_384", 85.0, "highest accuracy"),
)


def choice_table() -> str:
    """Returns a row for each of `CHOICES`."""
    unit = image_multiply_adds(VARIANTS[UNIT[0]][UNIT[1]].config.vision)
    rows = []
    for variant, weights, accuracy, choose in CHOICES:
        published = VARIANTS[variant][weights]
        languages = "many" if published.generation == 2 or "multilingual" in weights else "English"
        computation = image_multiply_adds(published.config.vision) / unit
        gigabytes = 4 * num_parameters(published.config) / 1e9
        rows.append(
            f"| `{variant}` `{weights}` | {choose} | {languages} | {accuracy:.1f} % | {computation:.1f} x | "
            f"{gigabytes:.1f} GB |"
        )
    head = "| checkpoint | choose it for | languages | ImageNet accuracy | computation per image | float32 weights |"
    return "\n".join([head, "|---" * 6 + "|", *rows])


def num_parameters(config: SigLIPConfig) -> int:
    """Returns the number of parameters of both towers, the scale and the bias."""
    vision, text = config.vision, config.text
    patches = vision.grid[0] * vision.grid[1]
    image_embedding = (vision.patch_size**2 * 3 + 1 + patches) * vision.width
    text_embedding = (text.vocab_size + text.context_length) * text.width
    # The pooling head is a block with a probe in the place of its first layer norm.
    head = block_parameters(vision) - 2 * vision.width + vision.width
    projection = (text.width + 1) * config.embed_dim
    return image_embedding + tower_parameters(vision) + head + text_embedding + tower_parameters(text) + projection + 2


def tower_parameters(config: TowerConfig) -> int:
    """Returns the number of parameters of all blocks and the final layer norm."""
    return config.depth * block_parameters(config) + 2 * config.width


def block_parameters(config: TowerConfig) -> int:
    """Returns the number of parameters of one block: attention, MLP and two layer norms."""
    width, mlp_dim = config.width, config.mlp_dim
    return 4 * (width + 1) * width + (width + 1) * mlp_dim + (mlp_dim + 1) * width + 4 * width
