"""Learns classifiers from a few example images per label, in NumPy: embeddings in, weights and biases out.

Each label gets a logistic regression on the image embedding. It starts from the label's text classifier and is pulled
towards it, so that few examples change little and a label without examples keeps today's scores, bit for bit:

    logit = scale * (weights . image_embedding) + bias      without examples: weights = class embedding, bias = bias

Positives are the label's examples. Negatives are its counterexamples and the other labels' examples. For n examples
and m negatives the objective is a sum over n + m images plus a penalty on the change of the weights:

    sum(log(1 + exp(-y * logit))) + |weights - class_embedding|^2 / (2 * strength^2),   y = 1 or -1

The images are centred on their mean, and the bias moves such that a label's logit stays the same for the mean image.
Otherwise each label with examples would rise or fall as a whole, and would no longer rank fairly with labels that have
none. The solution is the class embedding plus a combination of the n + m images (representer theorem), so Newton's
method solves an (n + m) x (n + m) system, or an E x E system if that is smaller.

`strength` is chosen by leave-one-out, together for all labels that have at least two examples: the weakest strength
whose loss is within one standard error of the lowest. Strength 0, the text classifier alone, is one of the choices. A
label with one example gets the fixed `SINGLE_STRENGTH`.

The constants were chosen on styles that the embedded checkpoint was trained on, in changed scenes: rotated, inverted,
sketched and shrunk drawings, wrong and vague names. They were fixed before the held-out OpenMoji or the labelled set of
`benchmarks/few_shot.py` was looked at. Strengths are relative to the text embedding of length 1, so they do not depend
on a checkpoint's scale; with other checkpoints than the embedded one they were not measured.

Source:
    LP++ (Huang et al., CVPR 2024): a linear probe with the text embeddings in it, and a fit without tuned learning
    rates. It learns one weight per label for the text in a softmax; here the text is the starting point of a sigmoid
    for each label, so labels can be scored alone.
    CLAP (Silva-Rodriguez et al., CVPR 2024): the penalty that keeps each label near its text classifier, and no
    validation set. It sets the penalty from the text classifier's accuracy on the examples; here leave-one-out does.
    Tip-Adapter (Zhang et al., ECCV 2022): the learned part is a weighted sum of similarities to the examples. Here it
    is linear, so the sum folds into one weight vector and scoring costs the same as without examples.
    Rad and Maleki, 2020 (approximate leave-one-out): leaving out an image is one Newton step from the full fit.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from model.zero_shot import sigmoid

STRENGTHS = (0.03, 0.06, 0.12, 0.25, 0.5)
SINGLE_STRENGTH = 0.12
# Other labels' examples per label, the most similar to its text and its examples. The rest have logits near the
# text classifier's, which are so low that they change nothing.
MAX_OTHERS = 96
MAX_NEWTON_STEPS = 50
TOLERANCE = 1e-8  # of the objective, relative
BLOCK_NUMBERS = 4_000_000  # numbers per array of a block of labels, which bounds the memory


class Classifiers(NamedTuple):
    """K linear classifiers: `logit = scale * (weights . image_embedding) + bias`.

    weights: [K, E] float32, in units of the scale: for a label without examples its class embedding; biases: [K]
    float32; scale: the temperature, already exponentiated. `zero_shot.scores(image, weights, scale, biases)` scores.
    """

    weights: np.ndarray
    biases: np.ndarray
    scale: float


class Block(NamedTuple):
    """The training images of b labels with equally many images: first n examples, then the negatives.

    labels: [b]; images: [b, m, E] float64, centred; text_logits: [b, m]; targets: [m], 1 or 0.
    """

    labels: np.ndarray
    images: np.ndarray
    text_logits: np.ndarray
    targets: np.ndarray


class Candidate(NamedTuple):
    """The fits of b labels with one strength.

    weights: [b, E], the change of the weights; losses: [b, m], of each image if it is left out.
    """

    weights: np.ndarray
    losses: np.ndarray


def text_classifiers(class_embeddings: np.ndarray, scale: float, bias: float) -> Classifiers:
    """Returns the classifiers of labels without examples. They give the logits of `zero_shot.scores`, bit for bit."""
    return Classifiers(class_embeddings, np.full(len(class_embeddings), bias, np.float32), scale)


def logits(image_embeddings: np.ndarray, classifiers: Classifiers) -> np.ndarray:
    """Returns the logits of one image, [K], or of several, [B, K], from embeddings [E] or [B, E]."""
    # Not a matrix product: as in `zero_shot.scores`, equal classifiers must get equal scores.
    cosines = np.vecdot(classifiers.weights, image_embeddings[..., np.newaxis, :])
    return np.float32(classifiers.scale) * cosines + classifiers.biases


def fit(
    class_embeddings: np.ndarray,
    scale: float,
    bias: float,
    examples: Sequence[np.ndarray],
    counterexamples: Sequence[np.ndarray] = (),
) -> Classifiers:
    """Returns the classifiers of K labels. The same input gives the same classifiers.

    A label keeps its text classifier if it has no examples, or if there are no negatives for it. An image that is an
    example of two labels is not a negative for either.

    Args:
        class_embeddings: [K, E] float32, L2-normalised.
        scale: The temperature, already exponentiated.
        bias: Added after scaling.
        examples: For each label images of it, [n, E] float32, L2-normalised; n may be 0.
        counterexamples: For each label images that it must not fit, [n, E]. Empty if no label has any.

    Raises:
        ValueError: The shapes do not match, or an embedding is not finite or not L2-normalised.
    """
    positives = flattened("examples", examples, class_embeddings)
    negatives = flattened("counterexamples", counterexamples or [[]] * len(class_embeddings), class_embeddings)
    classifiers = text_classifiers(class_embeddings, scale, bias)
    ...
