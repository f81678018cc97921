"""What is wrong with a table or a folder of FHIR before anything is learned from it: kinds, counts, examples.

Examples are values, codes and units, never an id, a name or a date: a report may be passed on.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]
SHOWN = 8


@dataclass(frozen=True, slots=True)
class DataProblem:
    """One kind of trouble: what, where, how often, and what it looks like."""

    kind: str
    severity: Severity
    where: str
    text: str
    count: int
    examples: tuple[str, ...] = ()


@dataclass(slots=True)
class DataReport:
    """Everything that was found in what was looked at."""

    name: str
    kind: str
    counts: dict[str, int]
    findings: list[DataProblem] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether there is no error; warnings and notes are for a person to weigh."""
        return not any(finding.severity == "error" for finding in self.findings)

    def add(
        self, kind: str, severity: Severity, where: str, text: str, found: Counter[str] | Iterable[Any] | int
    ) -> None:
        """One finding, unless there is nothing of it; the most frequent examples first."""
        examples: tuple[str, ...] = ()
        if isinstance(found, int):
            count = found
        else:
            seen = found if isinstance(found, Counter) else Counter(map(str, found))
            count = sum(seen.values())
            examples = tuple(f"{what} ({times:,})" if times > 1 else what for what, times in seen.most_common(SHOWN))
        if count:
            self.findings.append(DataProblem(kind, severity, where, text, count, examples))
