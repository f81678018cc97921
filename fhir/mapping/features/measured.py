"""Features that are measured values: the newest usable one within a window, or one computed from two of them.

The look-back of each is the one that shared/data/codes/loinc_analytes.csv gives for the analyte, in days.
"""

from dataclasses import dataclass
from math import isfinite

from fhir.mapping.equations import AGE_YEARS, Sex, body_mass_index, ckd_epi_2021, mean_arterial_pressure
from fhir.mapping.features.feature import Feature, FeatureValue, Missing, YesNoFeature, charted_number
from fhir.record.facts import Absent, Found, Lookup, Refused
from fhir.record.measurement import Measurement
from fhir.record.record import PatientRecord
from fhir.terminology.analytes import ANALYTES

_YEAR, _THREE_YEARS, _FIVE_YEARS, _QUARTER, _THREE_DAYS = 365, 1095, 1825, 90, 3
# codes/loinc_analytes.csv: default look-back of body height.
_HEIGHT_WINDOW_DAYS = 1825
CKD_EPI_2021_LOINC = "98979-8"
_CREATININE = "creatinine"


@dataclass(frozen=True, eq=False)
class Measured(Feature):
    """The newest usable value of an analyte within the window."""

    def read(self, record: PatientRecord) -> FeatureValue | Missing:
        """Return the value in the analyte's unit, with what was charted."""
        lookup = record.lookup(self.analyte, self.window_days)
        return (
            self.of_measurement(lookup.measurement) if isinstance(lookup, Found) else self.missing_measurement(lookup)
        )

    def lint(self) -> list[str]:
        """Faults of the declaration; the unit and range must be those of the analyte, and a window must be given."""
        faults = Feature.lint(self)
        analyte = ANALYTES.get(self.analyte)
        if analyte is None:
            return faults if self.analyte else [*faults, f"{self.name}: has no analyte, so it has no code"]
        if self.unit != analyte.unit:
            faults.append(f"{self.name}: unit {self.unit} is not the analyte's {analyte.unit}")
        if self.plausible_low < analyte.plausible_low or self.plausible_high > analyte.plausible_high:
            faults.append(f"{self.name}: plausible range is wider than the analyte's")
        if not isinstance(self.window_days, int) or self.window_days <= 0:
            faults.append(f"{self.name}: has no window in days")
        return faults


@dataclass(frozen=True, eq=False)
class BodyMassIndex(Measured):
    """Body mass index, computed where weight and height are both on record, else as it was charted."""

    @property
    def analytes(self) -> tuple[str, ...]:
        """The analytes: the index as charted, weight and height."""
        return (self.analyte, "body_weight", "body_height")

    def read(self, record: PatientRecord) -> FeatureValue | Missing:
        """Return the index from the newest weight, with the date of the weight (note of codes/loinc_analytes.csv)."""
        weight = record.lookup("body_weight", self.window_days)
        height = record.lookup("body_height", _HEIGHT_WINDOW_DAYS)
        if isinstance(weight, Found) and isinstance(height, Found):
            value = round(body_mass_index(weight.measurement.value, height.measurement.value), 1)
            if self.plausible_low <= value <= self.plausible_high:
                of = weight.measurement
                return FeatureValue(self, value, of.time.text, of.source, of.code, value, self.unit)
        charted = Measured.read(self, record)
        if isinstance(charted, FeatureValue) or charted.reason != "absent":
            return charted
        return _first_refused(self, weight, height) or charted


@dataclass(frozen=True, eq=False)
class MeanPressure(Feature):
    """Mean arterial pressure from the newest systolic and diastolic readings within the window."""

    @property
    def analytes(self) -> tuple[str, ...]:
        """Systolic and diastolic pressure."""
        return ("sbp", "dbp")

    @property
    def codes(self) -> tuple[str, ...]:
        """The element of a panel."""
        return ("Observation.component",)

    def read(self, record: PatientRecord) -> FeatureValue | Missing:
        """Return the pressure, dated by the diastolic reading."""
        systolic, diastolic = record.lookup("sbp", self.window_days), record.lookup("dbp", self.window_days)
        if isinstance(systolic, Found) and isinstance(diastolic, Found):
            of = diastolic.measurement
            value = mean_arterial_pressure(systolic.measurement.value, of.value)
            return FeatureValue(self, value, of.time.text, of.source, of.code, round(value, 1), self.unit)
        refused = _first_refused(self, systolic, diastolic)
        return refused or Missing(self, "absent", f"{self.words}: not recorded.")


@dataclass(frozen=True, eq=False)
class PastLimit(YesNoFeature):
    """Whether the newest value within the window has reached the limit (is over it where `strictly`)."""

    limit: float = float("inf")
    strictly: bool = False

    def read(self, record: PatientRecord) -> FeatureValue | Missing:
        """Yes or no with the value; a value that cannot be used is neither."""
        return read_past_limit(self, record, self.limit, strictly=self.strictly)

    @property
    def source_words(self) -> str:
        """The codes and the limit."""
        return f"{Feature.source_words.fget(self)}; {limit_words(self.limit, strictly=self.strictly)}"  # type: ignore[attr-defined]

    def lint(self) -> list[str]:
        """Faults of the declaration; an analyte and a limit must be given."""
        faults = Feature.lint(self)
        if not self.analyte or not isfinite(self.limit):
            faults.append(f"{self.name}: needs an analyte and a limit")
        return faults


