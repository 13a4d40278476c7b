"""The rules for labels, templates and prompts: how many, how long, and what they must hold."""

from collections.abc import Mapping, Sequence

from app.errors import MAX_FAULTS, Fault, InvalidLabels, InvalidRequest, InvalidTemplate
from app.strict_json import parse_json

MAX_TEXT_CHARACTERS = 256  # of a label, or of a template
MAX_PROMPT_CHARACTERS = 1_024  # of a text that is taken as it is
MAX_PLACEHOLDERS = 4  # for the label in a template, or a short one could make megabytes
MAX_TEMPLATES = 100  # or prompts of one label
MAX_PROMPTS = 100_000  # of all labels together


def read_labels(texts: list[str]) -> list[str]:
    """Returns the labels of a form's or a query's `labels` fields.

    A field that stands alone and begins with `[` is a JSON array:

    | fields              | labels               |
    |---------------------|----------------------|
    | `cat`, `dog`        | `cat`, `dog`         |
    | `["cat", "dog"]`    | `cat`, `dog`         |
    | `["[cat]"]`         | `[cat]`              |
    | `[cat]`, `dog`      | `[cat]`, `dog`       |
    | `[cat]`             | InvalidRequest       |

    Raises:
        InvalidRequest: It begins with `[` and is not a JSON array of strings.
    """
    if len(texts) != 1 or not texts[0].lstrip().startswith("["):
        return texts
    try:
        labels = parse_json(texts[0], "labels")
    except InvalidRequest as error:
        reason = error.detail
    else:
        if all(isinstance(label, str) for label in labels):
            return list(labels)
        reason = "labels must be a JSON array of strings."
    hint = 'To send a label that begins with [, put it into an array, ["[a label]"], or send a JSON body.'
    raise InvalidRequest(f"{reason} {hint}", [Fault("/labels", reason)])


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
        Fault(f"/labels/{index}", f"label {index} {fault}")
        for index, label in enumerate(trimmed)
        if (fault := text_fault(label, MAX_TEXT_CHARACTERS))
    ]
    if faults:
        others = f", and {len(faults) - 1:,} more labels are at fault" if len(faults) > 1 else ""
        raise InvalidLabels(f"{faults[0].message.capitalize()}{others}.", faults[:MAX_FAULTS])
    return trimmed


def check_templates(templates: Sequence[str], num_labels: int) -> list[str]:
    """Returns the templates as they are.

    Raises:
        InvalidTemplate: There is none, there are too many, or one has no `{}` or is too long or no text.
    """
    if not 1 <= len(templates) <= MAX_TEMPLATES:
        detail = f"There are {len(templates):,} templates; send 1 to {MAX_TEMPLATES}, or none for the default."
        raise InvalidTemplate(detail, [Fault("/templates", detail)])
    if len(templates) * num_labels > MAX_PROMPTS:
        detail = f"Labels times templates is {len(templates) * num_labels:,}; at most {MAX_PROMPTS:,} are accepted."
        raise InvalidTemplate(detail, [Fault("/templates", detail)])
    faults = [
        Fault(f"/templates/{index}", f"template {index} {fault}")
        for index, template in enumerate(templates)
        if (fault := text_fault(template, MAX_TEXT_CHARACTERS) or place_fault(template))
    ]
    if faults:
        raise InvalidTemplate(f"{faults[0].message.capitalize()}.", faults[:MAX_FAULTS])
    return list(templates)


def check_prompts(prompts: Mapping[int, Sequence[str]], num_others: int) -> dict[int, list[str]]:
    """Returns the prompts that labels bring along, trimmed, by the label's index.

    Args:
        prompts: The prompts of those labels that have their own.
        num_others: How many prompts the templates make of the other labels.

    Raises:
        InvalidLabels: A label has none or too many, there are too many in all, or one is empty or too long.
    """
    total = num_others + sum(map(len, prompts.values()))
    if total > MAX_PROMPTS:
        detail = f"The labels have {total:,} prompts in all; at most {MAX_PROMPTS:,} are accepted."
        raise InvalidLabels(detail, [Fault("/labels", detail)])
    trimmed = {index: [prompt.strip() for prompt in own] for index, own in prompts.items()}
    faults = [
        Fault(f"/labels/{index}/prompts", f"label {index} has {len(own):,} prompts; it must have 1 to {MAX_TEMPLATES}")
        for index, own in trimmed.items()
        if not 1 <= len(own) <= MAX_TEMPLATES
    ] + [
        Fault(f"/labels/{index}/prompts/{place}", f"prompt {place} of label {index} {fault}")
        for index, own in trimmed.items()
        for place, prompt in enumerate(own)
        if (fault := text_fault(prompt, MAX_PROMPT_CHARACTERS))
    ]
    if faults:
        raise InvalidLabels(f"{faults[0].message.capitalize()}.", faults[:MAX_FAULTS])
    return trimmed


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


def text_fault(text: str, max_characters: int) -> str | None:
    """Returns what is wrong with a text, if something is."""
    if not 1 <= len(text) <= max_characters:
        return f"has {len(text):,} characters; it must have 1 to {max_characters:,}"
    return None


def place_fault(template: str) -> str | None:
    """Returns what is wrong with a template's places for the label, if something is."""
    if not 1 <= template.count("{}") <= MAX_PLACEHOLDERS:
        return f"must have {{}} for the label, at most {MAX_PLACEHOLDERS} times"
    return None
