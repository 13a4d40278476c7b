"""The table of the Helm chart's values, from deploy/helm/values.yaml: the comment above a value is its meaning."""

import json
from collections.abc import Iterator
from pathlib import Path

import yaml

VALUES = Path(__file__).parent.parent / "deploy/helm/values.yaml"


def helm_values_table() -> str:
    """Returns every value of the chart, its default and its meaning."""
    rows = []
    for name, default, meaning in helm_values():
        shown = default if isinstance(default, str) else json.dumps(default)
        rows.append(f"| `{name}` | {f'`{shown}`' if shown else ''} | {meaning} |")
    return "\n".join(["| value | default | meaning |", "|---|---|---|", *rows])


def helm_values() -> list[tuple[str, object, str]]:
    """Returns the name of each value, such as `image.tag`, its default and its meaning, or "" if it has no comment."""
    text = VALUES.read_text(encoding="utf-8")
    return list(described(yaml.compose(text), text.splitlines()))


def described(mapping: yaml.MappingNode, lines: list[str], prefix: str = "") -> Iterator[tuple[str, object, str]]:
    """Yields the values below a mapping. If a mapping's entries have no comments, it is one value."""
    for key, value in mapping.value:
        name = prefix + key.value
        if isinstance(value, yaml.MappingNode) and any(comment_above(lines, entry) for entry in keys_below(value)):
            yield from described(value, lines, f"{name}.")
        else:
            yield name, yaml.safe_load(yaml.serialize(value)), comment_above(lines, key)


def keys_below(mapping: yaml.MappingNode) -> Iterator[yaml.Node]:
    """Yields the keys of a mapping and of the mappings in it."""
    for key, value in mapping.value:
        yield key
        if isinstance(value, yaml.MappingNode):
            yield from keys_below(value)


def comment_above(lines: list[str], node: yaml.Node) -> str:
    """Returns the comment directly above a node, as one line."""
    end = start = node.start_mark.line
    while start and lines[start - 1].lstrip().startswith("#"):
        start -= 1
    return " ".join(line.strip(" #") for line in lines[start:end])