def read_past_limit(
    feature: YesNoFeature, record: PatientRecord, limit: float, *, strictly: bool = False
) -> FeatureValue | Missing:
    """Whether the newest value of the feature's analyte within its window has reached `limit`."""
    lookup = record.lookup(feature.analyte, feature.window_days)
    if isinstance(lookup, Found):
        value = lookup.measurement.value
        is_past = value > limit if strictly else value >= limit
        return feature.of_measurement(lookup.measurement, 1.0 if is_past else 0.0)
    if isinstance(lookup, Refused):
        return feature.refused(lookup.refused[0])
    return feature.not_found(record) if record.was_requested(feature.analyte) else feature.not_requested()


def limit_words(limit: float, *, strictly: bool) -> str:
    """ "over 160" or "from 2.26", for the data dictionary."""
    return f"{'over' if strictly else 'from'} {limit:g}"


def _first_refused(feature: Feature, *lookups: Lookup) -> Missing | None:
    """Missing for the first of these values that came and cannot be used; None where none was refused."""
    refused = next((lookup for lookup in lookups if isinstance(lookup, Refused)), None)
    return feature.refused(refused.refused[0]) if refused is not None else None


@dataclass(frozen=True, eq=False)
class EstimatedGFR(Feature):
    """eGFR by CKD-EPI 2021.

    The creatinine is what was charted; a value that the laboratory reported by another equation (MDRD) is never taken
    in its place.
    """

    @property
    def analytes(self) -> tuple[str, ...]:
        """The reported eGFR, and creatinine."""
        return (self.analyte, _CREATININE)

    def read(self, record: PatientRecord) -> FeatureValue | Missing:
        """Return the estimate from creatinine, age and sex; else the reported value; else why there is neither."""
        return self.read_as(record, record.sex)

    def read_as(self, record: PatientRecord, sex: Sex | None) -> FeatureValue | Missing:
        """Return the same for this sex."""
        creatinine = record.lookup(_CREATININE, self.window_days)
        age = record.age_years()
        if isinstance(creatinine, Found) and age is not None and sex is not None:
            measured = creatinine.measurement
            if AGE_YEARS[0] <= age <= AGE_YEARS[1]:
                return self.of_measurement(measured, ckd_epi_2021(age, sex, measured.value))
        reported = self._reported(record)
        if reported is not None:
            return self.of_measurement(reported)
        if isinstance(creatinine, Refused):
            return self.refused(creatinine.refused[0])
        if isinstance(creatinine, Absent) and creatinine.last is None:
            return self._without_creatinine(record)
        if age is None or sex is None:
            return Missing(self, "unknown", f"{self.words} needs age and sex.")
        if isinstance(creatinine, Found):
            return Missing(
                self, "unknown", f"{self.words} is estimated for ages {AGE_YEARS[0]} to {AGE_YEARS[1]} only."
            )
        return self.missing_measurement(creatinine, _CREATININE)

    def show(self, feature_value: FeatureValue) -> str:
        """Return the estimate with the creatinine behind it, or the reported value."""
        if feature_value.charted_unit == self.unit:
            return Feature.show(self, feature_value)
        creatinine = f"{charted_number(feature_value.charted_value)} {feature_value.charted_unit}"
        return f"{feature_value.value:.0f} {self.unit} (creatinine {creatinine})"

    def _reported(self, record: PatientRecord) -> Measurement | None:
        for reported in record.measurements_with_code(self.analyte, CKD_EPI_2021_LOINC):
            if self.window_days is None or reported.whole_days(record.as_of_epoch) <= self.window_days:
                return reported
        return None

    def _without_creatinine(self, record: PatientRecord) -> Missing:
        """Refused where a value reported by this equation came and cannot be used, else absent."""
        lookup = record.lookup(self.analyte)
        reports = lookup.refused if isinstance(lookup, Refused) else ()
        refused = next((report for report in reports if report.code == CKD_EPI_2021_LOINC), None)
        if refused is not None:
            return self.refused(refused)
        reported = lookup.measurement if isinstance(lookup, Found) else next(iter(reports), None)
        if reported is None:
            return self.missing_measurement(Absent())
        equation = f"code {reported.code}" if reported.code else "without a code"
        text = (
            f"{self.words}: a reported value ({equation}) came; it is not known to be of CKD-EPI 2021 and is not used."
        )
        return Missing(self, "refused", text)


def measured(name: str, analyte: str, window_days: int, evidence: str, words: str = "") -> Measured:
    """Return a measured feature with the words, unit and plausible range of its analyte.

    Raises ValueError for an analyte that tables/analytes.csv does not have.
    """
    meaning = ANALYTES.get(analyte)
    if meaning is None:
        raise ValueError(f"feature {name}: analyte {analyte!r} is not in fhir/terminology/tables/analytes.csv")
    return Measured(
        name, words or meaning.words, evidence, meaning.unit, meaning.plausible_low, meaning.plausible_high, analyte,
        window_days,
    )  # fmt: skip


