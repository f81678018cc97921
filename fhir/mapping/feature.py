"""What a feature is: one declaration from which the training vector, the bedside vector, prefetch and docs come."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from fhir.terminology.analytes import ANALYTES, Analyte

Kind = Literal[
    "age",
    "sex",
    "measurement",
    "bmi",
    "egfr",
    "condition",
    "pregnancy",
    "medication",
    "smoker",
    "over",
    "stay",
    "comorbidity",
    "stay_condition",
    "destination",
    "mean_pressure",
    "coma",
    "admission_disease",
    "comorbidity_count",
]
YES_NO = frozenset({"condition", "pregnancy", "medication", "smoker", "over", "stay_condition"})


@dataclass(frozen=True, slots=True, eq=False)
class Feature:
    """One input of a model: what it is, in which unit, how old it may be, what a clinician calls it.

    `name` is the column of the training table. `plausible_low` and `plausible_high` bound what is believed at all;
    the range a model was trained on stands in the model's artifact and is narrower.
    """

    name: str
    words: str
    kind: Kind
    unit: str
    plausible_low: float
    plausible_high: float
    evidence: str
    analyte: str | None = None
    window_days: int | None = None
    aggregation: Literal["newest"] = "newest"
    groups: tuple[str, ...] = ()
    """Condition groups (tables/condition_groups.csv), any of which is a yes."""
    classes: tuple[str, ...] = ()
    """Classes of medicines (tables/medication_classes.csv), an active one of any of which is a yes."""
    limit: float | None = None
    """For a measured value that counts as a yes from here on, or above it where `strictly`."""
    strictly: bool = False
    choices: tuple[str, ...] = ()
    """What each value means, for a feature that is a code: the first is 0."""

    @property
    def is_yes_no(self) -> bool:
        """Whether it is 1 for yes and 0 for what was looked for and not found in the chart."""
        return self.kind in YES_NO

    @property
    def measured(self) -> Analyte | None:
        """The analyte behind it, None for age and sex."""
        return ANALYTES[self.analyte] if self.analyte else None

    @property
    def analytes(self) -> tuple[str, ...]:
        """Every analyte it can be read or computed from."""
        own = (self.analyte,) if self.analyte else ()
        if self.kind == "egfr":
            return (*own, "creatinine")
        if self.kind == "mean_pressure":
            return ("sbp", "dbp")
        return (*own, "body_weight", "body_height") if self.kind == "bmi" else own

    @property
    def resources(self) -> frozenset[str]:
        """The resource types it is read from beside Patient and Observation, which the analytes say."""
        found = {"Condition", "Encounter"} if self.groups or self.kind in _FROM_CONDITIONS else set()
        found |= {"MedicationRequest", "MedicationStatement"} if self.classes else set()
        found |= {"Encounter", "Procedure"} if self.kind == "stay" else set()
        found |= {"Encounter"} if self.kind == "destination" else set()
        return frozenset(found)

    @property
    def codes(self) -> tuple[str, ...]:
        """LOINC codes of the analyte, or the FHIR element the value is read from."""
        if self.measured is not None:
            return self.measured.loinc
        if self.kind in ("age", "sex"):
            return ("Patient.birthDate",) if self.kind == "age" else ("Patient.gender",)
        return _ELEMENTS[self.kind]


_FROM_CONDITIONS = ("pregnancy", "comorbidity", "comorbidity_count", "admission_disease")
_ELEMENTS: dict[Kind, tuple[str, ...]] = {
    "condition": ("Condition.code",),
    "pregnancy": ("Condition.code",),
    "comorbidity": ("Condition.code",),
    "medication": ("MedicationRequest.medication", "MedicationStatement.medication"),
    "smoker": ("Observation.value", "Condition.code"),
    "stay": ("Encounter.period", "Encounter.class"),
    "stay_condition": ("Condition.code",),
    "destination": ("Encounter.hospitalization.dischargeDisposition",),
    "mean_pressure": ("Observation.component",),
    "coma": ("Observation.value",),
    "admission_disease": ("Condition.code",),
    "comorbidity_count": ("Condition.code",),
}


class FeatureValue(Struct, frozen=True, gc=False):
    """One value of a feature with its evidence: where it was found, when, and as what it was charted."""

    feature: Feature
    value: float
    effective: str
    source: str
    code: str
    charted_value: float
    charted_unit: str
    found: bool = True
    """False for a yes-or-no that was looked for and not found in the chart; it counts as no and is said so."""


class Missing(Struct, frozen=True, gc=False):
    """A feature without a usable value, and why: `absent`, `stale`, `refused` or `unknown`.

    `implausible`: the only value on record is one that nobody can have, as a wrong unit makes it.
    """

    feature: Feature
    reason: Literal["absent", "stale", "refused", "unknown"]
    text: str
    implausible: bool = False


class FeatureVector(Struct):
    """All features of one patient in the order they were asked for; NaN where a value is missing."""

    features: tuple[Feature, ...]
    values: NDArray[np.float64]
    evidence: list[FeatureValue | None]
    missing: list[Missing]

    def only(self, names: Sequence[str]) -> "FeatureVector":
        """The same with some of the features, in the order of `names`; KeyError where one is not in it."""
        place = {feature.name: position for position, feature in enumerate(self.features)}
        chosen = [place[name] for name in names]
        return FeatureVector(
            tuple(self.features[position] for position in chosen),
            self.values[chosen],
            [self.evidence[position] for position in chosen],
            [gap for gap in self.missing if gap.feature.name in names],
        )
