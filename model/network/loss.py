"""The pairwise sigmoid loss."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="siglip")
class SigLIPLoss(keras.losses.Loss):
    """-1/B sum_ij log sigmoid(z_ij * logit_ij), z = 1 if image i and text j match, else -1.

    Use: `model.compile(optimizer, loss={"image_logits": SigLIPLoss()})`, then `fit`. The target is one id per pair, or
    the matrix of matches. If each image matches only its own text, the ids are `np.arange(n)`.

    | y_true             | meaning                                         |
    |--------------------|-------------------------------------------------|
    | `[B]`, `[B, 1]`    | ids: z_ij = 1 if id_i == id_j                   |
    | `[B, B]`           | 1 if image i and text j match, else 0           |

    Source: arXiv 2303.15343, algorithm 1; big_vision `trainers/proj/image_text/siglip.py`. Deviation: a row may have
    more than one match.
    """

    def __init__(self, name="siglip_loss", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        """Returns one loss per image, [B], for logits [B, B]."""
        if len(y_true.shape) == 1 or y_true.shape[1] == 1:
            ids = ops.reshape(y_true, (-1, 1))
            y_true = ops.cast(ops.equal(ids, ops.transpose(ids)), y_pred.dtype)
        z = 2.0 * ops.cast(y_true, y_pred.dtype) - 1.0
        return -ops.sum(ops.log_sigmoid(z * y_pred), axis=-1)
