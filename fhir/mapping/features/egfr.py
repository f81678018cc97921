"""The feature eGFR: CKD-EPI 2021 from the newest creatinine, or as the laboratory reported it by this equation."""

from dataclasses import dataclass

from fhir.mapping.equations import AGE_YEARS, ckd_epi_2021
from fhir.mapping.features.feature import Feature, FeatureValue, Missing, charted_number
from fhir.record.facts import Absent, Found, Refused
from fhir.record.measurement import Measurement
from fhir.record.record import PatientRecord
from fhir.terminology.analytes import ANALYTES

CKD_EPI_2021_LOINC = "98979-8"
_CREATININE = "creatinine"


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
        """The estimate from creatinine, age and sex; else the reported value; else why there is neither."""
        creatinine = record.lookup(_CREATININE, self.window_days)
        age, sex = record.age_years(), record.sex
        can_estimate = age is not None and sex is not None and AGE_YEARS[0] <= age <= AGE_YEARS[1]
        if isinstance(creatinine, Found) and can_estimate:
            assert age is not None and sex is not None  # noqa: S101 PT018 - said by can_estimate
            measured = creatinine.measurement
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
        """The estimate with the creatinine behind it, or the reported value."""
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
        return self.refused(refused) if refused is not None else self.missing_measurement(Absent())


_EGFR = ANALYTES["egfr"]

FEATURES: tuple[Feature, ...] = (
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
