"""The rules for labels, templates and prompts: how many, how long, and what they must contain."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from app.errors import MAX_FAULTS, Fault, InvalidLabels, InvalidRequest, InvalidTemplate
from app.schemas import ResponseWarning
from app.validation import BOM, parse_json

MAX_TEXT_CHARACTERS = 256  # of a label or a template
MAX_PROMPT_CHARACTERS = 1_024  # of a text that is embedded as it is
MAX_PLACEHOLDERS = 4  # in a template: a short one with many could make megabytes
MAX_TEMPLATES = 100  # also: prompts of one label
MAX_PROMPTS = 100_000  # of all labels together
SEPARATOR = re.compile(r"[,;\r\n\x85\u2028\u2029，、；،؛]")  # commas and semicolons of other scripts too; line breaks
LABELS_SPLIT = ResponseWarning(
    code="labels_split",
    message="labels was one text, and was split at its commas, semicolons and line breaks. "
    'To score one label that has them, send a JSON array: ["a label, with a comma"].',
)


class GivenLabels(NamedTuple):
    """Labels as a person has given them, not yet checked, and whether they were split."""

    labels: list[str]
    split: bool = False


def read_labels(texts: list[str]) -> GivenLabels:
    """Returns the labels of the `labels` fields of a form or a query, or of `--labels`.

    A text that stands alone is a JSON array if it begins with `[`. Otherwise it is split:

    | fields              | labels               | split |
    |---------------------|----------------------|-------|
    | `cat`, `dog`        | `cat`, `dog`         | no    |
    | `cat, dog; a bird`  | `cat`, `dog`, `a bird` | yes |
    | `a, b`, `dog`       | `a, b`, `dog`        | no    |
    | `["cat, dog"]`      | `cat, dog`           | no    |
    | `[cat]`, `dog`      | `[cat]`, `dog`       | no    |
    | `[cat]`             | InvalidRequest       |       |

    Raises:
        InvalidRequest: It begins with `[` and is not a JSON array of strings.
    """
    if len(texts) != 1:
        return GivenLabels(texts)
    text = texts[0].removeprefix(BOM).strip()
    if text.startswith("["):
        return GivenLabels(read_label_array(text))
    if not SEPARATOR.search(text):
        return GivenLabels(texts)
    return GivenLabels([label for part in SEPARATOR.split(text) if (label := part.strip())], split=True)


def read_label_array(text: str) -> list[str]:
    """Returns the labels of a JSON array.

    Raises:
        InvalidRequest: It is not a JSON array of strings.
    """
    try:
        labels = parse_json(text, "labels")
    except InvalidRequest as error:
        reason = error.detail
    else:
        if all(isinstance(label, str) for label in labels):
            return list(labels)
        reason = "labels must be a JSON array of strings."
    hint = 'To send a label that begins with [, put it into an array, ["[a label]"], or send a JSON body.'
    raise InvalidRequest.at("/labels", f"{reason} {hint}")


def check_labels(labels: Sequence[str], max_labels: int) -> list[str]:
    """Returns the labels trimmed, in their order, with duplicates.

    Raises:
        InvalidLabels: There are none or too many, or one is empty or too long.
    """
    if not 1 <= len(labels) <= max_labels:
        raise InvalidLabels.at("/labels", f"There are {len(labels):,} labels; send 1 to {max_labels:,}.")
    trimmed = [label.strip() for label in labels]
    faults = faults_in(trimmed, "label", lambda label: length_fault(label, MAX_TEXT_CHARACTERS))
    if faults:
        others = f", and {len(faults) - 1:,} more labels are wrong" if len(faults) > 1 else ""
        raise InvalidLabels(f"{faults[0].message.capitalize()}{others}.", faults[:MAX_FAULTS])
    return trimmed


def check_templates(templates: Sequence[str], num_labels: int) -> list[str]:
    """Returns the templates unchanged.

    Raises:
        InvalidTemplate: There are none or too many, or one has no `{}`, or is empty or too long.
    """
    if not 1 <= len(templates) <= MAX_TEMPLATES:
        detail = f"There are {len(templates):,} templates; send 1 to {MAX_TEMPLATES}, or none for the default."
        raise InvalidTemplate.at("/templates", detail)
    if len(templates) * num_labels > MAX_PROMPTS:
        detail = f"Labels times templates is {len(templates) * num_labels:,}; at most {MAX_PROMPTS:,} are accepted."
        raise InvalidTemplate.at("/templates", detail)
    faults = faults_in(templates, "template", lambda text: length_fault(text, MAX_TEXT_CHARACTERS) or place_fault(text))
    if faults:
        raise InvalidTemplate(f"{faults[0].message.capitalize()}.", faults[:MAX_FAULTS])
    return list(templates)


def check_prompts(prompts: Mapping[int, Sequence[str]], num_others: int) -> dict[int, list[str]]:
    """Returns the prompts of labels that have their own, trimmed, by the label's index.

    Args:
        prompts: The prompts by label.
        num_others: The number of prompts that the templates make of the other labels.

    Raises:
        InvalidLabels: A label has no prompts or too many, there are too many in all, or one is empty or too long.
    """
    total = num_others + sum(map(len, prompts.values()))
    if total > MAX_PROMPTS:
        raise InvalidLabels.at(
            "/labels", f"The labels have {total:,} prompts in all; at most {MAX_PROMPTS:,} are accepted."
        )
    trimmed = {index: [prompt.strip() for prompt in own] for index, own in prompts.items()}
    faults = []
    for index, own in trimmed.items():
        name, pointer = f"label {index + 1}", f"/labels/{index}/prompts"
        if not 1 <= len(own) <= MAX_TEMPLATES:
            faults.append(Fault(pointer, f"{name} has {len(own):,} prompts; it must have 1 to {MAX_TEMPLATES}"))
        for place, prompt in enumerate(own):
            if fault := length_fault(prompt, MAX_PROMPT_CHARACTERS):
                faults.append(Fault(f"{pointer}/{place}", f"prompt {place + 1} of {name} {fault}"))
    if faults:
        raise InvalidLabels(f"{faults[0].message.capitalize()}.", faults[:MAX_FAULTS])
    return trimmed


def check_texts(texts: Sequence[str], max_texts: int) -> list[str]:
    """Returns the texts unchanged.

    Raises:
        InvalidLabels: There are none or too many, or one is blank or too long.
    """
    if not 1 <= len(texts) <= max_texts:
        raise InvalidLabels.at("/texts", f"There are {len(texts):,} texts; send 1 to {max_texts:,}.")
    if faults := faults_in(texts, "text", text_fault):
        raise InvalidLabels(f"{faults[0].message.capitalize()}.", faults[:MAX_FAULTS])
    return list(texts)


def text_fault(text: str) -> str | None:
    """Returns what is wrong with a text that is embedded as it is, or None."""
    if not text.strip() or len(text) > MAX_PROMPT_CHARACTERS:
        return f"must have 1 to {MAX_PROMPT_CHARACTERS:,} characters that are not all blank"
    return None


def faults_in(texts: Sequence[str], name: str, fault_of: Callable[[str], str | None]) -> list[Fault]:
    """Returns a fault for each text that has one. Pointers count from 0, sentences from 1."""
    return [
        Fault(f"/{name}s/{index}", f"{name} {index + 1} {fault}")
        for index, text in enumerate(texts)
        if (fault := fault_of(text))
    ]


def length_fault(text: str, max_characters: int) -> str | None:
    """Returns what is wrong with a text's length, or None."""
    if not 1 <= len(text) <= max_characters:
        return f"has {len(text):,} characters; it must have 1 to {max_characters:,}"
    return None


def place_fault(template: str) -> str | None:
    """Returns what is wrong with the number of a template's placeholders, or None."""
    if not 1 <= template.count("{}") <= MAX_PLACEHOLDERS:
        return f"must contain {{}} for the label, at most {MAX_PLACEHOLDERS} times"
    return None
