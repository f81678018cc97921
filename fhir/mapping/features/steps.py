"""Features that a site declares as the steps of a series: the newest value of a quantity in each step of time."""

from dataclasses import dataclass

from fhir.mapping.features.feature import Feature, FeatureValue, Missing
from fhir.record.record import PatientRecord

FEATURES: tuple[Feature, ...] = ()
_HOUR = 3600.0


@dataclass(frozen=True, eq=False)
class StepValue(Feature):
    """The newest value measured between `begin_hours` and `end_hours` before the moment asked, the end included."""

    begin_hours: float = 0.0
    end_hours: float = 0.0

    @property
    def source_words(self) -> str:
        """The codes, and which hours."""
        return f"{', '.join(self.codes)}; newest value {self.begin_hours:g} to {self.end_hours:g} hours before"

    def read(self, record: PatientRecord) -> FeatureValue | Missing:
        """Return the value with its time; missing where nothing was measured in the step."""
        if not record.was_requested(self.analyte):
            return Missing(self, "unknown", f"{self.words}: the part of the chart that says so is not available.")
        begin, end = (record.as_of_epoch - hours * _HOUR for hours in (self.begin_hours, self.end_hours))
        for measurement in record.measurements_since(self.analyte, begin):
            if begin < measurement.time.instant <= end:
                return self.of_measurement(measurement)
        return Missing(self, "absent", f"{self.words}: not recorded.")
