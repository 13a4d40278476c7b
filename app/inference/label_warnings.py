"""Warnings about labels that the model cuts off, cannot tell apart or cannot read.

All of it follows from the tokens, which are computed anyway.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, chain, islice
from typing import NamedTuple

import numpy as np

from app.inference.encoder import Processor
from app.schemas import ResponseWarning

MAX_NAMED = 3  # labels in a message
MAX_CHARACTERS = 40  # of each
LETTER_OR_DIGIT = re.compile(r"[^\W_]")


class PromptTokens(NamedTuple):
    """N prompts as the model reads them.

    Attributes:
        ids: The token ids, [N, L] int32.
        keys: The same, as N bytes.
        truncated: Whether a prompt has more tokens than fit, [N] bool.
        unknown: Whether a token is unknown or a byte, [N] bool.
        lengths: The number of tokens without padding, [N] int.
    """

    ids: np.ndarray
    keys: list[bytes]
    truncated: np.ndarray
    unknown: np.ndarray
    lengths: np.ndarray


def read_prompts(processor: Processor, prompts: Sequence[str]) -> PromptTokens:
    """Returns the tokens of prompts."""
    ids, *facts = processor.tokenize(prompts)
    return PromptTokens(ids, [row.tobytes() for row in ids], *facts)


def joined(parts: Sequence[PromptTokens]) -> PromptTokens:
    """Returns the tokens of prompts that were read in parts."""
    if len(parts) == 1:
        return parts[0]
    ids, keys, *facts = zip(*parts, strict=True)
    return PromptTokens(np.concatenate(ids), [*chain(*keys)], *map(np.concatenate, facts))


def prompt_warnings(
    processor: Processor, labels: Sequence[str], prompts: Sequence[Sequence[str]]
) -> list[ResponseWarning]:
    """Returns the warnings about K labels, each with its prompts. They are tokenized; nothing is embedded."""
    every = [*chain(*prompts)]
    return label_warnings(processor, labels, every, [len(own) for own in prompts], read_prompts(processor, every))


def label_warnings(
    processor: Processor, labels: Sequence[str], prompts: Sequence[str], counts: Sequence[int], tokens: PromptTokens
) -> list[ResponseWarning]:
    """Returns the warnings about K labels. 10,000 labels take a few milliseconds.

    Args:
        processor: Its vocabulary decides what is readable.
        labels: The K labels.
        prompts: The N prompts of all labels, in the order of the labels.
        counts: The number of prompts of each label; they sum to N.
        tokens: The tokens of the prompts.
    """
    ends = list(accumulate(counts))
    starts = [0, *ends[:-1]]
    spans = [slice(start, end) for start, end in zip(starts, ends, strict=True)]
    truncated = np.flatnonzero(np.logical_or.reduceat(tokens.truncated, starts)).tolist()
    groups = alike([b"".join(tokens.keys[span]) for span in spans])
    unknown = np.logical_and.reduceat(tokens.unknown, starts)
    suspects = [index for index, label in enumerate(labels) if unknown[index] or not LETTER_OR_DIGIT.search(label)]
    unreadable = find_unreadable(processor, labels, {index: prompts[spans[index]] for index in suspects})
    return list(warnings_of(labels, processor.info.context_length, truncated, groups, unreadable))


def truncated_and_unreadable(
    processor: Processor, texts: Sequence[str], tokens: PromptTokens
) -> tuple[list[int], list[int]]:
    """Returns the indices of texts that do not fit into the model's context, and of texts that it cannot read."""
    suspects = [i for i, text in enumerate(texts) if tokens.unknown[i] or not LETTER_OR_DIGIT.search(text)]
    unreadable = find_unreadable(processor, texts, {index: [texts[index]] for index in suspects})
    return np.flatnonzero(tokens.truncated).tolist(), unreadable


def alike(keys: Sequence[bytes]) -> list[list[int]]:
    """Returns the indices of equal keys, a group for each key that occurs more than once."""
    if len(set(keys)) == len(keys):
        return []
    groups: dict[bytes, list[int]] = {}
    for index, key in enumerate(keys):
        groups.setdefault(key, []).append(index)
    return [group for group in groups.values() if len(group) > 1]


def find_unreadable(processor: Processor, labels: Sequence[str], suspects: Mapping[int, Sequence[str]]) -> list[int]:
    """Returns the indices of labels of which the model reads nothing.

    A label that is part of all its prompts is judged by itself, and another one by its prompts.

    Args:
        processor: Its vocabulary decides what is readable.
        labels: The labels.
        suspects: The prompts of the labels to judge, by index.
    """
    judged = {
        index: [labels[index]] if all(labels[index] in prompt for prompt in own) else own
        for index, own in suspects.items()
    }
    texts = [(index, text) for index, own in judged.items() for text in own]
    readable = processor.is_readable([text for _, text in texts]) if texts else ()
    return sorted(
        judged.keys() - {index for (index, _), is_readable in zip(texts, readable, strict=True) if is_readable}
    )


def warnings_of(
    labels: Sequence[str], context_length: int, truncated: list[int], groups: list[list[int]], unreadable: list[int]
) -> Iterator[ResponseWarning]:
    """Yields a warning for each kind that there is."""
    if truncated:
        yield ResponseWarning(
            code="labels_truncated",
            message=f"The model reads only {context_length} tokens of a prompt, so the end is cut off for "
            f"{named(labels, truncated)}. Labels that differ only there have the same scores.",
            labels=truncated,
        )
    if groups:
        others = f" There are {len(groups) - 1:,} more such groups." if len(groups) > 1 else ""
        yield ResponseWarning(
            code="labels_alike",
            message=f"The model reads the same tokens for {named(labels, groups[0])}, so they have the same scores and "
            f"share the softmax.{others}",
            labels=sorted(index for group in groups for index in group),
        )
    if unreadable:
        yield ResponseWarning(
            code="labels_unreadable",
            message=f"The model cannot read {named(labels, unreadable)}: it was not trained on any of the characters. "
            "The scores of such labels mean nothing.",
            labels=unreadable,
        )


def named(labels: Sequence[str], indices: Sequence[int]) -> str:
    """Returns the first labels in quotes, and how many more there are."""
    names = [f'"{shortened(labels[index])}"' for index in islice(indices, MAX_NAMED)]
    if more := len(indices) - len(names):
        return f"{', '.join(names)} and {more:,} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def shortened(label: str) -> str:
    """Returns the beginning of a long label."""
    return label if len(label) <= MAX_CHARACTERS else f"{label[:MAX_CHARACTERS]}…"
