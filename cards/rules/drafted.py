"""A drafted medication: what it is and how much of it a day."""

from collections.abc import Callable
from functools import cached_property

from cards.rules.draft import Draft
from fhir.mapping.dose import DailyDose, daily_dose
from fhir.mapping.dose_amount import NO_WEIGHT
from fhir.mapping.medications import Identity, Medications, identify
from fhir.record.measurement import Measurement
from fhir.record.resources import MedicationRequest


class Drafted:
    """A draft that is a medication order, its medication identified; the dose is computed when first asked."""

    def __init__(
        self,
        draft: Draft,
        order: MedicationRequest,
        medications: Medications,
        weigh: Callable[[], Measurement | None] = lambda: None,
    ) -> None:
        self.draft = draft
        self.order = order
        self._weigh = weigh
        self.medication: Identity = identify(order, medications)
        prior = order.priorPrescription
        self.renews = prior.reference if prior is not None else None

    @cached_property
    def dose(self) -> DailyDose:
        """The daily dose with its certainty."""
        dose = daily_dose(self.order, self.medication)
        weight = self._weigh() if dose.problem == NO_WEIGHT else None
        return dose if weight is None else daily_dose(self.order, self.medication, weight.value)

    @property
    def why_no_dose(self) -> tuple[str, str]:
        """Why the daily dose is not known: nothing entered yet, or something that cannot be computed."""
        if not self.order.dosageInstruction:
            return "dose-not-entered", "the dose is not entered yet."
        return "dose-unknown", f"the daily dose cannot be computed: {self.dose.problem or 'not stated'}."
