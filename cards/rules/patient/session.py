"""One patient and the drafts of one session: what all rules share, each derived once and only when asked."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Self

from cards.rules.patient import measurements
from cards.rules.patient.medication_session import MedicationSession, newest_weight
from cards.rules.patient.orders import DraftOrder
from fhir.mapping.allergies import (
    Allergy,
    allergies,
    allergies_by_ingredient,
    allergy_to_class,
    allergy_to_ingredient,
)
from fhir.mapping.conditions import ConditionHit, find_condition
from fhir.mapping.kidney import KidneyEstimate, KidneyFunction, crcl_cockcroft_gault, egfr_best
from fhir.mapping.medications.identity import MedicationIdentity
from fhir.mapping.pregnancy import Gestation, gestation, negative_test_since
from fhir.mapping.pregnancy_signs import PregnancySign
from fhir.mapping.shown_by_results import shown_by_result
from fhir.mapping.stays import is_inpatient
from fhir.record.measurement import Measurement
from fhir.record.record import PatientRecord


class PatientSession(MedicationSession):
    """The record, and the drafts of the session as medications and as tests."""

    def __init__(
        self,
        record: PatientRecord,
        drafts: Iterable[DraftOrder],
        *,
        signing: bool = False,
        active_orders: bool = False,
        base: "Self | None" = None,
    ) -> None:
        super().__init__(record, drafts, signing=signing, active_orders=active_orders, base=base)
        self._kidney: dict[str, KidneyFunction] = {} if base is None else base._kidney
        self._conditions: dict[str, ConditionHit | None] = {} if base is None else base._conditions
        self.results_shown: dict[str, Measurement] = {} if base is None else base.results_shown
        self._labs: dict[tuple[str, float | None], list[Measurement]] = {} if base is None else base._labs

    @property
    def patient_reference(self) -> str:
        """The Patient resource."""
        return f"Patient/{self.record.patient_id}"

    def condition(self, key: str) -> ConditionHit | None:
        """The newest condition that means the key, on the problem list or shown by a result."""
        if key not in self._conditions:
            self._conditions[key] = find_condition(self.record, key) or self._shown_by_result(key)
        return self._conditions[key]

    def _shown_by_result(self, key: str) -> ConditionHit | None:
        shown = shown_by_result(self.record, key)
        if shown is None:
            return None
        self.results_shown[key] = shown
        return ConditionHit(key, measurements.say(shown), "", shown.source, shown.time, "active")

    @cached_property
    def knows_conditions(self) -> bool:
        """Whether the problem list was asked for."""
        return self.record.was_requested("Condition")

    @cached_property
    def knows_allergies(self) -> bool:
        """Whether the allergy list was asked for."""
        return self.record.was_requested("AllergyIntolerance")

    @cached_property
    def allergies_by_ingredient(self) -> Mapping[str, Sequence[Allergy]]:
        """The drug allergies and intolerances by the RxNorm codes of their ingredients."""
        return allergies_by_ingredient(self.record)

    def is_allergic_to_ingredient(self, rxcui: str) -> bool:
        """Whether an allergy or intolerance to the ingredient is on the list."""
        return allergy_to_ingredient(self.record, rxcui) is not None

    def is_allergic_to_class(self, name: str) -> bool:
        """Whether an allergy or intolerance to the class or to a member of it is on the list."""
        return allergy_to_class(self.record, name) is not None

    def is_allergic_to(self, medication: MedicationIdentity) -> bool:
        """Whether an allergy or intolerance to an ingredient of the medication or a class of it is on the list."""
        return any(
            allergy.allergen.classes & medication.classes
            or any(medication.has(ingredient.rxcui) for ingredient in allergy.allergen.ingredients)
            for allergy in allergies(self.record)
        )

    @cached_property
    def gestation(self) -> Gestation | None:
        """How far a pregnancy is that is going on."""
        hit = self.condition("pregnancy")
        if hit is None:
            return None
        return gestation(self.record, hit.time if hit.is_onset else None, hit.source)

    @cached_property
    def pregnancy_doubt(self) -> PregnancySign | None:
        """A negative test that came after the pregnancy was charted."""
        hit = self.condition("pregnancy")
        return negative_test_since(self.record, hit.time) if hit is not None else None

    @cached_property
    def age_years(self) -> int | None:
        """Completed years."""
        return self.record.age_years()

    @cached_property
    def weight(self) -> Measurement | None:
        """The newest weight; a child's only of the last 90 days."""
        return newest_weight(self.record)

    def lab(self, analyte: str, max_age_days: float | None) -> Measurement | None:
        """The newest usable value within so many days; of two with one timestamp the higher one.

        Its `side` is set where the newest result says only on which side of a number it lies.
        """
        # CLARIFICATIONS: two values with one timestamp count as the worse for the drug.
        return max(self._together(analyte, max_age_days), key=_value, default=None)

    def lowest(self, analyte: str, max_age_days: float | None) -> Measurement | None:
        """The same where the lower one of two with one timestamp is the worse."""
        return min(self._together(analyte, max_age_days), key=_value, default=None)

    def _together(self, analyte: str, max_age_days: float | None) -> list[Measurement]:
        key = (analyte, max_age_days)
        measurements_together = self._labs.get(key)
        if measurements_together is None:
            measurements_together = self.record.newest_together(analyte, max_age_days)
            bound = measurements.newer_bound(self.record, analyte, max_age_days)
            measurements_together = self._labs[key] = [bound] if bound is not None else measurements_together
        return measurements_together

    # Kidney

    def kidney(self, name: str) -> KidneyFunction:
        """An estimate of kidney function (a name of ESTIMATES), or why there is none."""
        function = self._kidney.get(name)
        if function is None:
            function = self._kidney[name] = self._derive(name)
        return function

    def _derive(self, name: str) -> KidneyFunction:
        if name == "egfr_best":
            return egfr_best(self.record)
        return crcl_cockcroft_gault(self.record, "actual" if name == "crcl_actual_weight" else "adjusted")

    @cached_property
    def unstable_notes(self) -> tuple[str, ...]:
        """What to say when creatinine is changing or the kidneys are acutely injured."""
        egfr = self.kidney("egfr_best")
        estimate = egfr if isinstance(egfr, KidneyEstimate) else egfr.old
        if estimate is None or not estimate.unstable:
            return ()
        return (measurements.unstable_note(self.record.measurements("creatinine")),)

    @property
    def kidney_window(self) -> str:
        """How far back kidney function is looked for."""
        return "30 days" if is_inpatient(self.record) else "12 months"

    def why_no_kidney_function(self, name: str) -> tuple[str, str]:
        """The reason code and the sentence for a missing estimate."""
        function = self.kidney(name)
        if isinstance(function, KidneyEstimate):
            return "kidney-function-stale", "kidney function is too old."
        code = {"under-18": "under-18", "stale": "kidney-function-stale"}.get(
            function.reason, "kidney-function-missing"
        )
        return code, function.text


def _value(measurement: Measurement) -> float:
    return measurement.value
