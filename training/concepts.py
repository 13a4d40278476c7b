"""The concepts to train on, and their names and keywords in fourteen languages.

This module reads emojibase (groups) and CLDR (names, keywords). Of the art it only knows how many sets must draw a
concept. Its tables are in `choices` and `english`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from model.text.tokenizer import canonicalize
from training.choices import CHOSEN_CONCEPTS, WHOLE_SUBGROUPS
from training.english import ALIASES, CHATTER, MISLEADING

LANGUAGES = ("en", "es", "fr", "de", "it", "pt", "nl", "pl", "ru", "ar", "hi", "zh", "ja", "ko")
MIN_TRAINING_SETS = 5
MAX_CONCEPTS_PER_KEYWORD = 8
VARIATION_SELECTOR = "\N{VARIATION SELECTOR-16}"


@dataclass(frozen=True)
class Concept:
    """One pictogram: its emoji, and its group and subgroup in emojibase."""

    emoji: str
    hexcode: str
    group: str
    subgroup: str

    @property
    def plain(self) -> str:
        """The emoji without FE0F, as CLDR and the tables here write it."""
        return self.emoji.replace(VARIATION_SELECTOR, "")


def normalise_hexcode(hexcode: str) -> str:
    """Returns the code points in one form for all packages: lower case, no FE0F, no leading zeros.

    | received       | returned    |
    |----------------|-------------|
    | `2764-FE0F`    | `2764`      |
    | `0023-20E3`    | `23-20e3`   |
    | `1f43b-200d-2744` | the same |
    """
    points = (point.lstrip("0") for point in hexcode.lower().split("-"))
    return "-".join(point for point in points if point != "fe0f")


def is_wanted(concept: Concept) -> bool:
    """Returns whether the tables of `choices` include this emoji."""
    if concept.subgroup in WHOLE_SUBGROUPS:
        return concept.plain not in WHOLE_SUBGROUPS[concept.subgroup].split()
    return concept.plain in CHOSEN_CONCEPTS.get(concept.subgroup, "").split()


def candidates(emojibase: Iterable[Mapping[str, Any]], groups: Mapping[str, Mapping[str, str]]) -> list[Concept]:
    """Returns the emoji that the tables include, in emojibase's order.

    Args:
        emojibase: Rows of emojibase's `data.json`; skin tones are nested in the rows and are ignored.
        groups: Its `groups.json`: the names of `groups` and `subgroups` by number.
    """
    concepts = (
        Concept(
            emoji=row["emoji"],
            hexcode=normalise_hexcode(row["hexcode"]),
            group=groups["groups"].get(str(row.get("group")), ""),
            subgroup=groups["subgroups"].get(str(row.get("subgroup")), ""),
        )
        for row in emojibase
    )
    return [concept for concept in concepts if is_wanted(concept)]


def texts_of(concept: Concept, annotations: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]] | None:
    """Returns `{language: {"name", "keywords"}}`, or None if a language has no name for the concept.

    Args:
        concept: What to name.
        annotations: CLDR's annotations by language, then by emoji.
    """
    texts = {}
    for language in LANGUAGES:
        annotation = annotations[language].get(concept.plain, {})
        if not annotation.get("tts"):
            return None
        texts[language] = {"name": annotation["tts"][0], "keywords": annotation.get("default", [])}
    return texts


def drop_useless_keywords(texts: list[dict[str, dict[str, Any]]]) -> list[dict[str, dict[str, Any]]]:
    """Returns the same texts without the keywords that do not distinguish concepts.

    Drops keywords that only repeat the concept's name or another keyword, that canonicalise to nothing or to a single
    ASCII character, or that more than `MAX_CONCEPTS_PER_KEYWORD` concepts share ("animal", "food"). A shared keyword
    stays with the concepts whose name contains it ("red heart": "heart"), if they are few enough.
    """
    shared: Counter[tuple[str, str]] = Counter()
    in_names: Counter[tuple[str, str]] = Counter()
    for concept in texts:
        for language, text in concept.items():
            for keyword in {canonicalize(keyword) for keyword in text["keywords"]}:
                shared[language, keyword] += 1
                in_names[language, keyword] += name_contains(text["name"], keyword)

    def is_useful(language: str, name: str, keyword: str) -> bool:
        few = shared[language, keyword] <= MAX_CONCEPTS_PER_KEYWORD
        few_names = name_contains(name, keyword) and in_names[language, keyword] <= MAX_CONCEPTS_PER_KEYWORD
        return len(keyword.encode()) > 1 and keyword != canonicalize(name) and (few or few_names)

    return [
        {
            language: {
                "name": text["name"],
                "keywords": [
                    keyword
                    for keyword in unique(text["keywords"])
                    if is_useful(language, text["name"], canonicalize(keyword))
                ],
            }
            for language, text in concept.items()
        }
        for concept in texts
    ]


def name_contains(name: str, keyword: str) -> bool:
    """Returns whether a name contains a canonical keyword: as a word, or anywhere if the script has no spaces."""
    name = canonicalize(name)
    return f" {keyword} " in f" {name} " or (not keyword.isascii() and " " not in name and keyword in name)


def unique(texts: Iterable[str]) -> list[str]:
    """Returns the texts without those that canonicalise to an earlier one."""
    kept: dict[str, str] = {}
    for text in texts:
        kept.setdefault(canonicalize(text), text)
    return list(kept.values())


def everyday(concept: Concept, keywords: Iterable[str]) -> list[str]:
    """Returns a concept's everyday English keywords: aliases first, without chatter and misleading words."""
    aliases = ALIASES[concept.plain].split(", ") if concept.plain in ALIASES else []
    dropped = CHATTER.union(MISLEADING.get(concept.plain, "").split())
    return unique([*aliases, *(keyword for keyword in keywords if keyword not in dropped)])
