"""What all parts of an evaluation's result share: documented dataclasses, numbers with an interval, warnings.

A number that cannot be computed is null in JSON, never NaN.
"""

from dataclasses import dataclass, field

from pydantic import ConfigDict


class Documented:
    """A dataclass whose JSON schema has the strings below its fields as descriptions, and that refuses NaN."""

    __pydantic_config__ = ConfigDict(use_attribute_docstrings=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Estimate(Documented):
    """A number with its 95 % interval."""

    value: float
    low: float | None = None
    """The lower end of the 95 % interval; null if no interval was computed."""
    high: float | None = None
    """The upper end of the 95 % interval; null if no interval was computed."""


@dataclass(frozen=True)
class Warned(Documented):
    """Something a reader must know before trusting the numbers."""

    code: str
    message: str
    labels: list[int] = field(default_factory=list)
    """Indices of the labels it is about."""
