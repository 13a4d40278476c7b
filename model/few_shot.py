"""Learns classifiers from a few example images per label, in NumPy: embeddings in, weights and biases out.

Each label gets a logistic regression on the image embedding. It starts from the label's text classifier, is pulled
towards it, and gives a logit on the same scale: `logit = scale * (weights . image_embedding) + bias`. Positives are the
label's examples; negatives are its counterexamples and the other labels' examples. With y = 1 or -1, a fit minimises

    sum over images of log(1 + exp(-y * logit))  +  |weights - class_embedding|^2 / (2 * strength^2)

The bias stays. If some labels have no examples, images are centred on their mean, and the bias moves so that the mean
image keeps its logit: otherwise labels with examples would rise as a whole, and win over labels without.

The strength is chosen by leave-one-out, once for all labels with at least two examples: for one label with two or five
images, the choice would be mostly chance. It is the weakest strength whose loss is within one standard error of the
lowest; strength 0 is the text alone. A label with one example gets `SINGLE_STRENGTH`. Both were chosen with the
embedded checkpoint, by `benchmarks/few_shot_constants.py`. They are relative to class embeddings of length 1; other
checkpoints were not measured.

Source:
    LP++ (Huang et al., CVPR 2024): a linear probe that contains the text embeddings, and needs no learning rate. It
    blends text and images in a softmax; here each label is a sigmoid that starts from its text.
    CLAP (Silva-Rodriguez et al., CVPR 2024): the penalty on the distance from the text classifier, and no validation
    set. It derives the penalty from the text's scores of the examples; here leave-one-out chooses it.
    Tip-Adapter (Zhang et al., ECCV 2022): adds similarities to the examples to the text's logits. Here they are linear,
    so they become part of the weights, and scoring costs the same as without examples.
    Rad and Maleki, JRSS-B 2020: approximate leave-one-out, one Newton step away from the full fit.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from model.zero_shot import sigmoid

STRENGTHS = (0.0, 0.03, 0.06, 0.12, 0.25, 0.5)  # 0: text only
SINGLE_STRENGTH = 0.25
MAX_OTHERS = 64  # other labels' examples: the most similar ones. It bounds the time of a fit.
MAX_NEWTON_STEPS = 50
TOLERANCE = 1e-7  # of the objective, relative
NORM_TOLERANCE = 0.01  # an embedding that was stored as float16 is not exactly normalised
SEARCH_LABELS = 256  # labels whose similarities to all examples are in memory together


class Classifiers(NamedTuple):
    """K linear classifiers, for `zero_shot.scores`.

    weights: [K, E] float32, of a label without examples its class embedding; biases: [K] float32.
    """

    weights: np.ndarray
    biases: np.ndarray


class Fits(NamedTuple):
    """The fits of one label to m images, by strength.

    rows: [m], the numbers of the images, examples first; residuals: target minus probability, [m];
    losses: of each image if it is left out, [m].
    """

    rows: np.ndarray
    residuals: dict[float, np.ndarray]
    losses: dict[float, np.ndarray]


def fit(
    class_embeddings: np.ndarray,
    scale: float,
    bias: float,
    examples: Sequence[ArrayLike],
    counterexamples: Sequence[ArrayLike] | None = None,
) -> Classifiers:
    """Returns the classifiers of K labels. The same input gives the same classifiers.

    A label keeps its text classifier if it has no examples (also if it has counterexamples), or if there is no negative
    for it. Identical images count once. An example of two labels is not a negative of either.

        learned = few_shot.fit(class_embeddings, scale, bias, examples)
        scores = zero_shot.scores(image_embedding, learned.weights, scale, learned.biases)

    Args:
        class_embeddings: [K, E] float32, L2-normalised.
        scale: The temperature, already exponentiated.
        bias: Added after scaling.
        examples: For each label, embeddings of images that show it, [n, E], L2-normalised; n may be 0.
        counterexamples: For each label, embeddings of images that do not show it, [n, E]. None: no label has any.

    Raises:
        ValueError: The shapes do not match, or an embedding is not finite or not L2-normalised.
    """
    if class_embeddings.ndim != 2:
        raise ValueError(f"class_embeddings must be [K, E]. Received: shape {class_embeddings.shape}.")
    num_labels, width = class_embeddings.shape
    if counterexamples is None:
        counterexamples = [np.empty((0, width))] * num_labels
    numbers: dict[bytes, int] = {}
    shown = numbered("examples", examples, class_embeddings.shape, numbers)
    num_shown = len(numbers)
    unwanted = numbered("counterexamples", counterexamples, class_embeddings.shape, numbers)
    images = np.frombuffer(b"".join(numbers), np.float32).reshape(-1, width).astype(np.float64)
    centre = np.zeros(width)
    if num_shown and not all(map(len, shown)):
        centre = np.mean([images[own].mean(axis=0) for own in (*shown, *unwanted) if len(own)], axis=0)
    features = scale * (images - centre)
    weights, biases = np.array(class_embeddings, np.float32), np.full(num_labels, bias, np.float32)
    fits = {}
    for label, negatives in learners(weights, images[:num_shown], shown, unwanted):
        rows = np.append(shown[label], negatives)
        text_logits = scale * images[rows] @ weights[label] + bias
        fits[label] = fit_label(features, rows, text_logits, len(shown[label]))
    choice = weakest([own.losses for label, own in fits.items() if len(shown[label]) > 1])
    for label, own in fits.items():
        strength = choice if len(shown[label]) > 1 else SINGLE_STRENGTH
        change = strength**2 * own.residuals[strength] @ features[own.rows]  # where the gradient of the objective is 0
        weights[label] += change
        biases[label] -= scale * change @ centre
    return Classifiers(weights, biases)


def numbered(
    name: str, groups: Sequence[ArrayLike], shape: tuple[int, ...], numbers: dict[bytes, int]
) -> list[np.ndarray]:
    """Returns the numbers of each label's distinct embeddings, and adds new embeddings to `numbers`.

    Raises:
        ValueError: As `fit` does.
    """
    num_labels, width = shape
    if len(groups) != num_labels:
        raise ValueError(f"{name} must have one array per label. Received: {len(groups)} for {num_labels} labels.")
    found = []
    for label, group in enumerate(groups, start=1):
        rows = np.asarray(group, np.float32)
        if rows.size and (rows.ndim != 2 or rows.shape[1] != width):
            raise ValueError(f"{name} of label {label} must be [n, {width}]. Received: shape {rows.shape}.")
        rows = rows.reshape(-1, width)
        wrong = ~(np.abs(np.linalg.norm(rows, axis=1) - 1) <= NORM_TOLERANCE)  # also if a number is not finite
        if wrong.any():
            raise ValueError(f"{name} of label {label} must be L2-normalised. Received: {wrong.sum()} that are not.")
        own = [numbers.setdefault(row.tobytes(), len(numbers)) for row in rows]
        found.append(np.array(list(dict.fromkeys(own)), np.intp))
    return found


def learners(
    class_embeddings: np.ndarray, images: np.ndarray, shown: Sequence[np.ndarray], unwanted: Sequence[np.ndarray]
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields each label that has examples and negatives, and the numbers of its negatives.

    Args:
        class_embeddings: [K, E].
        images: The examples of all labels, [N, E].
        shown: The numbers of each label's examples.
        unwanted: The numbers of each label's counterexamples.
    """
    labels = [label for label, own in enumerate(shown) if len(own)]
    for start in range(0, len(labels), SEARCH_LABELS):
        searched = labels[start : start + SEARCH_LABELS]
        queries = np.stack([class_embeddings[label] + images[shown[label]].mean(axis=0) for label in searched])
        for label, similarities in zip(searched, queries @ images.T, strict=True):
            others = np.flatnonzero(~np.isin(np.arange(len(images)), [*shown[label], *unwanted[label]]))
            nearest = np.argsort(-similarities[others], kind="stable")[:MAX_OTHERS]
            if negatives := [*unwanted[label], *others[nearest]]:
                yield label, np.array(negatives)


