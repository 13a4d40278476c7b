"""Learns classifiers from a few example images per label, in NumPy: embeddings in, weights and biases out.

Each label gets a logistic regression on the image embedding. It starts from the label's text classifier and is pulled
towards it, and it gives a logit on the same scale:

    logit = scale * (weights . image_embedding) + bias      without examples: weights = class embedding

Positives are the label's examples; negatives are its counterexamples and the other labels' examples. With y = 1 or -1,
a fit minimises the sum of these terms over its images, plus the penalty:

    log(1 + exp(-y * logit))        penalty: |weights - class_embedding|^2 / (2 * strength^2)

Images are centred on their mean, and the bias moves such that the logit of the mean image stays. Without this, labels
with examples would rise or fall as a whole, and would not rank fairly with labels that have none. The solution is the
class embedding plus a combination of the m images (representer theorem), so Newton's method solves m x m systems, or
E x E systems if they are smaller.

The strength is chosen by leave-one-out, once for all labels that have at least two examples, because a choice for each
label from two or five images is mostly chance. The choice is the weakest strength whose loss is within one standard
error of the lowest; "text only" is the weakest. A label with one example gets `SINGLE_STRENGTH`.

The constants were chosen on art that the embedded checkpoint was trained on, drawn in harder scenes, turned, inverted
or shrunk, and with wrong or vague names; no held-out art was used. They are relative to a text embedding of length 1,
so they do not depend on a checkpoint's scale. They were not measured with other checkpoints.

Source:
    LP++ (Huang et al., CVPR 2024): a linear probe that contains the text embeddings, without learning rates to tune. It
    blends text and images in a softmax; here each label is a sigmoid that starts from its text.
    CLAP (Silva-Rodriguez et al., CVPR 2024): the penalty on the distance from the text classifier, and no validation
    set. It derives the penalty from the text's accuracy on the examples; here leave-one-out chooses it.
    Tip-Adapter (Zhang et al., ECCV 2022): adds similarities to the examples to the text's logits. Here they are linear,
    so they become part of the weights and scoring costs the same as without examples.
    Rad and Maleki, JRSS-B 2020: approximate leave-one-out, one Newton step away from the full fit.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from model.zero_shot import sigmoid

STRENGTHS = (0.0, 0.03, 0.06, 0.12, 0.18, 0.25)  # 0: text only
SINGLE_STRENGTH = 0.18
# Other labels' examples per label: those most similar to its text and its examples. The logits of the rest are so low
# that they hardly change the fit.
MAX_OTHERS = 64
MAX_NEWTON_STEPS = 50
TOLERANCE = 1e-7  # of the objective, relative
NORM_TOLERANCE = 0.01  # an embedding that was stored as float16 is not exactly normalised
BLOCK_NUMBERS = 4_000_000  # numbers in the largest array of a block of labels, which bounds the memory


class Classifiers(NamedTuple):
    """K linear classifiers: `logit = scale * (weights . image_embedding) + bias`.

    weights: [K, E] float32, in units of the scale: for a label without examples its class embedding; biases: [K]
    float32; scale: the temperature, already exponentiated.
    """

    weights: np.ndarray
    biases: np.ndarray
    scale: float


class Block(NamedTuple):
    """Labels with equally many training images, which are fitted together.

    labels: [b]; rows: [b, m], the row of each image: the label's n examples first, then its negatives; num_examples: n.
    """

    labels: np.ndarray
    rows: np.ndarray
    num_examples: int


def text_classifiers(class_embeddings: np.ndarray, scale: float, bias: float) -> Classifiers:
    """Returns the classifiers of labels without examples. They give the logits of `zero_shot.scores`, bit for bit."""
    return Classifiers(class_embeddings, np.full(len(class_embeddings), bias, np.float32), scale)


def logits(image_embeddings: np.ndarray, classifiers: Classifiers) -> np.ndarray:
    """Returns the logits of one image, [K], or of several, [B, K], from embeddings [E] or [B, E]."""
    # Not a matrix product: as in `zero_shot.scores`, equal classifiers must get equal scores.
    cosines = np.vecdot(classifiers.weights, image_embeddings[..., np.newaxis, :])
    logits: np.ndarray = np.float32(classifiers.scale) * cosines + classifiers.biases
    return logits


def fit(
    class_embeddings: np.ndarray,
    scale: float,
    bias: float,
    examples: Sequence[np.ndarray],
    counterexamples: Sequence[np.ndarray] | None = None,
) -> Classifiers:
    """Returns the classifiers of K labels. The same input gives the same classifiers.

    A label keeps its text classifier if it has no examples (also if it has counterexamples), or if there is no negative
    for it. Identical examples of a label count once. An example of two labels is not a negative of either.

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
    shown = checked("examples", examples, num_labels, width)
    unwanted = checked("counterexamples", counterexamples or [np.empty((0, width))] * num_labels, num_labels, width)
    weights, biases, _ = text_classifiers(class_embeddings.copy(), scale, bias)
    if not any(len(own) for own in shown):
        return Classifiers(weights, biases, scale)
    centre = np.mean([own.mean(axis=0) for own in (*shown, *unwanted) if len(own)], axis=0)
    images = np.concatenate([*shown, *unwanted]) - centre
    fits = []
    for block in blocks(class_embeddings, shown, unwanted):
        text = class_embeddings[block.labels].astype(np.float64)
        text_logits = scale * (np.matvec(images[block.rows], text) + (text @ centre)[:, np.newaxis]) + bias
        fits.append((block, *candidates(scale * images[block.rows], text_logits, block.num_examples)))
    choice = weakest([losses for block, _, losses in fits if block.num_examples > 1])
    for block, residuals, _ in fits:
        strength = STRENGTHS.index(SINGLE_STRENGTH) if block.num_examples == 1 else choice
        change = scale * STRENGTHS[strength] ** 2 * np.vecmat(residuals[strength], images[block.rows])  # [b, E]
        weights[block.labels] += change
        biases[block.labels] -= scale * change @ centre
    return Classifiers(weights, biases, scale)


