"""Features of the current hospital stay: how long, what came before it, what was diagnosed in it, where it ends.

Earlier visits and stays are counted before the current stay; where none is going on, before the moment of the call.

Evidence: the columns of two studies with what each means in FHIR, README-diabetes130.md and README-support2.md of the
data folder. What was looked for and not found counts as no only where the stay has diagnoses at all; a stay without
any is a stay whose diagnoses nobody has written yet, and its conditions are missing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from fhir.mapping.features.conditions import HasCondition
from fhir.mapping.features.feature import Feature, FeatureValue, Missing
from fhir.mapping.stays import (
    DESTINATIONS,
    YEAR_DAYS,
    Stay,
    StayFact,
    admitted_as_emergency,
    current_stay,
    current_stay_source,
    discharge_destination,
    emergency_visits_before,
    length_of_stay,
    outpatient_visits_before,
    procedure_in_stay,
    stays_before,
)
from fhir.record.record import PatientRecord, relative_reference
from fhir.record.resources import Condition
from fhir.terminology.conditions import condition_groups_of

_NOT_A_DESTINATION = ("died", "hospice")


def _no_read(_record: PatientRecord, _stay: Stay) -> StayFact:
    raise NotImplementedError


@dataclass(frozen=True, eq=False)
class HospitalUse(Feature):
    """A number about the current stay, as `count` finds it (fhir/mapping/stays.py)."""

    only_in_stay: bool = True
    count: Callable[[PatientRecord, Stay], StayFact] = _no_read

    is_count: ClassVar[bool] = True
    elements: ClassVar[tuple[str, ...]] = ("Encounter.period", "Encounter.class")
    reads: ClassVar[frozenset[str]] = frozenset({"Encounter", "Procedure"})

    def read(self, record: PatientRecord) -> FeatureValue | Missing:
        """Return the number; missing without a stay or without the visits."""
        if not record.was_requested("Encounter"):
            return self.not_requested("visits and stays are")
        if self.count is procedure_in_stay and not record.was_requested("Procedure"):
            return self.not_requested("procedures are")
        stay = current_stay(record)
        if stay is None:
            return Missing(self, "absent", f"{self.words}: no stay in hospital is going on.")
        return self.counted(self.count(record, stay), stay.start.text)

    def counted(self, fact: StayFact, effective: str) -> FeatureValue | Missing:
        """Return the number with its words and source; refused where nobody can have so many."""
        value, words, source = fact
        if value > self.plausible_high:  # a stay since 1900-01-01, the same visit sent a thousand times
            text = f"{self.words}: {value:,.0f} {words} is outside the plausible range: not used."
            return Missing(self, "refused", text, implausible=True)
        return FeatureValue(self, value, effective, source, "", value, words)

    @property
    def source_words(self) -> str:
        """The elements, and what is counted."""
        return f"{', '.join(self.codes)}; {_DEFINITIONS[self.counted_by]}"

    @property
    def counted_by(self) -> Callable[..., StayFact]:
        """The function that counts."""
        return self.count

    def lint(self) -> list[str]:
        """Faults of the declaration; what is counted must be given."""
        says_nothing = self.only_in_stay and self.count is _no_read
        return Feature.lint(self) + ([f"{self.name}: does not say what it counts"] if says_nothing else [])


@dataclass(frozen=True, eq=False)
class EarlierUse(HospitalUse):
    """A number of stays or visits before the current stay; where none is going on, before the moment of the call."""

    only_in_stay: bool = False
    before: Callable[[PatientRecord, Stay | None], StayFact] = stays_before

    def read(self, record: PatientRecord) -> FeatureValue | Missing:
        """Return the number, dated by the stay before which it is, else by the call; missing without the visits."""
        if not record.was_requested("Encounter"):
            return self.not_requested("visits and stays are")
        return self.counted(self.before(record, current_stay(record)), _start_of_stay(record))

    @property
    def counted_by(self) -> Callable[..., StayFact]:
        """The function that counts, without its window."""
        return self.before.func if isinstance(self.before, partial) else self.before


@dataclass(frozen=True, eq=False)
class StayDiagnosis(HasCondition):
    """Whether a diagnosis of the current stay is in one of the groups."""

    only_in_stay: bool = True

    def read(self, record: PatientRecord) -> FeatureValue | Missing:
        """Return the diagnosis; missing while the stay has none at all."""
        diagnosed = _diagnoses(record, self)
        if isinstance(diagnosed, Missing):
            return diagnosed
        for condition in diagnosed:
            for coding in condition.code.coding if condition.code is not None else ():
                if any(group in self.groups for group in condition_groups_of(coding.system, coding.code)):
                    return self._of(record, condition, coding.code)
        return self.not_found(record)

    def _of(self, record: PatientRecord, condition: Condition, code: str) -> FeatureValue:
        when = condition.onsetDateTime or condition.recordedDate or _start_of_stay(record)
        source = f"Condition/{condition.id}" if condition.id else current_stay_source(record)
        words = condition.code.words if condition.code is not None else ""
        return FeatureValue(self, 1.0, when, source, code, 1.0, words)


@dataclass(frozen=True, eq=False)
class DischargeDestination(Feature):
    """The discharge destination of the current stay, as a position among the choices."""

    only_in_stay: bool = True
    elements: ClassVar[tuple[str, ...]] = (
        "Encounter.hospitalization.dischargeDisposition",
        "Encounter.hospitalization.destination",
    )
    reads: ClassVar[frozenset[str]] = frozenset({"Encounter"})

    def read(self, record: PatientRecord) -> FeatureValue | Missing:
        """Return the destination; missing where it is not known yet, or is none of the choices."""
        destination = discharge_destination(record)
        if destination is None or destination[0].words not in self.choices:
            return Missing(self, "absent", f"{self.words} is not known yet.")
        matched, stay = destination
        choice_index = float(self.choices.index(matched.words))
        return FeatureValue(self, choice_index, stay.start.text, stay.source, matched.key, choice_index, matched.words)


def _diagnoses(record: PatientRecord, feature: Feature) -> list[Condition] | Missing:
    """Return the conditions that name the current stay as their encounter, and are not of a later time than `as_of`."""
    if not record.was_requested("Condition"):
        return feature.not_requested("the diagnoses are")
    stay = current_stay(record)
    if stay is None:
        return Missing(feature, "absent", f"{feature.words}: no stay in hospital is going on.")
    diagnoses = record.derive(_diagnoses_of_current_stay)
    return diagnoses or Missing(feature, "absent", f"{feature.words}: no diagnosis of this stay is charted.")


def _diagnoses_of_current_stay(record: PatientRecord) -> list[Condition]:
    source = current_stay_source(record)
    return [
        condition
        for condition in record.facts(Condition)
        if condition.encounter is not None and relative_reference(condition.encounter.reference) == source
    ]


def _start_of_stay(record: PatientRecord) -> str:
    stay = current_stay(record)
    return stay.start.text if stay is not None else record.as_of.date().isoformat()


_BEFORE = "begun before the current stay, or over before the call, in"
_WINDOW = "(6 months: 182.625 days, 12 months: 365.25; of a window in days so many completed days)"
_DEFINITIONS: Mapping[Callable[..., StayFact], str] = {
    length_of_stay: "nights: calendar days from begin to end of the encounter, or to the call, at the UTC offset of "
    "the begin",
    admitted_as_emergency: "1 after an emergency visit that ended in the day before or later, or where admission "
    "source or priority says so",
    procedure_in_stay: "1 with a coded procedure from the begin of the encounter on",
    stays_before: f"stays {_BEFORE} the window {_WINDOW}; stays that touch, and transfers within a day, are one; parts "
    "of a stay are none; planned stays count",
    emergency_visits_before: f"EMER {_BEFORE} the window {_WINDOW}, without the one that led to the stay",
    outpatient_visits_before: f"AMB, VR and HH {_BEFORE} the window {_WINDOW}",
}
_LACE = "an item of LACE (van Walraven 2010) or HOSPITAL (Donze 2016)"
_READMISSION = "an input of readmission in Diabetes 130-US hospitals 1999-2008 (Strack 2014)"
_AMONG_DIAGNOSES = f"{_READMISSION}: among the diagnoses of the stay"


def _diagnosed(name: str, words: str, *groups: str) -> StayDiagnosis:
    return StayDiagnosis(name, words, _AMONG_DIAGNOSES, groups=groups)


def _use(
    name: str, words: str, evidence: str, highest: float, count: Callable[[PatientRecord, Stay], StayFact],
    unit: str = "1",
) -> HospitalUse:  # fmt: skip
    return HospitalUse(name, words, evidence, unit=unit, plausible_high=highest, count=count)


def _before(
    name: str, words: str, evidence: str, highest: float, before: Callable[[PatientRecord, Stay | None], StayFact]
) -> EarlierUse:
    return EarlierUse(name, words, evidence, plausible_high=highest, before=before)


_DESTINATIONS = tuple(destination.words for destination in DESTINATIONS if destination.key not in _NOT_A_DESTINATION)
FEATURES: tuple[Feature, ...] = (
    _use("length_of_stay_days", "Days in hospital", _LACE, 3650, length_of_stay, "d"),
    _use("admitted_as_emergency", "Admitted as an emergency", _LACE, 1, admitted_as_emergency),
    _before("ed_visits_6m", "Emergency visits in the 6 months before", _LACE, 200, emergency_visits_before),
    _before("admissions_12m", "Hospital stays in the 12 months before", _LACE, 100, stays_before),
    _use("procedure_in_stay", "Procedure in the stay", _LACE, 1, procedure_in_stay),
    _before(
        "ed_visits_12m",
        "Emergency visits in the 12 months before",
        _READMISSION,
        200,
        partial(emergency_visits_before, days=YEAR_DAYS),
    ),
    _before(
        "outpatient_visits_12m",
        "Outpatient visits in the 12 months before",
        _READMISSION,
        400,
        outpatient_visits_before,
    ),
    DischargeDestination(
        "discharge_destination",
        "Where the stay ends",
        _READMISSION,
        plausible_high=len(_DESTINATIONS) - 1,
        choices=_DESTINATIONS,
    ),
    _diagnosed("stay_heart_failure", "Heart failure in this stay", "heart_failure"),
    _diagnosed("stay_copd", "COPD in this stay", "copd", "bronchitis_unspecified"),
    _diagnosed("stay_kidney_disease", "Chronic kidney disease in this stay", "ckd_any"),
    _diagnosed("stay_kidney_injury", "Acute kidney injury in this stay", "aki"),
    _diagnosed("stay_diabetes_complicated", "Diabetes with complications in this stay", "diabetes_complicated"),
    _diagnosed("stay_cancer", "Cancer in this stay", "cancer_any"),
    _diagnosed("stay_cancer_metastatic", "Metastatic cancer in this stay", "cancer_metastatic"),
    _diagnosed("stay_stroke_tia", "Stroke or TIA in this stay", "stroke_tia"),
    _diagnosed("stay_artery_disease", "Peripheral artery disease in this stay", "peripheral_artery"),
    _diagnosed("stay_thromboembolism", "Venous thromboembolism in this stay", "venous_thromboembolism"),
    _diagnosed("stay_liver_disease", "Liver disease in this stay", "liver_mild", "liver_severe"),
)
