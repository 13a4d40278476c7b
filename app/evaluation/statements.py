"""What the table of `siglip evaluate` and the report say in words. The texts are plain: neither HTML nor escaped."""

from app.evaluation.evaluation import Evaluation
from app.evaluation.names import shown
from app.evaluation.result import Warned


def how_chosen(evaluation: Evaluation) -> str:
    """Returns which images thresholds and calibration were chosen on, and which ones they were measured on."""

    def images(count: int, sources: str) -> str:
        names = evaluation.settings.get(sources)
        return f"{count:,} images" + (f" of {', '.join(map(str, names))}" if isinstance(names, list) and names else "")

    measured = images(evaluation.data.images, "data")
    if evaluation.chosen_on:
        chosen = images(evaluation.chosen_on.images, "chosen_on")
        return f"Chosen on {chosen}. Measured on {measured}, which were not used for choosing."
    tuned = evaluation.thresholds or evaluation.calibration
    if tuned and tuned.held_out:
        return (
            f"Chosen on {measured}. Measured on the same images in at most five parts: each part with what was chosen "
            "on the other parts."
        )
    return f"Chosen on {measured}. There are too few images to measure on others."


def warning_text(evaluation: Evaluation, warning: Warned) -> str:
    """Returns a warning with the first labels that it is about."""
    names = shown([evaluation.labels[index] for index in warning.labels])
    return f"{warning.message} ({names})" if names else warning.message
