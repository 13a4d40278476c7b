"""Labels to classifiers without a service, for commands: warnings are printed, and errors end the command."""

from collections.abc import Callable

from app.batch import BatchError, BatchMistake
from app.batch.classifiers import embedded_classifiers
from app.cli import MISTAKE, as_command_error
from app.cli.printing import print_warnings
from app.inference.acceptance import NOT_IN_FORCE, Tuning
from app.inference.encoder import Encoder
from app.inference.identity import model_fingerprint
from app.label_sets.definition import LabelSetDefinition
from app.label_sets.tuning import make_tuning
from app.settings import Settings
from model.few_shot import Classifiers


def local_tuning(encoder: Encoder, settings: Settings, definition: LabelSetDefinition) -> Tuning | None:
    """Returns what was tuned for the labels, as the service would use it. Prints a warning if it is not in force."""
    tuning = make_tuning(definition, model_fingerprint(encoder.info, settings))
    if tuning and not tuning.in_force:
        print_warnings([NOT_IN_FORCE])
    return tuning


def local_classifiers(
    encoder: Encoder, settings: Settings, definition: LabelSetDefinition, on_stage: Callable[[str], None]
) -> Classifiers:
    """Returns the classifiers of the labels, as the service would use them.

    Raises:
        CommandError: The device failed, or the set has examples that cannot be used.
    """
    with as_command_error(BatchError), as_command_error(BatchMistake, status=MISTAKE):
        return embedded_classifiers(encoder, settings, definition, on_stage)