_NHANES = "an ordinary input of NHANES with linked mortality (NCHS public-use files, 1988-2014)"
_PREVENT = "an input of PREVENT (Khan 2024)"
_FIB_4 = "an input of FIB-4 (Sterling 2006)"
_HAS_BLED = "an item of CHA2DS2-VASc (Lip 2010) or HAS-BLED (Pisters 2010)"
_SUPPORT = "an input of SUPPORT (Knaus 1995), values of the third day"


def _of_stay(name: str, analyte: str) -> Measured:
    """Return a value of the last three days, as SUPPORT took them on the third day of a stay."""
    return measured(name, analyte, _THREE_DAYS, _SUPPORT, f"{ANALYTES[analyte].words} in this stay")


_BMI, _EGFR = ANALYTES["bmi"], ANALYTES["egfr"]

FEATURES: tuple[Feature, ...] = (
    measured("albumin_g_dl", "albumin", _YEAR, _NHANES),
    measured("alp_u_l", "alp", _YEAR, _NHANES),
    measured("bun_mg_dl", "bun", _YEAR, _NHANES),
    measured("creatinine_mg_dl", "creatinine", _YEAR, _NHANES),
    measured("glucose_mg_dl", "glucose", _YEAR, _NHANES),
    measured("bilirubin_total_mg_dl", "bilirubin_total", _YEAR, _NHANES),
    measured("wbc_10e3_ul", "wbc", _YEAR, _NHANES),
    measured("rbc_10e6_ul", "rbc", _YEAR, _NHANES),
    measured("mcv_fl", "mcv", _YEAR, _NHANES),
    measured("rdw_pct", "rdw_cv", _YEAR, _NHANES),
    measured("lymphocytes_pct", "lymphocytes_pct", _YEAR, _NHANES),
    measured("sbp_mmhg", "sbp", _YEAR, _NHANES),
    measured("dbp_mmhg", "dbp", _YEAR, _NHANES),
    BodyMassIndex(
        "bmi_kg_m2", _BMI.words, _NHANES, _BMI.unit, _BMI.plausible_low, _BMI.plausible_high, _BMI.key, _YEAR
    ),
    measured("cholesterol_total_mg_dl", "cholesterol_total", _FIVE_YEARS, _PREVENT),
    measured("hdl_cholesterol_mg_dl", "hdl_cholesterol", _FIVE_YEARS, _PREVENT),
    measured("uacr_mg_g", "uacr", _THREE_YEARS, "an input of KFRE (Tangri 2016)"),
    measured("ast_u_l", "ast", _YEAR, _FIB_4),
    measured("alt_u_l", "alt", _YEAR, _FIB_4),
    measured("platelets_10e3_ul", "platelets", _YEAR, _FIB_4),
    measured("sodium_mmol_l", "sodium", _QUARTER, "an item of HOSPITAL (Donze 2016)"),
    measured("hemoglobin_g_dl", "hemoglobin", _YEAR, "an item of LACE (van Walraven 2010) or HOSPITAL (Donze 2016)"),
    measured("weight_kg", "body_weight", _YEAR, "an input of Cockcroft-Gault (1976)"),
    measured("phq9_total", "phq9", _YEAR, "PHQ-9 (Kroenke 2001)"),
    measured("gad7_total", "gad7", _YEAR, "GAD-7 (Spitzer 2006)"),
    PastLimit(
        "has_uncontrolled_pressure",
        "Systolic pressure over 160",
        _HAS_BLED,
        analyte="sbp",
        window_days=_YEAR,
        limit=160,
        strictly=True,
    ),
    _of_stay("stay_heart_rate", "heart_rate"),
    _of_stay("stay_respiratory_rate", "respiratory_rate"),
    _of_stay("stay_temperature_cel", "temperature"),
    _of_stay("stay_wbc_10e3_ul", "wbc"),
    _of_stay("stay_albumin_g_dl", "albumin"),
    _of_stay("stay_bilirubin_mg_dl", "bilirubin_total"),
    _of_stay("stay_creatinine_mg_dl", "creatinine"),
    _of_stay("stay_sodium_mmol_l", "sodium"),
    _of_stay("stay_bun_mg_dl", "bun"),
    _of_stay("stay_glucose_mg_dl", "glucose"),
    _of_stay("stay_ph", "ph_arterial"),
    MeanPressure(
        "stay_mean_pressure_mmhg",
        "Mean pressure in this stay",
        f"{_SUPPORT}; from systolic and diastolic pressure",
        unit="mm[Hg]",
        plausible_low=20,
        plausible_high=250,
        window_days=_THREE_DAYS,
    ),
    EstimatedGFR(
        "egfr_ckd_epi_2021",
        "eGFR",
        "an input of PREVENT (Khan 2024) and of KFRE (Tangri 2016)",
        _EGFR.unit,
        _EGFR.plausible_low,
        _EGFR.plausible_high,
        _EGFR.key,
        365,
    ),
)
