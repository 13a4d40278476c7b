"""Trains the embedded checkpoint: `python -m training.train`. Resumes an interrupted run.

Why this recipe: from random weights, the pairwise sigmoid loss of small batches stays on a plateau (every pair gets the
answer "no"). One learnt prototype per concept, which both towers must find by a softmax, moves them off the plateau and
fades out towards the end. The sigmoid loss is used from the start, and alone at the end. The images get harder during
the first half of the training.
"""

import argparse
import math
from pathlib import Path

import keras
from keras import ops

from model.checkpoint.weights import save_checkpoint
from model.network.loss import SigLIPLoss
from model.network.siglip import SigLIP
from model.published import EMBEDDED, EMBEDDED_DIRECTORY, VARIANTS
from model.text.tokenizer import SigLIPTokenizer
from training.batches import Batches, read_corpus

BUILD = Path(__file__).parent / "build"
STEPS_PER_EPOCH = 100


class PrototypeTraining(keras.Model):
    """A SigLIP and one prototype per concept. Trains with `fit` on `Batches`.

    Args:
        siglip: The model to train.
        num_concepts: C.
        total_steps: The steps of the whole training; the prototypes fade out between 60 % and 95 % of them.
    """

    def __init__(self, siglip: SigLIP, num_concepts: int, total_steps: int):
        super().__init__()
        self.siglip, self.total_steps = siglip, total_steps
        self.pairwise = SigLIPLoss()
        self.prototypes = self.add_weight(
            shape=(num_concepts, siglip.config.embed_dim),
            initializer=keras.initializers.RandomNormal(),
            name="prototypes",
        )
        self.prototype_scale = self.add_weight(
            shape=(), initializer=keras.initializers.Constant(math.log(10.0)), name="prototype_scale"
        )
        self.accuracy = keras.metrics.Mean(name="image_to_concept")
        self.built = True

    def call(self, inputs):
        return self.siglip(inputs)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Returns pairwise sigmoid loss + fading weight * (image + text) cross-entropy with the prototypes."""
        progress = ops.cast(self.optimizer.iterations, "float32") / self.total_steps
        directions = self.prototypes / ops.norm(self.prototypes, axis=-1, keepdims=True)
        scale = ops.exp(self.prototype_scale)
        image_logits = scale * ops.matmul(y_pred["image_embedding"], ops.transpose(directions))
        text_logits = scale * ops.matmul(y_pred["text_embedding"], ops.transpose(directions))
        self.accuracy.update_state(ops.equal(ops.argmax(image_logits, -1), ops.argmax(y["image_concepts"], -1)))
        guidance = keras.losses.categorical_crossentropy(
            y["image_concepts"], image_logits, from_logits=True, label_smoothing=0.05
        ) + keras.losses.categorical_crossentropy(y["text_concepts"], text_logits, from_logits=True)
        fade = ops.clip((0.95 - progress) / 0.35, 0.0, 1.0)
        ramp = ops.clip(progress / 0.15, 0.1, 1.0)
        return ramp * self.pairwise(y["pairs"], y_pred["image_logits"]) + fade * ops.mean(guidance)


class Harder(keras.callbacks.Callback):
    """Raises the difficulty of the images from 0.1 to 1 in the first half of the training."""

    def __init__(self, batches: Batches, epochs: int):
        super().__init__()
        self.batches, self.epochs = batches, epochs

    def on_epoch_begin(self, epoch, logs=None):
        self.batches.difficulty = min(1.0, 0.1 + 0.9 * epoch / (0.5 * self.epochs))


def train(build: Path, output: Path, *, epochs: int, batch_size: int, learning_rate: float, seed: int) -> None:
    """Trains for `epochs` times 100 steps and writes the checkpoint directory."""
    keras.utils.set_random_seed(seed)
    corpus = read_corpus(build)
    siglip = SigLIP(VARIANTS[EMBEDDED[0]][EMBEDDED[1]].config)
    siglip.logit_bias.assign(-math.log(batch_size))
    tokenizer = SigLIPTokenizer(
        build / "spiece.model", siglip.config.text.context_length, siglip.config.text.vocab_size
    )
    steps = epochs * STEPS_PER_EPOCH
    model = PrototypeTraining(siglip, len(corpus.concepts), steps)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, steps, warmup_target=learning_rate, warmup_steps=min(300, steps // 10), alpha=0.0
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=0.05, beta_2=0.98, global_clipnorm=1.0)
    optimizer.exclude_from_weight_decay(var_names=["bias", "beta", "gamma", "position", "probe", "scale", "prototypes"])
    model.compile(optimizer=optimizer, jit_compile=True)
    batches = Batches(corpus, tokenizer, batch_size=batch_size, steps=STEPS_PER_EPOCH, seed=seed)
    build.mkdir(parents=True, exist_ok=True)
    model.fit(
        batches,
        epochs=epochs,
        verbose=1,
        callbacks=[
            keras.callbacks.BackupAndRestore(build / f"backup_{output.name}"),
            Harder(batches, epochs),
            keras.callbacks.CSVLogger(build / f"log_{output.name}.csv", append=True),
            keras.callbacks.TerminateOnNaN(),
        ],
    )
    save_checkpoint(siglip, output, dtype="float16", tokenizer=tokenizer)
    print(f"wrote {output}")


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=BUILD, help="folder that `python -m training.prepare` wrote")
    parser.add_argument("--output", type=Path, default=EMBEDDED_DIRECTORY / EMBEDDED[1])
    parser.add_argument("--epochs", type=int, default=80, help=f"number of epochs, of {STEPS_PER_EPOCH} steps each")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    options = vars(parser.parse_args())
    if not (options["build"] / "concepts.json").is_file():
        parser.error(f"{options['build']} has no prepared data. Run `python -m training.prepare` first.")
    train(options.pop("build"), options.pop("output"), **options)


if __name__ == "__main__":
    main()
