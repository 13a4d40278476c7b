"""The rules for labels and templates: how many, how long, and what they must hold."""

from collections.abc import Sequence

from app.errors import MAX_FAULTS, Fault, InvalidLabels, InvalidTemplate

MAX_TEXT_CHARACTERS = 256  # of a label, or of a template
MAX_PROMPT_CHARACTERS = 1_024  # of a text that is taken as it is
MAX_PLACES = 4  # for the label in a template, or a short one could make megabytes
MAX_TEMPLATES = 100
MAX_PROMPTS = 100_000  # labels x templates


def check_labels(labels: Sequence[str], max_labels: int) -> list[str]:
    """Returns the labels trimmed, in their order, duplicates kept.

    Raises:
        InvalidLabels: There is none, there are too many, or one is empty or too long.
    """
    if not 1 <= len(labels) <= max_labels:
        detail = f"There are {len(labels):,} labels; send 1 to {max_labels:,}."
        raise InvalidLabels(detail, [Fault("/labels", detail)])
    trimmed = [label.strip() for label in labels]
    faults = [
        Fault(
            f"/labels/{index}", f"label {index} has {len(label):,} characters; it must have 1 to {MAX_TEXT_CHARACTERS}"
        )
        for index, label in enumerate(trimmed)
        if not 1 <= len(label) <= MAX_TEXT_CHARACTERS
    ]
    if faults:
        others = f", and {len(faults) - 1:,} more labels are at fault" if len(faults) > 1 else ""
        raise InvalidLabels(f"{faults[0].message.capitalize()}{others}.", faults[:MAX_FAULTS])
    return trimmed


def check_templates(templates: Sequence[str], num_labels: int) -> list[str]:
    """Returns the templates as they are.

    Raises:
        InvalidTemplate: There is none, there are too many, or one has no `{}` or is too long.
    """
    if not 1 <= len(templates) <= MAX_TEMPLATES:
        detail = f"There are {len(templates):,} templates; send 1 to {MAX_TEMPLATES}, or none for the default."
        raise InvalidTemplate(detail, [Fault("/templates", detail)])
    if len(templates) * num_labels > MAX_PROMPTS:
        detail = f"Labels times templates is {len(templates) * num_labels:,}; at most {MAX_PROMPTS:,} are accepted."
        raise InvalidTemplate(detail, [Fault("/templates", detail)])
    rule = f"must have {{}} for the label, at most {MAX_PLACES} times, and {MAX_TEXT_CHARACTERS} characters at most"
    faults = [
        Fault(f"/templates/{index}", f"template {index} {rule}")
        for index, template in enumerate(templates)
        if not 1 <= template.count("{}") <= MAX_PLACES or len(template) > MAX_TEXT_CHARACTERS
    ]
    if faults:
        raise InvalidTemplate(f"{faults[0].message.capitalize()}.", faults[:MAX_FAULTS])
    return list(templates)


def check_texts(texts: Sequence[str], max_texts: int) -> list[str]:
    """Returns the texts as they are.

    Raises:
        InvalidLabels: There is none, there are too many, or one is blank or too long.
    """
    if not 1 <= len(texts) <= max_texts:
        detail = f"There are {len(texts):,} texts; send 1 to {max_texts:,}."
        raise InvalidLabels(detail, [Fault("/texts", detail)])
    faults = [
        Fault(f"/texts/{index}", f"text {index} must have 1 to {MAX_PROMPT_CHARACTERS:,} characters, not all blank")
        for index, text in enumerate(texts)
        if not text.strip() or len(text) > MAX_PROMPT_CHARACTERS
    ]
    if faults:
        raise InvalidLabels(f"{faults[0].message.capitalize()}.", faults[:MAX_FAULTS])
    return list(texts)
