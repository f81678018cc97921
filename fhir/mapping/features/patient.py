"""Features of the Patient resource: age and sex."""

from dataclasses import dataclass
from typing import ClassVar

from fhir.mapping.features.feature import Feature, FeatureValue, Missing
from fhir.record.record import PatientRecord

_NHANES = "an ordinary input of NHANES with linked mortality (NCHS public-use files, 1988-2014)"


@dataclass(frozen=True, eq=False)
class Age(Feature):
    """Completed years at the time of the call."""

    is_count: ClassVar[bool] = True
    elements: ClassVar[tuple[str, ...]] = ("Patient.birthDate",)

    def read(self, record: PatientRecord) -> FeatureValue | Missing:
        """The age, missing without a birth date that gives one."""
        age = record.age_years()
        if age is None:  # those of the record are 0 to 122
            return Missing(self, "absent", "Age is not known: no usable birth date.")
        today, source = record.as_of.date().isoformat(), f"Patient/{record.patient_id}"
        return FeatureValue(self, float(age), today, source, "birthDate", age, "a")

    def show(self, feature_value: FeatureValue) -> str:
        """The age as a number."""
        return f"{feature_value.charted_value:g}"


@dataclass(frozen=True, eq=False)
class Sex(Feature):
    """Administrative sex: 1 for male and 0 for female."""

    elements: ClassVar[tuple[str, ...]] = ("Patient.gender",)

    def read(self, record: PatientRecord) -> FeatureValue | Missing:
        """The sex, missing where it is recorded neither as male nor as female."""
        sex = record.sex
        if sex is None:
            return Missing(self, "unknown", "Sex is recorded neither as male nor as female.")
        value = 1.0 if sex == "male" else 0.0
        today, source = record.as_of.date().isoformat(), f"Patient/{record.patient_id}"
        return FeatureValue(self, value, today, source, "gender", value, sex)

    def show(self, feature_value: FeatureValue) -> str:
        """The word male or female."""
        return feature_value.charted_unit


FEATURES = (
    Age(
        "age_years",
        "Age",
        f"Patient.birthDate at the time of the call; {_NHANES}",
        unit="a",
        plausible_high=130,
    ),
    Sex("sex_male", "Sex", f"Patient.gender, 1 for male and 0 for female; {_NHANES}"),
)
