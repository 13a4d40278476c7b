"""Which label each key of labelled images means, and which labels of two wordings are the same.

A key is a folder's name, a text in a table, or a class number. Texts are compared as `names.label_text`, without case.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from app.evaluation.names import SHOWN, DataError, label_text, shown


class Placement(NamedTuple):
    """Which label each key means: indices into the labels; and a note for people, or ""."""

    indices: list[int]
    note: str = ""


def renamed(keys: Sequence[str], names: Mapping[str, str]) -> list[str]:
    """Returns the label text of each key: the given one, or the key as `label_text`.

    Raises:
        DataError: A name is given for a key that does not exist.
    """
    if unknown := [key for key in names if key not in keys]:
        raise DataError(f"names are given for labels that the images do not have: {shown(unknown)}")
    return [names.get(key, label_text(key)) for key in keys]


def place(keys: Sequence[str], labels: Sequence[str], *, numbered: bool = False) -> Placement:
    """Returns which label each key means. Keys are folder names, labels of a table, or class numbers.

    The first rule that applies decides. Texts are compared as `label_text`, without case.

    | keys                                      | a key means                                        |
    |-------------------------------------------|----------------------------------------------------|
    | `numbered`                                | the label of this number, counted from 0           |
    | each is the text of exactly one label     | that label                                         |
    | none is a label's text, all are numbers   | the label of this number, counted from 0           |
    | none is a label's text; as many as labels | the label at its place in sorted order, and a note |

    The last rule is torchvision's `ImageFolder`, which ImageNet's folders such as `n01440764` need.

    Args:
        keys: Different from each other.
        labels: The texts of the labels; two may be equal.
        numbered: The keys are class numbers, also if a label's text is a number.

    Raises:
        DataError: No rule applies.
    """
    if numbered:
        return Placement(_by_number(keys, len(labels)))
    texts = [label_text(label).casefold() for label in labels]
    wanted = [label_text(key).casefold() for key in keys]
    known = set(texts)
    missing = [key for key, text in zip(keys, wanted, strict=True) if text not in known]
    if keys and len(missing) == len(keys):
        if all(key.isascii() and key.isdecimal() for key in keys):
            return Placement(_by_number(keys, len(labels)))
        if len(keys) == len(labels):
            order = sorted(range(len(keys)), key=lambda index: keys[index])
            indices = [0] * len(keys)
            for index, key in enumerate(order):
                indices[key] = index
            examples = ", ".join(f"{keys[key]} is {labels[index]}" for index, key in enumerate(order[:SHOWN]))
            return Placement(indices, f"labels are assigned to the sorted names in their order: {examples}, and so on")
    if missing:
        raise DataError(f"there is no label for {shown(missing)}. The {len(labels):,} labels are {shown(labels)}")
    counts = Counter(texts)
    if repeated := [key for key, text in zip(keys, wanted, strict=True) if counts[text] > 1]:
        raise DataError(f"several labels have the text {shown(repeated)}: use the labels' numbers, from 0, as names")
    first = {text: index for index, text in enumerate(texts)}
    return Placement([first[text] for text in wanted])


def _by_number(keys: Sequence[str], num_labels: int) -> list[int]:
    indices = [int(key) for key in keys]
    if max(indices) >= num_labels:
        raise DataError(f"there is no label number {max(indices):,}: there are {num_labels:,} labels, counted from 0")
    return indices


def reorder(labels: Sequence[str], others: Sequence[str]) -> list[int]:
    """Returns, for each label, the index of the same label in another wording.

    | texts                                                   | the same label has               |
    |---------------------------------------------------------|----------------------------------|
    | the same ones, in any order                             | the same text                    |
    | others, and every text of both is at the same place     | the same place                   |

    Raises:
        DataError: The numbers of labels differ, or a text of both is at another place.
    """
    texts, other_texts = ([label_text(label).casefold() for label in each] for each in (labels, others))
    if len(texts) != len(other_texts):
        raise DataError(f"there are {len(others):,} labels instead of {len(labels):,}")
    places: dict[str, list[int]] = {}
    for index, text in enumerate(other_texts):
        places.setdefault(text, []).append(index)
    if Counter(texts) == Counter(other_texts):
        return [places[text].pop(0) for text in texts]
    for index, text in enumerate(texts):
        if text in places and index not in places[text]:
            message = f"{labels[index]} is label {places[text][0] + 1:,} there and {index + 1:,} here"
            raise DataError(f"{message}: give the other wording in the same order")
    return list(range(len(labels)))
