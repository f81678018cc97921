"""A medication beside the draft: one that the patient is on, that ended lately, or another draft."""

from cards.rules.draft import Draft
from cards.rules.drafted import Drafted
from fhir.mapping.dose import DailyDose, daily_dose
from fhir.mapping.medications import Identity, Order
from fhir.record.time import FhirTime


class Taken:
    """A medication the patient is on, or one of the drafts (`drafted`); `ended` is its end where it is over."""

    __slots__ = ("_dose", "drafted", "ended", "medication", "order", "since", "source")

    def __init__(
        self,
        medication: Identity,
        source: str,
        since: str | None,
        order: Order,
        *,
        drafted: Drafted | None = None,
        ended: FhirTime | None = None,
    ) -> None:
        self.medication = medication
        self.source = source
        self.since = since
        self.order = order
        self.drafted = drafted
        self.ended = ended
        self._dose: DailyDose | None = None

    @property
    def draft(self) -> Draft | None:
        """The draft that it is, None for what is on the record."""
        return self.drafted.draft if self.drafted is not None else None

    @property
    def dose(self) -> DailyDose:
        """How much of it."""
        if self._dose is None:
            drafted = self.drafted
            self._dose = drafted.dose if drafted is not None else daily_dose(self.order, self.medication)
        return self._dose


def is_beside(one: Taken, drafted: Drafted) -> bool:
    """Whether it is neither the draft itself nor the order that it renews."""
    return one.source != drafted.renews if one.drafted is None else one.drafted is not drafted