def checked(name: str, groups: Sequence[np.ndarray], num_labels: int, width: int) -> list[np.ndarray]:
    """Returns each label's embeddings as [n, E] float64 without duplicates.

    Raises:
        ValueError: As for `fit`.
    """
    if len(groups) != num_labels:
        raise ValueError(f"{name} must have one array per label. Received: {len(groups)} for {num_labels} labels.")
    arrays = []
    for number, group in enumerate(groups, start=1):
        received = np.asarray(group, np.float32)
        if received.size and (received.ndim != 2 or received.shape[1] != width):
            raise ValueError(f"{name} of label {number} must be [n, {width}]. Received: shape {received.shape}.")
        unique = {row.tobytes(): row for row in received.reshape(-1, width)}
        array = np.array(list(unique.values()), np.float64).reshape(-1, width)
        wrong = ~(np.abs(np.linalg.norm(array, axis=1) - 1) <= NORM_TOLERANCE)  # also if a number is not finite
        if wrong.any():
            raise ValueError(f"{name} of label {number} must be L2-normalised. Received: {wrong.sum()} that are not.")
        arrays.append(array)
    return arrays


def blocks(class_embeddings: np.ndarray, shown: list[np.ndarray], unwanted: list[np.ndarray]) -> Iterator[Block]:
    """Yields the labels that have examples and negatives. Rows count the examples first, then the counterexamples."""
    images = np.concatenate(shown).astype(np.float32)
    owners = np.repeat(np.arange(len(shown)), [len(own) for own in shown])
    starts = len(images) + np.cumsum([0, *(len(own) for own in unwanted)])
    first: dict[bytes, int] = {}
    identities = np.array([first.setdefault(row.tobytes(), number) for number, row in enumerate(images)])
    learners = np.unique(owners)
    alike: dict[tuple[int, int], list[tuple[int, np.ndarray]]] = defaultdict(list)
    step = max(1, BLOCK_NUMBERS // len(images))
    for labels in np.split(learners, range(step, len(learners), step)):
        queries = [class_embeddings[label] + shown[label].mean(axis=0) for label in labels]
        similarities = np.array(queries, np.float32) @ images.T  # [b, N]
        for label, similarity in zip(labels.tolist(), similarities, strict=True):
            own = np.flatnonzero(owners == label)
            similarity[np.isin(identities, identities[own])] = -np.inf
            others = np.argsort(-similarity, kind="stable")[: min(MAX_OTHERS, np.isfinite(similarity).sum())]
            negatives = np.append(np.arange(starts[label], starts[label + 1]), others)
            if len(negatives):
                alike[len(own), len(negatives)].append((label, np.append(own, negatives)))
    for (num_examples, num_negatives), group in alike.items():
        size = num_examples + num_negatives
        step = max(1, BLOCK_NUMBERS // (size * max(size, images.shape[1])))
        for start in range(0, len(group), step):
            numbers, rows = zip(*group[start : start + step], strict=True)
            yield Block(np.array(numbers), np.array(rows), num_examples)


def candidates(images: np.ndarray, text_logits: np.ndarray, num_examples: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the fits of b labels with every strength: residuals and leave-one-out losses, both [S, b, m].

    The change of the weights is the sum of the images times residuals, times the strength's square.

    Args:
        images: [b, m, E] float64, centred and multiplied by the scale.
        text_logits: [b, m], the logits of the text classifiers.
        num_examples: How many of the m images are examples.
    """
    _, num_images, width = images.shape
    targets = (np.arange(num_images) < num_examples).astype(np.float64)
    basis = images  # the coordinates of the images, [b, m, r]: any with the same inner products
    if num_images < width:
        # Identical images make the product singular, and the small diagonal makes it regular.
        gram = images @ images.swapaxes(1, 2)
        basis = np.linalg.cholesky(gram + 1e-9 * gram.max() * np.eye(num_images))
    change = np.zeros(basis.shape[::2])  # of the weights, [b, r]
    residuals, losses = [targets - sigmoid(text_logits)], [log_loss(text_logits, targets)]
    for strength in STRENGTHS[1:]:
        change, logits, left_out = newton(basis, text_logits, targets, strength, change)
        residuals.append(targets - sigmoid(logits))
        losses.append(log_loss(left_out, targets))
    return np.stack(residuals), np.stack(losses)


def newton(
    basis: np.ndarray, text_logits: np.ndarray, targets: np.ndarray, strength: float, change: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the change of the weights with the lowest objective, [b, r], the logits, and those if left out, [b, m].

    Args:
        basis, text_logits, targets: [b, m, r], [b, m], [m].
        strength: Of the penalty.
        change: Where to start, [b, r].
    """

    def evaluate(change: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the logits, [b, m], and the objective, [b]."""
        logits = text_logits + np.matvec(basis, change)
        return logits, log_loss(logits, targets).sum(axis=1) + (change**2).sum(axis=1) / (2 * strength**2)

    logits, lowest = evaluate(change)
    converged = False
    for _ in range(MAX_NEWTON_STEPS):
        probabilities = sigmoid(logits)
        curvatures = probabilities * (1 - probabilities)
        hessian = (basis.swapaxes(1, 2) * curvatures[:, np.newaxis]) @ basis + np.eye(basis.shape[2]) / strength**2
        if converged:
            break
        gradient = np.vecmat(targets - probabilities, basis) - change / strength**2
        step = np.linalg.solve(hessian, gradient[..., np.newaxis])[..., 0]
        logits, reached = evaluate(change + step)
        while (worse := reached > lowest * (1 + TOLERANCE)).any():  # far from the minimum, a whole step can be too long
            step[worse] /= 2
            logits, reached = evaluate(change + step)
        converged = bool((lowest - reached <= TOLERANCE * lowest).all())
        change, lowest = change + step, reached
    leverages = (np.linalg.solve(hessian, basis.swapaxes(1, 2)).swapaxes(1, 2) * basis).sum(axis=2)
    influences = leverages / np.maximum(1 - curvatures * leverages, TOLERANCE)
    return change, logits, logits - influences * (targets - probabilities)


def log_loss(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Returns the loss of each logit, without overflow."""
    losses: np.ndarray = np.logaddexp(0, logits) - targets * logits
    return losses


def weakest(losses: Sequence[np.ndarray]) -> int:
    """Returns the index of the weakest strength whose loss is within one standard error of the lowest.

    Args:
        losses: The losses of images that were left out, [S, ...] for S strengths; may be empty.
    """
    if not losses:
        return 0
    table = np.concatenate([each.reshape(len(STRENGTHS), -1) for each in losses], axis=1)
    excess = table - table[table.sum(axis=1).argmin()]
    return int((excess.mean(axis=1) <= excess.std(axis=1) / np.sqrt(table.shape[1])).argmax())
