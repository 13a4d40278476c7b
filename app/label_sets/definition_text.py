"""Definitions as a store keeps them: JSON with the number of their format.

Format 2 has what was tuned, and the embeddings of examples. A set without it is written in format 1, which older
versions read too. A version that does not know a format leaves the set in the store, and does not serve it.
"""

import json
import sys

from app.errors import ServiceError
from app.label_sets.definition import LabelSetDefinition, check_label_set
from app.validation import validated

FORMAT, TUNED_FORMAT = 1, 2


def definition_text(definition: LabelSetDefinition) -> str:
    """Returns a definition as a store keeps it."""
    format_ = {"format": TUNED_FORMAT if definition.is_tuned else FORMAT}
    return json.dumps(format_ | definition.whole, ensure_ascii=False, separators=(",", ":"))


def read_definition(text: str | bytes) -> LabelSetDefinition:
    """Returns the definition in a text. It may have more labels than a new set.

    Raises:
        ValueError: It is not JSON, or has another format, or content that this version does not accept.
    """
    try:
        content = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    if not isinstance(content, dict) or content.pop("format", None) not in (FORMAT, TUNED_FORMAT):
        raise ValueError(f'its field "format" is not {FORMAT} or {TUNED_FORMAT}')
    try:
        return check_label_set(validated(LabelSetDefinition, content, strict=True), sys.maxsize)
    except ServiceError as error:
        raise ValueError(str(error)) from None
