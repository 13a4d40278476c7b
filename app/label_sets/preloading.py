"""An operator's label sets replace stored ones at the start."""

import logging
from collections.abc import Mapping

from app.errors import ServiceError, StoreUnavailable
from app.label_sets.definition import LabelSetDefinition
from app.label_sets.folder import LabelSetFolderError
from app.label_sets.label_set import LabelSet, LabelSetEncoder
from app.label_sets.replica import NO_ENTRY, Entry, Replica
from app.label_sets.store import Conflict
from app.label_sets.tuning import bind, keep_binding
from app.observability.record import RequestRecord

log = logging.getLogger("app")


async def take_over(
    given: Mapping[str, LabelSetDefinition], replica: Replica, encoder: LabelSetEncoder, fault: str | None
) -> None:
    """Stores the given sets, except those that are stored already: replicas with equal folders write them once.

    Args:
        given: The operator's sets.
        replica: The copy of the store.
        encoder: Makes label sets of definitions.
        fault: Why nothing can be stored, or None. If not, the sets are in memory only.

    Raises:
        LabelSetFolderError: A set cannot be used.
        StoreUnavailable: The store does not answer.
    """
    for name, sent in given.items():
        while True:
            entry = replica.entries.get(name, NO_ENTRY)
            try:
                if label_set := await replacement(sent, entry, name, replica, encoder):
                    if fault:
                        log.warning("label set %s is served, but not stored: %s", name, fault)
                        replica.put(name, entry.revision, label_set)
                    else:
                        await replica.write(name, label_set, entry)
                break
            except Conflict:  # another replica starts too
                await replica.refresh(is_start=True)
            except StoreUnavailable:
                raise
            except ServiceError as error:
                raise LabelSetFolderError(f"label set {name}: {error}") from None


async def replacement(
    sent: LabelSetDefinition, entry: Entry, name: str, replica: Replica, encoder: LabelSetEncoder
) -> LabelSet | None:
    """Returns the label set of an operator's definition, or None if the stored set is equal."""
    definition = await encoder.embed_examples(sent, None, RequestRecord("start"))
    definition = keep_binding(definition, entry.label_set.definition if entry.label_set else None)
    if definition.is_tuned and not definition.tuned_for:
        log.warning("label set %s was tuned, but has no tuned_for: this model is used", name)
        definition = bind(definition, encoder.fingerprint)
    if entry.label_set and entry.label_set.definition.digest == definition.digest:
        return None
    return await encoder.assemble(definition, await replica.class_embeddings(definition))


def log_warnings(label_sets: Mapping[str, LabelSet], max_labels: int) -> None:
    """Logs what an operator should know about the loaded sets."""
    counts = {name: len(label_sets[name].definition.labels) for name in sorted(label_sets)}
    if larger := [f"{name} ({count:,})" for name, count in counts.items() if count > max_labels]:
        log.warning(
            "these label sets have more than SIGLIP_MAX_LABELS (%d) labels; they are served, but a PUT with that "
            "many labels is rejected: %s",
            max_labels,
            ", ".join(larger),
        )
    if old := [name for name in counts if label_sets[name].in_force is False]:
        log.warning(
            "these label sets were tuned for another model or other texts, and what was tuned is not in force: %s",
            ", ".join(old),
        )