def fit_label(features: np.ndarray, rows: np.ndarray, text_logits: np.ndarray, num_examples: int) -> Fits:
    """Returns the fits of one label.

    Args:
        features: The images, centred and multiplied by the scale, [N, E] float64.
        rows: [m], the numbers of the label's images, examples first.
        text_logits: [m], the logits of the text classifier.
        num_examples: How many of the m images are examples.
    """
    targets = (np.arange(len(rows)) < num_examples).astype(np.float64)
    residuals, losses = {0.0: targets - sigmoid(text_logits)}, {0.0: log_loss(text_logits, targets)}
    basis = features[rows]
    if len(rows) < basis.shape[1]:
        # Coordinates with the same inner products give the same fit, and [m, m] of them are faster than [m, E]. Similar
        # images make the products singular, and the small diagonal makes them regular.
        products = basis @ basis.T
        basis = np.linalg.cholesky(products + np.eye(len(rows)) * max(1e-9 * products.max(), 1e-9))
    change = np.zeros(basis.shape[1])
    for strength in STRENGTHS[1:] if num_examples > 1 else (SINGLE_STRENGTH,):
        change, residuals[strength], left_out = newton(basis, text_logits, targets, strength, change)
        losses[strength] = log_loss(left_out, targets)
    return Fits(rows, residuals, losses)


def newton(
    basis: np.ndarray, text_logits: np.ndarray, targets: np.ndarray, strength: float, change: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the change of the weights with the lowest objective, [r], the residuals, and the left-out logits, [m].

    The images are [m, r], their text logits and targets [m]. `change` is where to start, [r].
    """

    def objective(change: np.ndarray) -> float:
        return float(log_loss(text_logits + basis @ change, targets).sum() + change @ change / (2 * strength**2))

    lowest = objective(change)
    for _ in range(MAX_NEWTON_STEPS):
        logits = text_logits + basis @ change
        residuals = targets - sigmoid(logits)
        curvatures = np.abs(residuals) * (1 - np.abs(residuals))  # p (1 - p)
        hessian = (basis.T * curvatures) @ basis + np.eye(len(change)) / strength**2
        gradient = residuals @ basis - change / strength**2
        step = np.linalg.solve(hessian, gradient)
        if gradient @ step <= TOLERANCE * lowest:
            break
        while (reached := objective(change + step)) > lowest:  # far from the minimum, a whole step can be too long
            step /= 2
        change, lowest = change + step, reached
    leverages = (np.linalg.solve(hessian, basis.T) * basis.T).sum(axis=0)
    influences = leverages / np.maximum(1 - curvatures * leverages, TOLERANCE)
    return change, residuals, logits - influences * residuals


def log_loss(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Returns the loss of each logit, without overflow."""
    losses: np.ndarray = np.logaddexp(0, logits) - targets * logits
    return losses


def weakest(losses: Sequence[dict[float, np.ndarray]]) -> float:
    """Returns the weakest strength whose leave-one-out loss is within one standard error of the lowest.

    The losses are those of each label, [m] for each strength.
    """
    if not losses:
        return 0.0
    table = np.stack([np.concatenate([label[strength] for label in losses]) for strength in STRENGTHS])  # [S, M]
    excess = table - table[table.sum(axis=1).argmin()]
    return STRENGTHS[(excess.mean(axis=1) <= excess.std(axis=1) / np.sqrt(table.shape[1])).argmax()]
