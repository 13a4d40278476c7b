"""What is reported about one request: in its log line, its Server-Timing header, the metrics and its trace."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class RequestRecord:
    """Collects the facts about one request while it is handled; `app.http.telemetry` reports them.

    Args:
        request_id: The id in the response and in the log.
        timings_s: Seconds by stage.
        facts: Values for the log line, by name. Sizes and counts only, never labels or image bytes.
    """

    request_id: str
    timings_s: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def count(self, **numbers: int) -> None:
        """Adds to facts that are numbers."""
        for name, number in numbers.items():
            self.facts[name] = self.facts.get(name, 0) + number

    def time(self, **seconds: float) -> None:
        """Keeps the time of each stage; if a stage ran several times at once, the longest."""
        for name, duration in seconds.items():
            self.timings_s[name] = max(duration, self.timings_s.get(name, 0.0))
