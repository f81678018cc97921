"""Features of the problem list: conditions that are there or not, tobacco, and the Charlson index."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from fhir.mapping.conditions import ConditionHit, condition_hits, find_condition, problems_of
from fhir.mapping.features.feature import Feature, FeatureValue, Missing, YesNoFeature, faults_of_keys, words_of_period
from fhir.mapping.features.measured import limit_words, read_past_limit
from fhir.mapping.tobacco import read_smoking_answer
from fhir.record.datatypes import FhirTime
from fhir.record.measurement import USABLE_STATUS, effective_time
from fhir.record.record import PatientRecord
from fhir.record.resources import Observation
from fhir.terminology.conditions import CHARLSON_ITEMS, CONDITION_GROUPS, CharlsonItem

_YEAR, _TWO_YEARS, _QUARTER = 365, 730, 90


@dataclass(frozen=True, eq=False)
class HasCondition(YesNoFeature):
    """Whether the record has a condition of one of the groups; with an analyte and a limit, a value past it too.

    With a window alone: what has no clinical status counts only as long, as a diagnosis of an earlier stay has none.
    """

    groups: tuple[str, ...] = ()
    """Condition groups (tables/condition_groups.csv), any of which is a yes."""
    limit: float | None = None
    """For a measured value that counts as a yes from here on."""

    elements: ClassVar[tuple[str, ...]] = ("Condition.code",)
    reads: ClassVar[frozenset[str]] = frozenset({"Condition", "Encounter"})

    def read(self, record: PatientRecord) -> FeatureValue | Missing:
        """Read the condition with its words and date; else whether the value has reached the limit; else not found."""
        hit = find_condition(record, *self.groups)
        if hit is not None and self._is_current(record, hit):
            return _of_condition(self, record, hit)
        if not record.was_requested("Condition"):
            return self.not_requested()
        return read_past_limit(self, record, self.limit) if self.limit is not None else self.not_found(record)

    def _is_current(self, record: PatientRecord, hit: ConditionHit) -> bool:
        if self.limit is not None or hit.status == "active" or hit.time is None:
            return True
        return not self.is_old(hit.time, record)

    @property
    def source_words(self) -> str:
        """The codes, the condition groups and the limit, for the data dictionary."""
        parts = [", ".join(self.codes), f"condition groups {', '.join(self.groups)}"]
        return "; ".join(parts if self.limit is None else [*parts, limit_words(self.limit, strictly=False)])

    def lint(self) -> list[str]:
        """Faults of the declaration; each condition group must be in the table."""
        return Feature.lint(self) + faults_of_keys(self, "condition group", self.groups, CONDITION_GROUPS)


@dataclass(frozen=True, eq=False)
class Smokes(HasCondition):
    """Whether the newest answer to the smoking status (LOINC 72166-2) within the window is a current smoker.

    Without an answer: tobacco use on the problem list is a yes, and nothing is not found.
    """

    def read(self, record: PatientRecord) -> FeatureValue | Missing:
        """Return the newest answer with its date, else the condition on the problem list, else not found."""
        answers = sorted(self._answers(record), key=lambda answer: answer[0].instant, reverse=True)
        newest = answers[0] if answers else None
        if newest is not None and not self.is_old(newest[0], record):
            time, observation = newest
            status, words, code = read_smoking_answer(observation)
            if status is None:
                return Missing(self, "refused", f"{self.words}: the answer of {time.date} is not understood.")
            source = observation.source
            smokes = 1.0 if status == "current" else 0.0
            return FeatureValue(self, smokes, time.text, source, code, smokes, words)
        if not (record.was_requested("Condition") and record.was_requested("smoking_status")):
            return self.not_requested()
        hit = find_condition(record, *self.groups)
        if hit is not None:
            return _of_condition(self, record, hit)
        if newest is not None and read_smoking_answer(newest[1])[0] == "current":
            text = f"{self.words}: yes on {newest[0].date}, older than {words_of_period(self.window_days)}."
            return Missing(self, "stale", text)
        return self.not_found(record)

    def _answers(self, record: PatientRecord) -> Iterator[tuple[FhirTime, Observation]]:
        """Yield the dated answers that are not "unknown"."""
        for observation in record.smoking_answers():
            time = effective_time(observation)
            if observation.status not in USABLE_STATUS or time is None or time.is_after(record.as_of_epoch):
                continue
            has_value = observation.valueCodeableConcept is not None or bool(observation.valueString)
            if has_value and read_smoking_answer(observation)[0] != "missing":
                yield time, observation


_DIABETES_WITH_DAMAGE = "diabetes_complicated"


def _charlson_items(record: PatientRecord) -> list[CharlsonItem]:
    """Return the items on record; the organ that an entry of diabetes names is no item beside it.

    E11.21 is diabetes with end organ damage: the kidney counts again only where another entry tells of it.
    """
    hits = condition_hits(record)
    damage = _sources(record, (_DIABETES_WITH_DAMAGE,)) if _DIABETES_WITH_DAMAGE in hits else frozenset()
    return [
        item
        for item in CHARLSON_ITEMS
        if any(group in hits for group in item.groups)
        and (item.family == "diabetes" or _sources(record, item.groups) - damage)
    ]


def _sources(record: PatientRecord, groups: tuple[str, ...]) -> frozenset[str]:
    hits = condition_hits(record)
    found = (hits[group].source for group in groups if group in hits)
    return frozenset([*found, *(hit.source for hit in problems_of(record, groups))])


@dataclass(frozen=True, eq=False)
class CharlsonPoints(Feature):
    """Charlson points as LACE weighs them (tables/charlson_lace.csv); of a family of items the highest counts once."""

    is_count: ClassVar[bool] = True
    elements: ClassVar[tuple[str, ...]] = ("Condition.code",)
    reads: ClassVar[frozenset[str]] = frozenset({"Condition", "Encounter"})

    def read(self, record: PatientRecord) -> FeatureValue | Missing:
        """Return the points, with the conditions that give them."""
        if not record.was_requested("Condition"):
            return self.not_requested()
        hits = condition_hits(record)
        there = _charlson_items(record)
        families: dict[str, int] = {}
        for item in there:
            name = item.family or item.words
            families[name] = max(families.get(name, 0), item.points)
        groups = (next(group for group in item.groups if group in hits) for item in there)
        words = ", ".join(CONDITION_GROUPS[group].meaning.lower() for group in groups)
        return self.of_chart(record, float(sum(families.values())), words or "none on record")


@dataclass(frozen=True, eq=False)
class CharlsonCount(Feature):
    """How many items of the Charlson index (tables/charlson_lace.csv) are on record."""

    elements: ClassVar[tuple[str, ...]] = ("Condition.code",)
    reads: ClassVar[frozenset[str]] = frozenset({"Condition", "Encounter"})

    def read(self, record: PatientRecord) -> FeatureValue | Missing:
        """Return the number of items."""
        if not record.was_requested("Condition"):
            return self.not_requested("the diagnoses are")
        return self.of_chart(record, float(len(_charlson_items(record))), "conditions")


def _of_condition(feature: Feature, record: PatientRecord, hit: ConditionHit) -> FeatureValue:
    when = hit.time.text if hit.time is not None else record.as_of.date().isoformat()
    return FeatureValue(feature, 1.0, when, hit.source, hit.code, 1.0, hit.words)


_PREVENT = "an input of PREVENT (Khan 2024)"
_AF = "an item of CHA2DS2-VASc (Lip 2010) or HAS-BLED (Pisters 2010)"
_LACE = "an item of LACE (van Walraven 2010) or HOSPITAL (Donze 2016)"
_EXCLUSION = "keeps an equation from being used"
_SUPPORT = "an input of SUPPORT (Knaus 1995), values of the third day"


def _has(name: str, words: str, evidence: str, *groups: str) -> HasCondition:
    return HasCondition(name, words, evidence, groups=groups)


FEATURES: tuple[Feature, ...] = (
    _has("has_diabetes", "Diabetes", _PREVENT, "diabetes"),
    _has("has_hypertension", "Hypertension", _AF, "hypertension"),
    _has("has_heart_failure", "Heart failure", _AF, "heart_failure"),
    _has("has_coronary_disease", "Coronary disease", _EXCLUSION, "coronary_disease"),
    _has("has_had_stroke_tia", "Stroke or TIA before", _AF, "stroke_tia"),
    _has(
        "has_had_ischaemic_stroke",
        "Ischemic stroke, TIA or embolism before",
        _AF,
        "stroke_ischaemic",
        "arterial_embolism",
    ),
    _has("has_peripheral_artery_disease", "Artery disease", _EXCLUSION, "peripheral_artery"),
    _has("has_vascular_disease", "Vascular disease", _AF, "myocardial_infarction", "peripheral_artery"),
    _has("has_atrial_fibrillation", "Atrial fibrillation", "whom CHA2DS2-VASc is for", "afib"),
    _has("has_mechanical_valve", "Mechanical heart valve", _EXCLUSION, "mechanical_valve"),
    _has("has_mitral_stenosis", "Mitral stenosis", _EXCLUSION, "mitral_stenosis"),
    _has("on_dialysis", "Dialysis", _EXCLUSION, "dialysis"),
    _has("has_kidney_transplant", "Kidney transplant", _EXCLUSION, "kidney_transplant"),
    HasCondition(
        "has_acute_kidney_injury",
        "Acute kidney injury",
        _EXCLUSION,
        groups=("aki",),
        window_days=_QUARTER,
    ),
    _has("is_pregnant", "Pregnancy", _EXCLUSION, "pregnancy"),
    _has("has_abnormal_liver", "Cirrhosis or severe liver disease", _AF, "cirrhosis", "liver_severe"),
    _has("has_bled_or_may", "Major bleeding or anemia", _AF, "bleeding_major", "anemia"),
    _has("has_alcohol_use", "Alcohol use disorder", _AF, "alcohol_use_current"),
    HasCondition(
        "has_abnormal_kidneys",
        "Dialysis, kidney transplant or creatinine from 2.26 mg/dL",
        _AF,
        groups=("dialysis", "kidney_transplant"),
        analyte="creatinine",
        window_days=_YEAR,
        limit=2.26,
    ),
    Smokes(
        "smokes",
        "Smokes",
        f"{_PREVENT}; LOINC 72166-2, else the problem list",
        groups=("tobacco_use",),
        analyte="smoking_status",
        window_days=_TWO_YEARS,
    ),
    _has("has_dementia", "Dementia", _SUPPORT, "dementia"),
    _has("has_cancer", "Cancer", _SUPPORT, "cancer_any"),
    _has("has_metastatic_cancer", "Metastatic cancer", _SUPPORT, "cancer_metastatic"),
    CharlsonPoints("charlson_lace", "Comorbidity points (Charlson as LACE weighs it)", _LACE, plausible_high=40),
    CharlsonCount(
        "comorbidity_count",
        "Conditions of the Charlson index",
        f"{_SUPPORT}: its number of comorbidities",
        plausible_high=14,
    ),
)
