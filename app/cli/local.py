"""Classification of files without a service: decoded in threads ahead of the device, encoded in batches.

The service's own rooms do the work, so that the numbers are the service's.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

import numpy as np

from app.cli import CommandError
from app.cli.ahead import batches, map_ordered
from app.cli.files import ImageFile, NotScored
from app.errors import ServiceError
from app.inference.encoder import Encoder
from app.inference.image_input import PreparedImage, prepare_image
from app.inference.scoring import prompt_means, scored_image
from app.label_sets.definition import LabelSetDefinition
from app.schemas import ClassifyOptions, ScoredImage
from app.settings import Settings
from model import zero_shot
from model.engines.cpu import available_cpus

Result = tuple[str, ScoredImage | NotScored]


def results_of_model(
    encoder: Encoder, settings: Settings, files: Iterable[ImageFile], classes: np.ndarray, options: ClassifyOptions
) -> Iterator[Result]:
    """Yields each file's path with its scores for K classes [K, E], or with why it has none, in order.

    Raises:
        CommandError: The device fails.
    """

    def read(file: ImageFile) -> tuple[str, PreparedImage | NotScored]:
        try:
            return file.path, prepare_image(file.read(), encoder, settings)
        except NotScored as error:
            return file.path, error
        except ServiceError as error:
            return file.path, NotScored(error.detail)

    pictures = map_ordered(read, files, threads=available_cpus(), ahead=2 * settings.max_batch)
    for batch in batches(pictures, settings.max_batch):
        pixels = [picture.pixels for _, picture in batch if isinstance(picture, PreparedImage)]
        embeddings = iter(encode(encoder.encode_images, pixels) if pixels else ())
        for path, picture in batch:
            if isinstance(picture, NotScored):
                yield path, picture
                continue
            scores = zero_shot.scores(next(embeddings), classes, encoder.scale, encoder.bias)
            yield path, scored_image(picture.facts, options.labels or [], scores, options)


def embed_classes(
    encoder: Encoder, settings: Settings, definition: LabelSetDefinition, on_stage: Callable[[str], None]
) -> np.ndarray:
    """Returns class embeddings [K, E].

    Raises:
        CommandError: The device fails.
    """
    prompts = definition.prompts
    token_ids = encoder.prepare_text(list(chain.from_iterable(prompts)))
    embeddings = []
    for start in range(0, len(token_ids), settings.max_batch):
        on_stage(f"labels, {start:,} of {len(token_ids):,} prompts")
        embeddings.append(encode(encoder.encode_texts, token_ids[start : start + settings.max_batch]))
    return prompt_means(np.concatenate(embeddings), [len(own) for own in prompts])


def encode(tower: Callable[[np.ndarray], np.ndarray], rows: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """Returns the embeddings [B, E] of B prepared images or texts.

    Raises:
        CommandError: The device cannot compute them, or what it computes are no numbers.
    """
    try:
        embeddings = tower(np.asarray(rows))
    except Exception as error:  # TensorFlow's own, of many kinds, most often for want of memory
        reason = str(error).partition("\n")[0]
        raise CommandError(
            f"the device cannot compute {len(rows)} at once, which SIGLIP_MAX_BATCH sets: {reason}"
        ) from error
    if not np.isfinite(embeddings).all():
        raise CommandError("the model gives embeddings that are not numbers: `download` checks its files")
    return embeddings
