"""What is missing of a chart of which only the facts that an answer read were kept (`kept_facts.py`)."""

from msgspec import Struct

from fhir.record.measurement import RecordError


class NotKept(RecordError):
    """Something is asked that was in the chart and was not kept, because the answer did not read it; `what` names it.

    An empty list in its place would look like a patient without findings.
    """

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} was in the chart and was not kept, because the answer had not read it")
        self.what = what


class FactLimits(Struct, frozen=True):
    """Of a whole chart nothing is limited."""

    left_out: frozenset[str] = frozenset()
    """Analytes that were there and are not here."""
    partial: frozenset[str] = frozenset()
    """Analytes of which only the newest values are here."""
    scans: frozenset[str] | None = None
    """What the Observations were looked through for; None where all are here."""


NO_LIMITS = FactLimits()
