"""Race and ethnicity of a patient as US Core records them: for comparing groups in monitoring, never as an input.

Source: US Core Implementation Guide 6.1.0 (HL7, 2023), extensions us-core-race and us-core-ethnicity, whose parts
`ombCategory` are of the value sets OMB Race Categories and OMB Ethnicity Categories; reviewed 2026-11-22.
"""

from typing import Final

from fhir.record.record import PatientRecord

_CODES: Final = "urn:oid:2.16.840.1.113883.6.238"
_EXTENSIONS: Final = {
    "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race": "race",
    "http://hl7.org/fhir/us/core/StructureDefinition/us-core-ethnicity": "ethnicity",
}
_CATEGORIES: Final = {
    "1002-5": "American Indian or Alaska Native",
    "2028-9": "Asian",
    "2054-5": "Black or African American",
    "2076-8": "Native Hawaiian or Other Pacific Islander",
    "2106-3": "White",
    "2135-2": "Hispanic or Latino",
    "2186-5": "Not Hispanic or Latino",
}


def race_and_ethnicity(record: PatientRecord) -> tuple[str, ...]:
    """Return the groups, as "race Asian" and "ethnicity Hispanic or Latino"; empty where none is recorded.

    Somebody with more than one category of race is of the group "race more than one".
    """
    if record.patient is None:
        return ()
    groups = []
    for extension in record.patient.extension:
        name = _EXTENSIONS.get(extension.url or "")
        if name is None:
            continue
        categories = {
            words
            for part in extension.extension
            if (coding := part.valueCoding) is not None and coding.system == _CODES
            if (words := _CATEGORIES.get(coding.code or "")) is not None
        }
        if categories:
            groups.append(f"{name} {categories.pop() if len(categories) == 1 else 'more than one'}")
    return tuple(groups)
