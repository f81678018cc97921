"""Which of the nine demographic and social variables a model uses, worked out from where its inputs are read.

The nine: race, ethnicity, language, sexual orientation, gender identity, sex, date of birth, social determinants,
health status assessments, as in 45 CFR 170.213 (USCDI v3: data classes Patient Demographics, Social Determinants of
Health, Health Status Assessments, to which smoking status belongs).
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

NINE: dict[str, str] = {
    "race": "race",
    "ethnicity": "ethnicity",
    "language": "language",
    "sexual_orientation": "sexual orientation",
    "gender_identity": "gender identity",
    "sex": "sex",
    "date_of_birth": "date of birth",
    "sdoh": "social determinants of health",
    "health_status": "health status assessment",
}

# FHIR elements and US Core extensions, as the beginning of what an input is read from.
_ELEMENTS = (
    ("Patient.birthDate", "date_of_birth"),
    ("Patient.gender", "sex"),
    ("Patient.extension:us-core-birthsex", "sex"),
    ("Patient.extension:us-core-sex", "sex"),
    ("Patient.extension:us-core-race", "race"),
    ("Patient.extension:us-core-ethnicity", "ethnicity"),
    ("Patient.extension:us-core-genderIdentity", "gender_identity"),
    ("Patient.communication", "language"),
    ("Patient.address", "sdoh"),
    ("Patient.maritalStatus", "sdoh"),
    ("Coverage", "sdoh"),
)
# LOINC: codes that are such an assessment. Sources: US Core 6.1 (smoking status, sexual orientation, gender identity),
# the PHQ and GAD panels, PRAPARE and the Hunger Vital Sign panel, self-rated health.
_LOINC = {
    "76690-7": "sexual_orientation",
    "76691-5": "gender_identity",
    "32624-9": "race",
    "69490-1": "ethnicity",
    "54899-0": "language",
    "46098-0": "sex",
    "76689-9": "sex",
    "30525-0": "date_of_birth",
    "21112-8": "date_of_birth",
    "72166-2": "health_status",
    "44261-6": "health_status",
    "55758-7": "health_status",
    "70274-6": "health_status",
    "11323-3": "health_status",
    "93025-5": "sdoh",
    "88124-3": "sdoh",
    "82589-3": "sdoh",
    "63512-8": "sdoh",
    "71802-3": "sdoh",
}
# What an input is called, for those whose source does not say it.
_WORDS = (
    ("ethnic", "ethnicity"),
    ("hispanic", "ethnicity"),
    ("race", "race"),
    ("language", "language"),
    ("sexual_orientation", "sexual_orientation"),
    ("gender_identity", "gender_identity"),
    ("payer", "sdoh"),
    ("insurance", "sdoh"),
    ("income", "sdoh"),
    ("education", "sdoh"),
    ("housing", "sdoh"),
    ("deprivation", "sdoh"),
    ("postal", "sdoh"),
    ("zip_code", "sdoh"),
    ("self_rated_health", "health_status"),
    ("smok", "health_status"),
    ("age_years", "date_of_birth"),
    ("age_band", "date_of_birth"),
    ("sex_male", "sex"),
    ("sex_female", "sex"),
)


class Read(Protocol):
    """An input and where it is read from."""

    @property
    def name(self) -> str: ...
    @property
    def words(self) -> str: ...
    @property
    def fhir(self) -> str: ...
    @property
    def loinc(self) -> Sequence[str]: ...


def used_as(item: Read) -> frozenset[str]:
    """Which of the nine an input is; empty for most."""
    return frozenset(
        {element for start, element in _ELEMENTS if item.fhir.startswith(start)}
        | {_LOINC[code] for code in item.loinc if code in _LOINC}
        | {element for part, element in _WORDS if part in item.name.lower()}
        | ({"date_of_birth"} if item.name in ("age", "birth_date") else set())
        | ({"sex"} if item.name in ("sex", "gender") else set())
    )


def uses(features: Iterable[Read]) -> dict[str, list[str]]:
    """For each of the nine the names of the inputs that use it; an empty list where it is not used."""
    found: dict[str, list[str]] = {name: [] for name in NINE}
    for item in features:
        for element in used_as(item):
            found[element].append(item.name)
    return found


def uses_in_words(found: dict[str, list[str]]) -> str:
    """One sentence on what is used and one on what is not."""
    used = [f"{NINE[name]} (input {', '.join(inputs)})" for name, inputs in found.items() if inputs]
    unused = [NINE[name] for name, inputs in found.items() if not inputs]
    return (
        f"Used as inputs: {'; '.join(used) if used else 'none of the nine'}. "
        f"Not used: {', '.join(unused) if unused else 'none'}."
    )
