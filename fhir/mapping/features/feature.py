"""What a feature is: one object from which the training vector, the bedside vector, prefetch and the docs come.

A kind of feature is a class here that says how it is read from a record, what has to be asked for, how its value is
shown and what its declaration must hold. A feature is an object of such a class (docs/adding/feature.md).
`map_features` computes the vector of a record; training, the server and batch scoring all use this function.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import nan
from typing import ClassVar, Final, Literal

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from fhir.record.datatypes import FhirTime
from fhir.record.facts import Absent, Found, Refused
from fhir.record.measurement import Measurement
from fhir.record.record import PatientRecord
from fhir.record.refusals import Refusal
from fhir.terminology.analytes import ANALYTES, Analyte

NOT_FOUND = "not found in the chart"
_NAME = re.compile(r"[a-z][a-z0-9_]*")


class FeatureFault(ValueError):
    """A feature that is declared wrongly; the sentence names the file, the line if there is one, and the feature."""

    what_cannot_be_used: ClassVar[str] = "A feature"
    """How a command that it ends begins its sentence."""


def charted_number(value: float) -> str:
    """Return the number as a result sheet prints it: two decimals under 10, one under 100, none above.

    >>> charted_number(2.60438), charted_number(28.349), charted_number(165.278), charted_number(0.03124)
    ('2.6', '28.3', '165', '0.031')
    """
    size = abs(value)
    if 0 < size < 1:
        return f"{value:.2g}"
    places = 2 if size < 10 else 1 if size < 100 else 0
    text = f"{value:.{places}f}"
    return text.rstrip("0").rstrip(".") if places else text


@dataclass(frozen=True, eq=False)
class Feature(ABC):
    """One input of a model or an equation: what it is, in which unit, how old it may be, what a clinician calls it.

    `name` is the column of the training table. `plausible_low` and `plausible_high` bound what is believed at all; the
    range a model was trained on stands in the model's artifact and is narrower. `evidence` says why it is an input.
    """

    name: str
    words: str
    evidence: str
    unit: str = "1"
    plausible_low: float = 0.0
    plausible_high: float = 1.0
    analyte: str = ""
    """The measured quantity that it is read from, a key of tables/analytes.csv; empty where there is none."""
    window_days: int | None = None
    choices: tuple[str, ...] = ()
    """What each value means, for a feature that is a code: the first is 0."""
    only_in_stay: bool = False
    """Whether there is a value only during a stay in hospital, or where one ends: never at an outpatient visit."""

    is_yes_no: ClassVar[bool] = False
    """Whether it is 1 for yes and 0 for what was looked for and not found in the chart."""
    is_count: ClassVar[bool] = False
    """Whether the number alone says it: an age in years, days, visits, points."""
    elements: ClassVar[tuple[str, ...]] = ()
    """The FHIR elements that it is read from where it has no analyte."""
    reads: ClassVar[frozenset[str]] = frozenset()
    """The resource types that it is read from beside Patient and Observation, which the analytes say."""

    @abstractmethod
    def read(self, record: PatientRecord) -> "FeatureValue | Missing":
        """Return the value as of `record.as_of` with its evidence, or why there is none."""

    @property
    def measured(self) -> Analyte | None:
        """The analyte behind it, None where it is not read from one."""
        return ANALYTES[self.analyte] if self.analyte else None

    @property
    def analytes(self) -> tuple[str, ...]:
        """Every analyte it can be read or computed from."""
        return (self.analyte,) if self.analyte else ()

    @property
    def resources(self) -> frozenset[str]:
        """The resource types that it is read from beside Patient and Observation, which the analytes say."""
        return self.reads

    @property
    def codes(self) -> tuple[str, ...]:
        """LOINC codes of the analyte, or the FHIR elements the value is read from."""
        return self.measured.loinc if self.measured is not None else self.elements

    @property
    def source_words(self) -> str:
        """Where it is read from, for the data dictionary: codes or elements, and what else decides."""
        return ", ".join(self.codes)

    def show(self, feature_value: "FeatureValue") -> str:
        """Return the value as it was charted, with its unit, as a card shows it."""
        return (
            feature_value.charted_unit
            if self.choices
            else f"{charted_number(feature_value.charted_value)} {feature_value.charted_unit}".rstrip()
        )

    def lint(self) -> list[str]:
        """Sentences that say what is wrong with the declaration; empty when nothing is."""
        name = self.name.strip() or "(no name)"
        faults = [] if _NAME.fullmatch(name) else [f"{name}: a name has lower-case letters, digits and _ only"]
        required = (
            ("name", self.name),
            ("clinician's words", self.words),
            ("unit", self.unit),
            ("evidence", self.evidence),
        )
        faults += [f"{name}: has no {what}" for what, value in required if not value.strip()]
        if not isinstance(self.window_days, int | None):
            faults.append(f"{name}: window_days is {self.window_days!r}; it must be a whole number of days")
        if not self.plausible_low < self.plausible_high:
            faults.append(f"{name}: plausible range {self.plausible_low} to {self.plausible_high} is empty")
        if self.analyte and self.analyte not in ANALYTES:
            faults.append(f"{name}: analyte {self.analyte!r} is not in tables/analytes.csv, so it has no code")
        return faults

    # What the readers of the kinds share

    def of_measurement(self, measurement: Measurement, value: float | None = None) -> "FeatureValue":
        """Return a value that rests on one measurement; `value` where it is not the measured one itself."""
        return FeatureValue(
            self,
            measurement.value if value is None else value,
            measurement.time.text,
            measurement.source,
            measurement.code,
            measurement.charted_value,
            measurement.charted_unit,
            is_measured=True,
        )

    def is_old(self, time: FhirTime, record: PatientRecord) -> bool:
        """Whether the time lies before the window."""
        return self.window_days is not None and time.whole_days(record.as_of_epoch) > self.window_days

    def missing_measurement(self, lookup: Found | Refused | Absent, what: str = "") -> "Missing":
        """Why there is no value, from the look-up it was wanted from; `what` names the analyte where it is another."""
        if isinstance(lookup, Refused):
            return self.refused(lookup.refused[0])
        last = lookup.last if isinstance(lookup, Absent) else None
        if last is None:
            return Missing(self, "absent", f"{self.words}: not recorded.")
        detail = f": {what}" if what else ""
        charted = f"{last.charted_value:g} {last.charted_unit}"
        text = f"{self.words}{detail} {charted} of {last.time.date}: older than {words_of_period(self.window_days)}."
        return Missing(self, "stale", text)

    def refused(self, refusal: Refusal) -> "Missing":
        """Missing with the reason "refused": a value is on record and cannot be used."""
        # A refusal names its analyte: said once, where the feature is called alike.
        text = refusal.text if refusal.text.startswith(f"{self.words} ") else f"{self.words}: {refusal.text}"
        return Missing(self, "refused", text, refusal.reason == "implausible", refusal)

    def not_requested(self, what: str = "the part of the chart that says so is") -> "Missing":
        """Missing with the reason "unknown": the part of the chart that would tell was not requested."""
        return Missing(self, "unknown", f"{self.words}: {what} not available.")

    def of_chart(self, record: PatientRecord, value: float, words: str, element: str = "") -> "FeatureValue":
        """Return a value that rests on the chart as a whole, or on an element of the Patient."""
        source = f"Patient/{record.patient_id}"
        return FeatureValue(self, value, record.as_of.date().isoformat(), source, element, value, words)


@dataclass(frozen=True, eq=False)
class YesNoFeature(Feature):
    """A feature that is 1 for yes and 0 for no.

    What was looked for and not found is 0 with `is_found` False: "not recorded" is not "absent", and a card says which
    it is. What was not asked for at all is missing.
    """

    is_yes_no: ClassVar[bool] = True

    def show(self, feature_value: "FeatureValue") -> str:
        """Yes, no, or that it was not found."""
        return "yes" if feature_value.value else feature_value.charted_unit if not feature_value.is_found else "no"

    def not_found(self, record: PatientRecord) -> "FeatureValue":
        """Return the value for what was looked for and is not on record: it counts as no, and is shown as not found."""
        return replace(self.of_chart(record, 0.0, NOT_FOUND), is_found=False)


class FeatureValue(Struct, frozen=True, gc=False):
    """One value of a feature with its evidence: where it was found, when, and as what it was charted."""

    feature: Feature
    value: float
    effective: str
    source: str
    code: str
    charted_value: float
    charted_unit: str
    is_found: bool = True
    """False for a yes-or-no that was looked for and not found in the chart; it counts as no and is said so."""
    is_measured: bool = False
    """Whether `charted_value` and `charted_unit` are those of one measurement."""


class Missing(Struct, frozen=True, gc=False):
    """A feature without a usable value, and why: `absent`, `stale`, `refused` or `unknown`.

    `implausible`: the only value on record is one that nobody can have, as a wrong unit makes it. `refusal` is the
    refused value where there is one.
    """

    feature: Feature
    reason: Literal["absent", "stale", "refused", "unknown"]
    text: str
    implausible: bool = False
    refusal: Refusal | None = None


class FeatureVector(Struct):
    """All features of one patient in the order they were asked for; NaN where a value is missing."""

    features: tuple[Feature, ...]
    values: NDArray[np.float64]
    evidence: list[FeatureValue | None]
    missing: list[Missing]

    def only(self, names: Sequence[str]) -> "FeatureVector":
        """Return the same with some of the features, in the order of `names`; KeyError where one is not in it."""
        position_by_name = {feature.name: position for position, feature in enumerate(self.features)}
        chosen = [position_by_name[name] for name in names]
        return FeatureVector(
            tuple(self.features[position] for position in chosen),
            self.values[chosen],
            [self.evidence[position] for position in chosen],
            [gap for gap in self.missing if gap.feature.name in names],
        )


def joined_features(vectors: Iterable[FeatureVector]) -> FeatureVector:
    """Return the features of all, each once, as the first vector that has it says."""
    evidence: dict[str, FeatureValue | None] = {}
    features: dict[str, Feature] = {}
    missing: dict[str, Missing] = {}
    for vector in vectors:
        for gap in vector.missing:
            if gap.feature.name not in features:
                missing[gap.feature.name] = gap
        for feature, value in zip(vector.features, vector.evidence, strict=True):
            if feature.name not in features:
                features[feature.name], evidence[feature.name] = feature, value
    values = [nan if value is None else value.value for value in evidence.values()]
    return FeatureVector(
        tuple(features.values()), np.array(values, dtype=np.float64), list(evidence.values()), list(missing.values())
    )


_TABLES: Final = {"condition group": "condition_groups.csv", "class": "medication_classes.csv"}


def faults_of_keys(feature: Feature, what: str, wanted: Iterable[str], choices: Iterable[str]) -> list[str]:
    """Return a fault for each wanted key that its table does not have; one where none is wanted."""
    unknown = sorted(set(wanted) - set(choices))
    faults = [f"{feature.name}: {what} {key!r} is not in tables/{_TABLES[what]}" for key in unknown]
    return faults if wanted else [f"{feature.name}: names no {what}"]


def words_of_period(days: int | None) -> str:
    """Return "5 years" for 1825 days and "90 days" for 90: in years where it is a whole number of two or more."""
    return f"{days // 365} years" if days and days > 365 and days % 365 == 0 else f"{days} days"


def map_features(record: PatientRecord, features: tuple[Feature, ...]) -> FeatureVector:
    """Return the values of `features` as of `record.as_of`, each with its evidence; a missing one is NaN and named.

    Values are float64 in the feature's unit, shape (len(features),).
    """
    values: list[float] = []
    evidence: list[FeatureValue | None] = []
    missing: list[Missing] = []
    readings = record.derive(_readings).setdefault(record.requested, {})
    for feature in features:
        value = readings.get(feature.name)
        if value is None or value.feature is not feature:
            value = readings[feature.name] = feature.read(record)
        if isinstance(value, Missing):
            missing.append(value)
            evidence.append(None)
            values.append(nan)
        else:
            evidence.append(value)
            values.append(value.value)
    return FeatureVector(features, np.array(values, dtype=np.float64), evidence, missing)


def _readings(_record: PatientRecord) -> dict[frozenset[str] | None, dict[str, "FeatureValue | Missing"]]:
    """Return what was read so far, by what was asked for: equations and models read the same features of a record."""
    return {}
