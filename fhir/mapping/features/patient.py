"""Features of the patient, and of the classes of medications that are taken."""

from dataclasses import dataclass
from typing import ClassVar

from fhir.mapping.features.feature import Feature, FeatureValue, Missing, YesNoFeature, faults_of_keys
from fhir.mapping.medications.active import presence_of
from fhir.record.record import PatientRecord
from fhir.terminology.medications import CLASS_MEMBERS


@dataclass(frozen=True, eq=False)
class Age(Feature):
    """Completed years at the time of the call."""

    is_count: ClassVar[bool] = True
    elements: ClassVar[tuple[str, ...]] = ("Patient.birthDate",)

    def read(self, record: PatientRecord) -> FeatureValue | Missing:
        """Return the age, missing without a birth date that gives one."""
        age = record.age_years()
        if age is None:  # those of the record are 0 to 122
            return Missing(self, "absent", "Age is not known: no usable birth date.")
        return self.of_chart(record, float(age), "a", "birthDate")

    def show(self, feature_value: FeatureValue) -> str:
        """Return the age as a number."""
        return f"{feature_value.charted_value:g}"


@dataclass(frozen=True, eq=False)
class Sex(Feature):
    """Administrative sex: 1 for male and 0 for female."""

    elements: ClassVar[tuple[str, ...]] = ("Patient.gender",)

    def read(self, record: PatientRecord) -> FeatureValue | Missing:
        """Return the sex, missing where it is recorded neither as male nor as female."""
        sex = record.sex
        if sex is None:
            return Missing(self, "unknown", "Sex is recorded neither as male nor as female.")
        return self.of_chart(record, 1.0 if sex == "male" else 0.0, sex, "gender")

    def show(self, feature_value: FeatureValue) -> str:
        """Return the word male or female."""
        return feature_value.charted_unit


@dataclass(frozen=True, eq=False)
class TakesMedication(YesNoFeature):
    """Whether a medicine of one of the classes is active (ordered or stated) and is not only for local use."""

    classes: tuple[str, ...] = ()
    """Classes of medicines (tables/medication_classes.csv), an active one of any of which is a yes."""

    other_than: frozenset[str] = frozenset()
    """Ingredients of these classes that are given for something else."""

    elements: ClassVar[tuple[str, ...]] = ("MedicationRequest.medication", "MedicationStatement.medication")
    reads: ClassVar[frozenset[str]] = frozenset({"MedicationRequest", "MedicationStatement"})

    def read(self, record: PatientRecord) -> FeatureValue | Missing:
        """Read the first such medicine with the date of its order; missing where one on the list could not be read."""
        presence = presence_of(record, frozenset(self.classes), other_than=self.other_than)
        if presence.medications:
            first = presence.medications[0]
            when = first.authored.text if first.authored is not None else record.as_of.date().isoformat()
            return FeatureValue(self, 1.0, when, first.source, "", 1.0, first.name)
        if presence.state == "unreadable":
            text = f"{self.words}: not known, because the medication list has what could not be read"
            return Missing(self, "unknown", f"{text}: {presence.unreadable_words}.")
        return self.not_found(record) if record.was_requested("MedicationRequest") else self.not_requested()

    @property
    def source_words(self) -> str:
        """The elements and the classes of medicines, for the data dictionary."""
        return f"{', '.join(self.codes)}; classes {', '.join(self.classes)}"

    def lint(self) -> list[str]:
        """Faults of the declaration; each class of medicines must be in the table."""
        return Feature.lint(self) + faults_of_keys(self, "class", self.classes, CLASS_MEMBERS)


_NHANES = "an ordinary input of NHANES with linked mortality (NCHS public-use files, 1988-2014)"
_PREVENT = "an input of PREVENT (Khan 2024)"
_AF = "an item of CHA2DS2-VASc (Lip 2010) or HAS-BLED (Pisters 2010)"
_READMISSION = "an input of readmission in Diabetes 130-US hospitals 1999-2008 (Strack 2014)"
# PREVENT: on blood-pressure medicine. The classes of tables/medication_classes.csv of table 18 of the 2017 ACC/AHA
# guideline on high blood pressure (loop diuretics are in it); of the alpha blockers those for the prostate are not.
_FOR_THE_PROSTATE = frozenset({"tamsulosin", "alfuzosin", "silodosin"})
_PRESSURE_CLASSES = (
    "ace_inhibitor",
    "arb",
    "arni",
    "renin_inhibitor",
    "beta_blocker",
    "ccb_dhp",
    "ccb_nondhp",
    "thiazide",
    "loop_diuretic",
    "mra",
    "k_sparing",
    "alpha_blocker",
    "central_alpha2",
    "vasodilator",
)
_DIABETES_CLASSES = ("insulin", "biguanide", "sulfonylurea", "tzd", "dpp4", "glp1", "sglt2")


def _takes(name: str, words: str, evidence: str, *classes: str) -> TakesMedication:
    return TakesMedication(name, words, evidence, classes=classes)


FEATURES: tuple[Feature, ...] = (
    Age(
        "age_years",
        "Age",
        f"Patient.birthDate at the time of the call; {_NHANES}",
        unit="a",
        plausible_high=130,
    ),
    Sex("sex_male", "Sex", f"Patient.gender, 1 for male and 0 for female; {_NHANES}"),
    _takes("takes_statin", "Statin", _PREVENT, "statin"),
    TakesMedication(
        "takes_bp_medication",
        "Blood pressure medicine",
        _PREVENT,
        classes=_PRESSURE_CLASSES,
        other_than=_FOR_THE_PROSTATE,
    ),
    _takes("takes_anticoagulant", "Anticoagulant", "what is discussed in atrial fibrillation", "anticoagulant"),
    _takes("takes_antiplatelet_or_nsaid", "Antiplatelet or NSAID", _AF, "antiplatelet", "asa_or_antiplatelet", "nsaid"),
    _takes("takes_insulin", "Insulin", _READMISSION, "insulin"),
    _takes("takes_metformin", "Metformin", _READMISSION, "biguanide"),
    _takes("takes_diabetes_medicine", "Any diabetes medicine", _READMISSION, *_DIABETES_CLASSES),
)
